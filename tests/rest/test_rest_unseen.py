"""A token that is held to some agents is told the name of no other, whatever it asks, of whatever ids, anywhere.

Every route of the description is asked by two administrators: one held to `other`, one held to an agent that is not
there. What they send names what is really there (ids of rollouts, traces, runs ... of the agents that they do not see).
Where a request itself names an agent, the same request about one that is not there must be answered in the same words.
"""

from __future__ import annotations

import ast
import json
import logging
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from furnished import NODE, Furnished, made_up, seeded

from surefoot.engine.admit import FRESH_S

SOURCE = Path(__file__).parents[2] / "src" / "surefoot"
OPAQUE = {
    "execution_id",
    "incident",
    "job",
    "lever",
    "notice",
    "process",
    "rollout",
    "run",
    "token",
    "trace",
    "webhook",
}
SECRET_NAMES = re.compile(rf"\b(support|{NODE})\b")


@pytest.fixture(scope="module")
def strangers(there: Furnished) -> dict[str, str]:
    """The agent that each of two tokens is held to, by its token."""
    made = there.door.post("/tokens", {"name": "ghost", "role": "admin", "agents": ["soon"]}).json["token"]
    time.sleep(FRESH_S)
    return {"sf_held": "other", made: "soon"}


def asked(there: Furnished, case: Any, token: str) -> tuple[str, str]:
    """Send a case; gives what was sent and what came back, headers too."""
    given = case.as_transport_kwargs(base_url=f"http://127.0.0.1:{there.door.port}")
    given["headers"] = {**(given.get("headers") or {}), "Authorization": f"Bearer {token}", "X-Connector-Token": token}
    return sent(given)


def sent(given: dict[str, Any]) -> tuple[str, str]:
    with requests.Session() as session, session.request(**given, timeout=30, stream=True) as got:
        streams = got.headers.get("content-type", "").startswith("text/event-stream")
        said = next(got.iter_content(4096), b"").decode() if streams else got.text
        kept = {name: value for name, value in got.headers.items() if name.lower() not in ("date", "x-request-id")}
    return json.dumps([given["url"], given.get("params"), given.get("json")]), f"{got.status_code} {kept} {said}"


def as_if_none(there: Furnished, case: Any, token: str) -> str:
    """What comes back where the agents that are named are not there."""
    given = case.as_transport_kwargs(base_url=f"http://127.0.0.1:{there.door.port}")
    given["headers"] = {**(given.get("headers") or {}), "Authorization": f"Bearer {token}", "X-Connector-Token": token}
    given["url"] = renamed(given["url"])
    for part in ("json", "params"):
        if given.get(part):
            given[part] = json.loads(renamed(json.dumps(given[part])))
    return sent(given)[1]


def renamed(text: str) -> str:
    """Each secret name as one of the same length that no agent has."""
    return SECRET_NAMES.sub(lambda found: "z" * len(found[0]), text)


def attacks(there: Furnished, mine: str) -> Iterator[Any]:
    """Requests to every route about what is there: with the caller's own agent in the path, and with another's."""
    schema = schemathesis.openapi.from_dict(there.door.get("/openapi.json").json)
    chance = random.Random(11)
    for operation in (made.ok() for made in schema.get_all_operations()):
        if mine == "soon" and operation.method == "post" and operation.path.endswith("/processes"):
            continue  # it would make that agent
        for number, case in enumerate(made_up(operation, 3)):
            theirs = ("support", NODE)[number % 2]
            case = seeded(there, case, chance, agent=theirs, real=1.0)
            if "agent" in (case.path_parameters or {}) and number:
                case.path_parameters["agent"] = mine
            if isinstance(case.query, dict) and "agent" in case.query and number == 1:
                case.query["agent"] = mine
            yield case


def test_no_route_names_an_agent_to_a_token_that_does_not_see_it(
    there: Furnished, strangers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "surefoot")
    told, requests_sent = [], 0
    for token, mine in strangers.items():
        for case in attacks(there, mine):
            given, said = asked(there, case, token)
            requests_sent += 1
            if SECRET_NAMES.search(given):
                none = as_if_none(there, case, token)
                if renamed(said) != none and not said.startswith("429"):
                    told.append(f"{case.method} {case.operation.path} {given}: {said} is not {none}")
            elif SECRET_NAMES.search(said):
                told.append(f"{case.method} {case.operation.path} {given}: {said}")
    assert told == [], "\n".join(one[:600] for one in told[:20])
    assert requests_sent > 700
    assert not [one.getMessage() for one in caplog.records if SECRET_NAMES.search(one.getMessage())]


def test_an_id_of_another_agent_is_answered_as_one_that_is_not_there(
    there: Furnished, strangers: dict[str, str]
) -> None:
    schema, chance = schemathesis.openapi.from_dict(there.door.get("/openapi.json").json), random.Random(5)
    told, compared = [], 0
    for operation in (made.ok() for made in schema.get_all_operations()):
        for case in made_up(operation, 1):
            case = seeded(there, case, chance, real=1.0, agent="support" if "execution" not in operation.path else NODE)
            ids = OPAQUE & set(case.path_parameters or {})
            if not ids:
                continue
            _, real = asked(there, case, "sf_held")
            known = {name: str(case.path_parameters[name]) for name in ids}
            case.path_parameters |= {name: "0" * len(value) for name, value in known.items()}
            _, none = asked(there, case, "sf_held")
            for value in known.values():
                real, none = real.replace(value, "?"), none.replace("0" * len(value), "?")
            compared += 1
            if real != none:
                told.append(f"{operation.method} {operation.path} {known}: {real} is not {none}")
    assert told == [], "\n".join(one[:600] for one in told[:20])
    assert compared > 30


def test_every_route_that_names_an_agent_says_who_is_asking() -> None:
    """`agent_named` without `sees` tells whoever asks of all agents: that is for the command line of the owner."""
    for room in ("api", "dashboard", "gateway"):
        for path in (SOURCE / room).rglob("*.py"):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Name) and call.func.id == "agent_named":
                    assert "sees" in [one.arg for one in call.keywords], f"{path.name}:{call.lineno}"
