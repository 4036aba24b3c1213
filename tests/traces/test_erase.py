"""Erasing a person: nothing of them is left in any byte of the store, and everything else is as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trace_house import GENOME, House

from surefoot.core.audit import verify
from surefoot.core.case import case_id
from surefoot.core.draft import Accepted, Draft
from surefoot.core.edit import Edit
from surefoot.core.errors import Invalid
from surefoot.core.genome import Block, Genome
from surefoot.core.lesson import Lesson
from surefoot.core.memory import Where
from surefoot.core.trace import Pin
from surefoot.engine.erase import erase
from surefoot.engine.inspect import miscounted
from surefoot.engine.register import offer_version
from surefoot.engine.remember import entries, remember
from surefoot.engine.triage import sort_into_cases, triage

SECRET = "ann's cat Whiskerina was charged twice on Rosenweg 17"
OTHER = "bob wants his parcel to arrive before the weekend"


def in_the_file(house: House, text: str) -> list[str]:
    """The files of the store that hold a text, in any of its forms."""
    forms = [text.encode(), json.dumps(text)[1:-1].encode(), text.encode("utf-16-le")]
    files = [path for path in house.path.parent.iterdir() if path.is_file()]
    return [path.name for path in files if any(form in path.read_bytes() for form in forms)]


def right(house: House) -> bool:
    return house.see(lambda tx: tx.deleting.counted_right("support")) and house.do(miscounted(house.ports)) == []


def everything(house: House, *, but: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    names = [row[0] for row in house.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: sorted(map(repr, house.rows(f'SELECT * FROM "{name}"'))) for name in names if name not in but}


def scene(house: House) -> str:
    """Two people in a canary; of ann there is something everywhere; gives the rollout."""
    rollout = house.canary()
    for n in range(3):
        house.ask(f"{SECRET}, time {n}", expected="refund", session="s-ann", actor="ann", external_id=f"a{n}")
        house.ask(f"{OTHER}, time {n}", expected="refund", session="s-bob", actor="bob", external_id=f"b{n}")
    house.ask("ann says hello in a shared room", session="s-both", actor="ann")
    house.ask("bob says hello in a shared room", session="s-both", actor="bob")
    house.app.store.write_now(lambda tx: sort_into_cases(tx, "support"))
    for scope, name in (("actor", "ann"), ("session", "s-ann"), ("session", "s-both"), ("actor", "bob")):
        owner = replace(Where(agent="support"), **{scope: name})
        house.do(remember(house.ports, owner, "note", f"a note for {scope}", scope=scope))
    said = f"{SECRET}, time 1"
    house.do(remember(house.ports, Where(agent="support"), "failures", [{"text": said}, {"text": "mine"}]))
    house.app.store.write_now(lambda tx: tx.lessons.add(
        Lesson(agent="support", text=f"learned from: {said}", evidence="tick 3", tick=3, at=house.clock.now)
    ))  # fmt: skip
    return rollout


def test_nothing_of_the_person_is_left_in_any_byte_and_everybody_elses_is_there(house: House) -> None:
    rollout = scene(house)
    assert in_the_file(house, "Whiskerina")
    counted = house.see(lambda tx: (tx.rollouts.strata(rollout), tx.rollouts.assigned(rollout),
                                    tx.outcomes.labelled("support")))  # fmt: skip
    done = house.do(erase(house.ports, "ann", by="ana"))
    assert in_the_file(house, "Whiskerina") == []
    assert in_the_file(house, "Rosenweg") == []
    assert {kind: done.counts.get(kind) for kind in ("traces", "kept", "failures", "cases", "memory", "quotes")} == {
        "traces": 3, "kept": 1, "failures": 3, "cases": 3, "memory": 2, "quotes": 2,
    }  # fmt: skip
    with house.serving() as door:
        left = door.all("/agents/support/traces", "traces")
        assert {one["actor"] for one in left} == {"bob"}
        assert len(left) == 4
        assert [one["session"] for one in door.all("/agents/support/sessions", "sessions")] == ["s-both", "s-bob"]
        door.post("/outcomes", {"agent": "support", "external_id": "a1", "success": True}, code=404)
    assert house.see(lambda tx: (tx.rollouts.strata(rollout), tx.rollouts.assigned(rollout),
                                 tx.outcomes.labelled("support"))) == counted  # fmt: skip
    assert right(house)
    (failures,) = house.do(entries(house.ports, Where(agent="support"), scope="agent"))
    assert failures.value == [{"text": "[erased]"}, {"text": "mine"}]
    assert len(house.do(entries(house.ports, Where(agent="support", session="s-both"), scope="session"))) == 1
    units = {row[0] for row in house.rows("SELECT unit FROM pins UNION SELECT unit FROM traces")}
    assert not any("ann" in unit for unit in units)
    assert verify(house.see(lambda tx: tx.audit.all())).intact
    entry = house.see(lambda tx: tx.audit.all())[-1]
    assert (entry.actor, entry.action, entry.subject) == ("ana", "erased", f"erasure/{done.id}")
    assert "ann" not in json.dumps(entry.payload)


def test_once_more_finds_nothing_and_changes_nothing_but_the_record(house: House) -> None:
    scene(house)
    house.do(erase(house.ports, "ann", by="ana"))
    before = everything(house, but=("audit",))
    again = house.do(erase(house.ports, "ann", by="ana"))
    assert again.counts == {}
    assert everything(house, but=("audit",)) == before
    assert house.do(erase(house.ports, "nobody", by="ana")).counts == {}


def test_a_dry_run_counts_and_touches_nothing(house: House) -> None:
    scene(house)
    before = everything(house)
    seen = house.do(erase(house.ports, "ann", by="ana", dry_run=True))
    assert (seen.counts["traces"], seen.counts["failures"], seen.counts["memory"], seen.id) == (4, 3, 1, "")
    assert everything(house) == before
    for who, by in (("", "ana"), ("  ", "ana"), ("ann", " ")):
        with pytest.raises(Invalid):
            house.do(erase(house.ports, who, by=by))


def test_what_rests_on_erased_requests_is_listed_under_a_lever_and_not_changed(house: House) -> None:
    house.ask(SECRET, expected="refund", actor="ann")
    house.app.store.write_now(lambda tx: sort_into_cases(tx, "support"))
    case = case_id("support", SECRET, "refund")
    rules = (
        Block(id="quotes", kind="example", text=SECRET, answer="refund"),
        Block(id="cites", kind="rule", text="KNOW refund", evidence=(f"case:{case}",)),
        Block(id="innocent", kind="rule", text="Be brief."),
    )
    house.do(offer_version(house.ports, "support", Genome((*GENOME.blocks, *rules)), by="ann", rationale="learned"))

    def live(tx: Any) -> None:
        tx.versions.move("support", 2, "canary")
        tx.versions.move("support", 2, "live")
        agent = tx.agents.get("support")
        tx.agents.swap(replace(agent, live=2))
        edit = Edit(kind="add_example", target="ex1", text=SECRET, answer="refund")
        accepted = Accepted(proposal="p", lever="l", improver="i", edits=(edit,), evidence="e", rationale="r")
        tx.drafts.swap(Draft(agent="support", on=2, accepted=(accepted,)))

    house.app.store.write_now(live)
    digest = house.see(lambda tx: tx.versions.get("support", 2).genome)
    seen = house.do(erase(house.ports, "ann", by="ana", dry_run=True))
    done = house.do(erase(house.ports, "ann", by="ana"))
    assert [(one.block, one.versions, one.live, one.draft) for one in done.derived] == [
        ("cites", (2,), True, False), ("ex1", (), False, True), ("quotes", (2,), True, False)
    ]  # fmt: skip
    assert seen.derived == done.derived
    assert house.see(lambda tx: tx.versions.get("support", 2).genome) == digest
    assert house.see(lambda tx: tx.versions.genome(digest)).block("quotes").text == SECRET
    levers = house.see(lambda tx: tx.levers.all("support"))
    assert [one.id for one in levers if one.for_people] == sorted(done.levers, key=[one.id for one in levers].index)
    assert "Whiskerina" not in json.dumps([one.title for one in levers])
    house.do(triage(house.ports, "support"))
    assert {one.state for one in house.see(lambda tx: tx.levers.all("support"))} == {"open"}, "a triage closes none"


def test_a_place_that_others_have_too_keeps_its_name(house: House) -> None:
    rollout = house.canary()
    house.ask("first of ann in a room", expected="billing", session="room", actor="ann")
    house.ask("then bob in the room", expected="refund", session="room", actor="bob")
    house.do(erase(house.ports, "ann", by="ana"))
    assert [row[0] for row in house.rows("SELECT unit FROM pins WHERE rollout = ?", rollout)] == ["room"]
    assert right(house)
    house.app.store.write_now(lambda tx: tx.traces.pin(
        Pin(rollout=rollout, unit="user:ann", arm="incumbent", weight_percent=5.0, epoch=1)
    ))  # fmt: skip
    assert house.do(erase(house.ports, "ann", by="ana")).counts == {"places": 1}
    assert right(house)


def test_a_name_is_found_under_the_tag_it_was_stored_under(house: House) -> None:
    house.ask("my address is in my name", actor="ann@example.org")
    assert in_the_file(house, "ann@example.org") == []
    assert house.do(erase(house.ports, "ann@example.org", by="ana")).counts["traces"] == 1


VICTIM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import surefoot.engine.erase as room
room.BATCH = 3
from trace_house import GENOME, House
house = House(Path(sys.argv[2]))
print("going", flush=True)
asyncio.run(room.erase(house.ports, "ann", by="ana"))
print("done", flush=True)
"""


def test_killed_at_any_moment_it_leaves_a_whole_store_and_goes_on_when_repeated(house: House, tmp_path: Path) -> None:
    rollout = house.canary()
    for n in range(30):
        house.ask(f"{SECRET}, time {n}", expected="refund", actor="ann", session=f"s{n}")
    house.ask(OTHER, expected="billing", actor="bob")
    strata = house.see(lambda tx: tx.rollouts.strata(rollout))
    source = str(Path(__file__).parents[2] / "src")
    killed = 0
    for delay in (0.02, 0.06, 0.12, 0.2):
        going = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(Path(__file__).parent), str(tmp_path)],
            env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert going.stdout is not None
        assert going.stdout.readline() == "going\n"
        time.sleep(delay)
        going.send_signal(signal.SIGKILL)
        rest, _ = going.communicate(timeout=30)
        killed += rest == ""
        assert right(house)
        assert house.see(lambda tx: tx.rollouts.strata(rollout)) == strata
    assert killed
    house.do(erase(house.ports, "ann", by="ana"))
    assert in_the_file(house, "Whiskerina") == []
    assert house.see(lambda tx: tx.rollouts.strata(rollout)) == strata
    assert [row[0] for row in house.rows("SELECT input FROM traces WHERE input <> ''")] == [OTHER]
