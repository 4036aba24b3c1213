"""Every route and every role: nobody does what the page says they may not, and everybody is let in where it says so.

The routes come from the description in OpenAPI; what each takes comes from the column "may" of the page, which is
written by hand. So a route whose dependency and whose line disagree is found, and a route without a line too.
"""

from __future__ import annotations

import http.client
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_api import Door, serving

from surefoot.config import TokenSettings
from surefoot.core.token import Deed, Role, Token, hashed, must_may

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
OPEN = ("anyone", "signed")
TOKENS = {
    **{role: TokenSettings(sha256=hashed(f"sf_{role}"), role=role) for role in get_args(Role)},
    **{f"{role}-of-sales": TokenSettings(sha256=hashed(f"sf_{role}-of-sales"), role=role, agents=("sales",))
       for role in get_args(Role)},
}  # fmt: skip


def ask(door: Door, method: str, path: str, as_: str = "", **headers: str) -> tuple[int, str]:
    """Give the status and the text of an answer; a stream without end is not read."""
    sent = {"Content-Type": "application/json", "If-Match": '"1"', **headers}
    sent |= {"Authorization": f"Bearer sf_{as_}"} if as_ else {}
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
    try:
        connection.request(method, path, None if method == "GET" else b"{}", sent)
        got = connection.getresponse()
        streams = got.getheader("content-type", "").startswith("text/event-stream")
        return got.status, "" if streams else got.read().decode()
    finally:
        connection.close()


def told() -> dict[str, str]:
    """What each route takes, by the page."""
    return dict(re.findall(r"^\| `((?:GET|POST|PUT|DELETE|PATCH) [^`]+)` \| ([^|]+?) \|", PAGE, re.MULTILINE))


def may(role: str, deed: str) -> bool:
    try:
        must_may(Token(name="x", sha256="", role=role), deed)  # type: ignore[arg-type]
    except Exception:
        return False
    return True


@pytest.fixture
def door(scene: Any) -> Iterator[Door]:
    scene.waiting()
    with serving(scene, tokens=TOKENS) as one:
        yield one


def routes(door: Door) -> list[tuple[str, str]]:
    described = door.get("/api/v1/openapi.json").json
    found = [(method.upper(), path) for path, methods in described["paths"].items() for method in methods]
    assert len(found) > 20
    return found


def named(path: str, agent: str = "support") -> str:
    """An address with something in every place; none of it is there but the agent."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda one: agent if one[1] == "agent" else "1", path)


def test_nobody_does_what_their_role_does_not_allow_and_everybody_what_it_does(door: Door) -> None:
    page, wrong = told(), list[str]()
    for method, path in routes(door):
        takes = page.get(f"{method} {path}")
        if takes in (*OPEN, "connector"):
            continue
        deeds = (takes or "none").split(" or ")
        if not set(deeds) <= set(get_args(Deed)):
            wrong.append(f"{method} {path}: the page says {takes!r}")
            continue
        for role in get_args(Role):
            status, text = ask(door, method, named(path), as_=role)
            refused = status == 403 and "may not" in text
            if refused == any(may(role, deed) for deed in deeds):
                wrong.append(f"{method} {path} as {role}: {status} {text[:120]}")
    assert not wrong, "\n".join(wrong)


def test_without_a_token_nothing_is_shown_or_done_anywhere(door: Door) -> None:
    page, wrong = told(), list[str]()
    for method, path in routes(door):
        if page.get(f"{method} {path}") in OPEN:
            continue
        for headers in ({}, {"Authorization": "Bearer sf_made-up"}, {"Authorization": "Basic YTpi"}):
            status, _ = ask(door, method, named(path), **headers)
            shut = page.get(f"{method} {path}") == "connector" and status == 404  # a door that is not set up
            if status not in (401, 429) and not shut:
                wrong.append(f"{method} {path}: {status}")
    assert not wrong, "\n".join(wrong)


def test_a_token_for_other_agents_learns_nothing_of_this_one(door: Door) -> None:
    wrong: list[str] = []
    for method, path in routes(door):
        if "{agent}" not in path:
            continue
        for role in get_args(Role):
            status, text = ask(door, method, named(path), as_=f"{role}-of-sales")
            if status not in (403, 404) or "label:" in text:
                wrong.append(f"{method} {path} as {role} of sales: {status} {text[:120]}")
    assert not wrong, "\n".join(wrong)
