"""Failures over HTTP: what became of each cluster, and what a person makes of one, at every door alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from dashboard_house import ROLES, Place, Reader, serving
from hostile import MARK, PAYLOADS

from surefoot.config import TokenSettings
from surefoot.core.token import hashed

AGENT = "refunds"


@pytest.fixture
def desk(hamlet_store: Path, tmp_path: Path) -> Iterator[Place]:
    held = TokenSettings(sha256=hashed("sf_held"), role="admin", agents=("router",))
    store = Path(shutil.copy(hamlet_store, tmp_path / "store.db"))
    with serving(store, tokens={**ROLES, "held": held}, with_api=True) as place:
        yield place


def clusters(place: Place, name: str = "bob") -> dict[str, dict[str, Any]]:
    return {one["key"]: one for one in place.reader(name).look(f"/agents/{AGENT}/failures.json").json["rows"]}


def without_lever(place: Place) -> dict[str, Any]:
    return next(one for one in clusters(place).values() if not one["lever"])


def at(key: str) -> str:
    return f"/agents/{AGENT}/failures?cluster={quote(key)}"


def word(reader: Reader) -> str:
    return reader.look(at("missed:account")).form_word()


def call(reader: Reader, path: str, body: dict[str, Any], name: str) -> Any:
    return reader.ask("POST", path, json.dumps(body), Content_Type="application/json",
                      Authorization=f"Bearer sf_{name}")  # fmt: skip


def test_a_person_makes_a_lever_of_a_cluster_and_finds_it_in_the_backlog(desk: Place) -> None:
    olga, one = desk.reader("olga"), without_lever(desk)
    assert (one["status"], "Make a lever" in olga.look(at(one["key"])).words) == ("new", True)
    sent = olga.send(f"/agents/{AGENT}/failures/lever", form_word=word(olga), cluster=one["key"], lever="",
                     reason="three people called")  # fmt: skip
    assert sent.status == 303, sent.words
    page = olga.look(sent.headers["location"])
    assert "The lever is in the backlog." in page.words
    assert "three people called" in page.words
    after = clusters(desk)[one["key"]]
    assert (after["status"], bool(after["lever"])) == ("known", True)
    (entry,) = [one for one in desk.see(lambda tx: tx.audit.all()) if one.action == "lever-made"]
    assert (entry.actor, entry.payload["lever"]) == ("olga", after["lever"])


def test_who_makes_it_again_is_told_kindly_and_keeps_what_they_wrote(desk: Place) -> None:
    olga, one = desk.reader("olga"), without_lever(desk)
    sent = [olga.send(f"/agents/{AGENT}/failures/lever", form_word=word(olga), cluster=one["key"], lever="",
                      reason="because") for _ in range(2)]  # fmt: skip
    assert [one.status for one in sent] == [303, 409]
    assert "answers this already: it is open" in sent[1].words
    assert "Make a lever" not in sent[1].words


def test_a_regressed_cluster_opens_its_lever_again(desk: Place) -> None:
    shipped = next(one for one in clusters(desk).values() if one["lever_state"] == "shipped")
    olga = desk.reader("olga")
    assert shipped["status"] == "regressed"
    sent = olga.send(f"/agents/{AGENT}/failures/lever", form_word=word(olga), cluster=shipped["key"],
                     lever=shipped["lever"], reason="it is back")  # fmt: skip
    assert sent.status == 303
    assert clusters(desk)[shipped["key"]]["status"] == "known"


def test_a_cluster_is_fixed_in_the_version_that_mends_it_until_that_fails_so(desk: Place) -> None:
    key = next(key for key, one in clusters(desk).items() if one["lever_state"] == "shipped")

    def ship(number: int) -> None:
        def work(tx: Any) -> None:
            lever = next(one for one in tx.levers.all(AGENT) if one.gap == key)
            tx.levers.put(replace(lever, shipped_in=number))
            tx.agents.swap(replace(tx.agents.get(AGENT), live=2))

        desk.change(work)

    ship(2)
    failing = set(clusters(desk)[key]["versions"])
    assert clusters(desk)[key]["status"] == ("regressed" if 2 in failing else "fixed in v2")
    ship(1)
    assert clusters(desk)[key]["status"] == "regressed"


def test_a_person_makes_a_request_a_case_and_nobody_is_told_its_side(desk: Place) -> None:
    bob, one = desk.reader("bob"), clusters(desk)["missed:account"]
    trace = one["examples"][0]["failure"]["trace_id"]
    before = sum(desk.see(lambda tx: tx.cases.counts(AGENT)).values())
    fields = {"cluster": one["key"], "trace": trace, "expected": "account"}
    sent = [bob.send(f"/agents/{AGENT}/failures/case", form_word=word(bob), **fields) for _ in range(2)]
    assert [one.status for one in sent] == [303, 409]
    page = bob.look(sent[0].headers["location"])
    assert "It is a case now." in page.words
    assert "is a case already" in sent[1].words
    assert sum(desk.see(lambda tx: tx.cases.counts(AGENT)).values()) == before + 1
    assert not any(f" {side} " in page.words for side in ("sealed", "hidden", "untouched"))


def test_each_example_leads_to_its_trace(desk: Place) -> None:
    one = clusters(desk)["missed:account"]
    page = desk.reader("bob").look(at(one["key"]))
    for example in one["examples"]:
        assert f'href="/traces/{example["failure"]["trace_id"]}"' in page.text


@pytest.mark.parametrize(("name", "lever", "case"), [("ana", 303, 303), ("olga", 303, 403), ("bob", 403, 303),
                                                     ("vera", 403, 403)])  # fmt: skip
def test_each_role_sees_the_buttons_it_may_press_and_the_others_do_nothing(
    desk: Place, name: str, lever: int, case: int
) -> None:
    reader, one = desk.reader(name), without_lever(desk)
    page = reader.look(at(one["key"]))
    assert ("Make a lever" in page.words, "Add as case" in page.words) == (lever == 303, case == 303)
    mark = page.form_word() if 'name="form_word"' in page.text else reader.look("/audit/chain").form_word()
    trace = one["examples"][0]["failure"]["trace_id"]
    made = reader.send(f"/agents/{AGENT}/failures/lever", form_word=mark, cluster=one["key"], lever="", reason="r")
    added = reader.send(f"/agents/{AGENT}/failures/case", form_word=mark, cluster=one["key"], trace=trace,
                        expected=one["key"].removeprefix("missed:"))  # fmt: skip
    assert (made.status, added.status) == (lever, case), (made.words, added.words)


@pytest.mark.parametrize("deed", ["lever", "case"])
def test_a_form_of_another_site_or_another_visit_does_nothing(desk: Place, deed: str) -> None:
    ana, one = desk.reader("ana"), without_lever(desk)
    trace = one["examples"][0]["failure"]["trace_id"]
    fields = {"cluster": one["key"], "trace": trace, "lever": "", "reason": "r", "expected": "account"}
    assert ana.send(f"/agents/{AGENT}/failures/{deed}", form_word=word(desk.reader("olga")), **fields).status == 403
    assert ana.send(f"/agents/{AGENT}/failures/{deed}", **fields).status == 403
    assert "lever-made" not in {one.action for one in desk.see(lambda tx: tx.audit.all())}


def test_a_token_held_to_another_agent_learns_nothing_of_this_one(desk: Place) -> None:
    trace = clusters(desk)["missed:account"]["examples"][0]["failure"]["trace_id"]
    told: list[Any] = []
    for agent in (AGENT, "nobody"):
        path = f"/api/v1/agents/{agent}"
        made = call(desk.reader(), f"{path}/levers", {"failure": "missed:account", "reason": "r"}, "held")
        added = call(desk.reader(), f"{path}/cases", {"trace_id": trace}, "held")
        told.append([(one.status, one.text.replace(agent, "…")) for one in (made, added)])
    assert told[0] == told[1]
    assert {status for status, _ in told[0]} == {403}
    assert call(desk.reader(), "/api/v1/agents/router/cases", {"trace_id": trace}, "held").status == 404
    held = desk.reader("held")
    assert held.look(at("missed:account")).status == 404


def test_the_api_does_the_same_and_says_the_same(desk: Place) -> None:
    one, reader = without_lever(desk), desk.reader()
    path = f"/api/v1/agents/{AGENT}"
    made = call(reader, f"{path}/levers", {"failure": one["key"], "reason": "why not"}, "olga")
    assert (made.status, made.json["gap"], made.json["state"]) == (201, one["key"], "open")
    assert call(reader, f"{path}/levers", {"failure": one["key"], "reason": "again"}, "olga").status == 409
    assert call(reader, f"{path}/levers", {"failure": "missed:nothing", "reason": "r"}, "olga").status == 404
    assert call(reader, f"{path}/levers", {"failure": one["key"], "reason": "r"}, "bob").status == 403
    trace = one["examples"][0]["failure"]["trace_id"]
    added = call(reader, f"{path}/cases", {"trace_id": trace}, "bob")
    assert (added.status, set(added.json)) == (201, {"agent", "case", "trace_id"})
    assert call(reader, f"{path}/cases", {"trace_id": trace}, "bob").status == 409
    assert call(reader, f"{path}/cases", {"trace_id": "nothing"}, "bob").status == 404
    assert call(reader, f"{path}/cases", {"trace_id": trace}, "app").status == 403


@pytest.mark.parametrize("text", PAYLOADS[:6])
def test_what_a_person_writes_is_shown_and_never_run(desk: Place, text: str) -> None:
    olga, one = desk.reader("olga"), without_lever(desk)
    sent = olga.send(f"/agents/{AGENT}/failures/lever", form_word=word(olga), cluster=one["key"], lever="",
                     reason=text)  # fmt: skip
    page = olga.look(sent.headers["location"])
    assert page.status == 200
    assert f"<script>{MARK}" not in page.text
    assert "<img src=x" not in page.text


def test_who_may_not_read_learns_from_no_cluster_and_no_lever_what_was_expected_or_answered(desk: Place) -> None:
    """The attack: a viewer looks for the texts that name causes: in pages, twins, addresses and the API."""
    secret = "kestrel 7741 says so"
    found = desk.see(lambda tx: tx.levers.all(AGENT))
    for one in found:
        named = replace(one, gap=f"{one.gap} {secret}", title=f"{secret} answered as {secret}", note=f"vera: {secret}")
        desk.change(lambda tx, lever=named: tx.levers.put(lever))
        desk.change(lambda tx, name=one.id: tx.levers.note(AGENT, name, desk.app.ports.clock(), f"open: {secret}"))
    known, lever = clusters(desk), next(one.lever for one in desk.see(lambda tx: tx.proposals.all(AGENT)))
    texts = {*known, *(one["title"] for one in known.values()), secret}
    vera, bob = desk.reader("vera"), desk.reader("bob")
    vera.cookie += "; surefoot_texts=shown"
    asked = desk.see(lambda tx: tx.approvals.all(AGENT))[-1].id
    masked = {one["key"]: one for one in vera.look(f"/agents/{AGENT}/failures.json").json["rows"]}
    assert len(masked) == len(known)
    assert not set(masked) & set(known)
    pages = [
        f"/agents/{AGENT}/failures", *(at(key) for key in masked), f"/agents/{AGENT}/levers",
        *(f"/agents/{AGENT}/levers?lever={one.id}" for one in found), "/runs", f"/agents/{AGENT}/evals",
        f"/agents/{AGENT}/versions", f"/approvals/{asked}", "/palette",
    ]  # fmt: skip
    twins = [path.replace("?", ".json?", 1) if "?" in path else f"{path}.json" for path in pages]
    for path in [*pages[:-1], *twins]:
        got = vera.look(path)
        assert got.status == 200, path
        assert [one for one in texts if one in got.words or one in got.text] == [], path
    told = 0
    for path in (f"levers/{lever}", "levers", "proposals", "failures"):
        mine, theirs = (desk.reader().ask("GET", f"/api/v1/agents/{AGENT}/{path}", Authorization=f"Bearer sf_{name}")
                        for name in ("vera", "bob"))  # fmt: skip
        assert (mine.status, theirs.status) == (200, 200)
        assert [one for one in texts if one in mine.text] == [], path
        assert '"hidden":true' in mine.text.replace(" ", ""), path
        told += secret in theirs.text
    assert told == 2
    assert secret in bob.look(f"/agents/{AGENT}/levers?lever={lever}").words
    for key in known:  # nobody tries texts out by the address either
        assert vera.look(f"/agents/{AGENT}/failures.json?cluster={quote(key)}").json["shown"] is None


def test_a_cluster_is_opened_and_made_a_lever_by_its_digest_where_texts_are_hidden(desk: Place) -> None:
    one = without_lever(desk)
    rows = desk.reader("vera").look(f"/agents/{AGENT}/failures.json").json["rows"]
    place = list(clusters(desk)).index(one["key"])
    assert rows[place]["title"] == f"a missed answer, {one['failures']} failures"
    shown = desk.reader("vera").look(f"/agents/{AGENT}/failures.json?cluster={rows[place]['key']}").json["shown"]
    assert shown["key"] == rows[place]["key"]
    olga = desk.reader("olga")
    olga.cookie += "; surefoot_texts=hidden"
    sent = olga.send(f"/agents/{AGENT}/failures/lever", form_word=word(olga), cluster=rows[place]["key"], lever="",
                     reason="they called")  # fmt: skip
    assert sent.status == 303, sent.words
    assert clusters(desk)[one["key"]]["lever"]
