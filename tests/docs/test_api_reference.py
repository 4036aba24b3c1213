"""The page on the API is complete: each route, each role, each status, and the settings that belong to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from surefoot.app import build
from surefoot.config import ApprovalSettings, LogSettings, NotifySettings, ServeSettings, Settings, TokenSettings
from surefoot.core.notice import NoticeKind
from surefoot.core.signature import sign
from surefoot.core.token import Deed, Role, Token, must_may

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
HOW_TO = (DOCS / "how-to" / "notifications-and-webhooks.md").read_text(encoding="utf-8")


@pytest.fixture
def described(tmp_path: Path) -> dict[str, Any]:
    app = build(Settings(store=tmp_path / "store.db"), environ={})
    try:
        return app.api(loopback=True, environ={}).openapi()
    finally:
        app.close()


def test_every_route_has_its_line_and_every_line_its_route(described: dict[str, Any]) -> None:
    routes = [f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods]
    assert sorted(re.findall(r"^\| `((?:GET|POST|PUT|DELETE) [^`]+)`", PAGE, re.MULTILINE)) == sorted(routes)


def test_every_field_of_a_body_and_every_parameter_is_named_in_its_line(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            line = next(one for one in PAGE.splitlines() if one.startswith(f"| `{method.upper()} {path}`"))
            schema = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            fields = list(described["components"]["schemas"][name]["properties"]) if name else []
            asked = [one["name"] for one in route.get("parameters", []) if one["in"] == "query"]
            for field in [*fields, *asked]:
                assert f"`{field}" in line, (line, field)


def test_what_each_role_may_do_is_as_the_page_says() -> None:
    deeds = get_args(Deed)
    for role in get_args(Role):
        (line,) = re.findall(rf"^\| `{role}` \|(.*)\|$", PAGE, re.MULTILINE)
        told = [cell.strip() == "yes" for cell in line.split("|")]
        for deed, may in zip(deeds, told, strict=True):
            try:
                must_may(Token(name="x", sha256="", role=role), deed)
                allowed = True
            except Exception:
                allowed = False
            assert allowed == may, (role, deed)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("notify", NotifySettings),
        ("approvals", ApprovalSettings),
        ("tokens.NAME", TokenSettings),
        ("serve", ServeSettings),
        ("log", LogSettings),
    ],
)
def test_every_key_of_these_settings_is_documented_and_no_other(title: str, kind: Any) -> None:
    page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    part = page.partition(f"### [{title}]\n")[2].partition("\n#")[0]
    assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == list(kind.model_fields)


def test_every_kind_of_notice_is_named() -> None:
    assert [kind for kind in get_args(NoticeKind) if f"`{kind}`" not in HOW_TO] == []


def test_the_receiver_that_the_page_shows_works() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL)
    shown: dict[str, Any] = {}
    exec(program, shown)
    secret, body, stamp = "a secret of enough characters", b"{}", str(int(shown["time"].time()))
    signature = sign(secret, timestamp=stamp, nonce="nonce-0001", body=body)
    headers = {"X-Surefoot-Timestamp": stamp, "X-Surefoot-Nonce": "nonce-0001", "X-Surefoot-Signature": signature}
    seen: set[str] = set()
    verified = shown["comes_from_surefoot"]
    assert verified(secret, headers, body, seen)
    assert not verified(secret, headers, body, seen), "a copy"
    assert not verified(secret, headers, body + b" ", set())
    assert not verified(secret + "!", headers, body, set())
