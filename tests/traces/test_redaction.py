"""What must not be stored is not stored, whichever way it comes in: the bytes of the store are searched for it."""

from __future__ import annotations

import contextlib
import json
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from trace_house import House

from surefoot.adapters.redact_command import RedactCommand
from surefoot.core.case import Case, case_id, group_key
from surefoot.core.errors import SurefootError
from surefoot.core.memory import Where
from surefoot.core.redaction import luhn
from surefoot.core.token import any_agent
from surefoot.engine.observe import observe, violate
from surefoot.engine.register import add_cases
from surefoot.engine.remember import append, remember
from surefoot.engine.shelve import taught


def card(rng: random.Random) -> str:
    body = "4" + "".join(str(rng.randrange(10)) for _ in range(14))
    return next(body + str(last) for last in range(10) if luhn(body + str(last)))


def iban(rng: random.Random) -> str:
    account = "".join(str(rng.randrange(10)) for _ in range(18))
    check = 98 - int("".join(str(int(sign, 36)) for sign in account + "DE00")) % 97
    return f"DE{check:02d}{account}"


def planted(seed: int) -> list[str]:
    """A key, an e-mail address, a card and a bank account that nobody else has."""
    rng = random.Random(seed)
    word = "".join(rng.choice("abcdefghkmnpqrstuvwxyz") for _ in range(12))
    return [f"sk-{word}{rng.randrange(10**12):012d}Ab", f"{word}@{word}.example.org", card(rng), iban(rng)]


def left(house: House, secrets: list[str]) -> list[tuple[str, str]]:
    """Which secret is in which file of the store."""
    files = [path for path in house.path.parent.iterdir() if path.is_file() and path.name != "redaction.key"]
    found = [(one, path) for path in files for one in secrets if one.lower().encode() in path.read_bytes().lower()]
    return [(one, path.name) for one, path in found]


def every_door(house: House, text: str, name: str) -> None:
    """Bring a text and a name in wherever a user's text or name can come in."""
    ports = house.ports
    trace = house.ask(f"{text} say:{text}", session=name, actor=name, external_id=name, slices={"who": name, name: "x"})
    house.do(observe(ports, trace, expected=text, feedback=text, source=name, sees=any_agent))
    house.do(violate(ports, trace, text))
    where = Where(agent="support", workflow=name, session=name, actor=name)
    for scope in ("workflow", "session", "actor", "agent"):
        house.do(remember(ports, where, "note", {"said": [text], name: 1}, scope=scope))
        house.do(append(ports, where, "list", text, scope=scope))
    with contextlib.suppress(SurefootError):
        house.do(remember(ports, where, name, "by its key"))
    case = Case(id=case_id("support", text, text), agent="support", group=group_key(text), input=text, expected=text,
                split="shown", slices={"who": name})  # fmt: skip
    house.do(add_cases(ports, [case], by="ana"))
    house.do(taught(ports, "support", f"never say {text}", by="ana"))


@settings(
    max_examples=5, phases=(Phase.explicit, Phase.generate), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**9), before=st.sampled_from(["", "hello ", "my data: ", "«"]),
       after=st.sampled_from(["", ".", " please", "»"]))  # fmt: skip
def test_nothing_planted_survives_in_any_byte_of_the_store(house: House, seed: int, before: str, after: str) -> None:
    for secret in planted(seed):
        every_door(house, f"{before}{secret}{after}", secret)
    assert left(house, planted(seed)) == []


def test_nothing_survives_by_http_either(house: House) -> None:
    secrets = planted(7)
    with house.serving() as door:
        for secret in secrets:
            body = {"model": "support", "messages": [{"role": "user", "content": f"I am {secret}"}], "user": secret,
                    "metadata": {"session_id": secret, "external_id": secret}}  # fmt: skip
            got = door.ask("POST", "/v1/chat/completions", as_="app", json=body, headers={
                "x-surefoot-slices": f"who={secret}", "x-surefoot-actor": secret
            })  # fmt: skip
            assert got.status_code == 200, got.text
            trace = got.headers["x-surefoot-trace-id"]
            door.post("/outcomes", {"trace_id": trace, "expected": secret, "comment": secret, "source": secret})
            door.post("/outcomes", {"agent": "support", "external_id": secret, "success": False, "comment": secret})
            door.post("/outcomes/batch", {"outcomes": [{"trace_id": trace, "label": secret}]}, code=200)
            headers = {"X-Actor-ID": secret, "X-Session-ID": secret}
            got = door.ask("PUT", "/api/v1/agents/support/memory/k", as_="app", json={"value": secret}, headers=headers)
            assert got.status_code == 200, got.text
            assert [one["id"] for one in door.all("/agents/support/traces", "traces", actor=secret)] == [trace]
            assert [one["id"] for one in door.all("/agents/support/traces", "traces", text=secret)] == [trace]
    assert left(house, secrets) == []


def test_names_and_addresses_are_not_caught_by_default(house: House) -> None:
    house.ask("I am Erika Mustermann, Heidestrasse 17 in Koeln")
    assert left(house, ["Erika Mustermann", "Heidestrasse 17"]), "the documents say so; a command of one's own may"


PROGRAM = """
import json, re, sys
for line in sys.stdin:
    text = json.loads(line)["text"]
    if "slow" in text:
        import time; time.sleep(60)
    if "broken" in text:
        print("no json", flush=True); continue
    if "leave" in text:
        sys.exit(3)
    print(json.dumps({"text": re.sub("Erika [A-Z][a-z]+", "[name]", text)}), flush=True)
"""


def test_a_command_of_ones_own_takes_names_out_and_what_it_cannot_answer_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "names.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "names.py")]
    house = House(tmp_path, redact={"command": command, "timeout_s": 5.0})
    try:
        house.agent()
        house.ask("I am Erika Mustermann, a@b.example.org")
        (kept,) = [row[0] for row in house.rows("SELECT input FROM traces")]
        assert re.fullmatch(r"I am \[name\], \[email:[0-9a-f]{8}\]", kept)
        house.ask("this is broken for Erika Mustermann")
        assert re.fullmatch(r"\[text:[0-9a-f]{8}\]", house.rows("SELECT input FROM traces ORDER BY at")[1][0])
        assert left(house, ["Mustermann"]) == []
    finally:
        house.app.close()


def test_a_command_that_hangs_leaves_or_is_not_there_answers_nothing_and_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "names.py").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setattr("surefoot.adapters.redact_command.REST_S", 0.0)
    command = RedactCommand([sys.executable, str(tmp_path / "names.py")], timeout_s=3.0, environ={})
    assert command("Erika Musterfrau is here") == "[name] is here"
    for bad in ("slow one", "broken one", "leave now"):
        quick = RedactCommand([sys.executable, str(tmp_path / "names.py")], timeout_s=0.5, environ={})
        assert quick(f"{bad} Erika Mann") is None
        quick.close()
    big = "x " * 300_000
    assert command(big) == big
    assert command("leave now") is None
    assert command("Erika Musterfrau again") == "[name] again"
    command.close()
    gone = RedactCommand(["/there/is/no/such/program"], timeout_s=1.0, environ={})
    assert gone("a text of Erika Mann") is None
    assert gone.failed == 1


def test_hash_keeps_no_text_and_no_name(tmp_path: Path) -> None:
    house = House(tmp_path, redact="hash")
    try:
        house.agent()
        trace = house.ask(
            "a perfectly harmless sentence", actor="somebody", session="room seven", slices={"plan": "free"}
        )
        house.do(observe(house.ports, trace, verdict="failure", feedback="not what I meant at all", sees=any_agent))
        assert left(house, ["harmless sentence", "somebody", "room seven", "meant at all"]) == []
        (slices,) = [row[0] for row in house.rows("SELECT slices FROM traces")]
        assert json.loads(slices) == {"plan": "free"}, "slices are what counts are kept by"
        with house.serving() as door:
            assert len(door.all("/agents/support/traces", "traces", actor="somebody")) == 1
    finally:
        house.app.close()
