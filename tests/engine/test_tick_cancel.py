"""A tick that somebody cancels, at each moment of it: what was settled stands, and nothing is written after that."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta

import pytest
from scripted_house import NAME, opened

from surefoot.core.audit import verify
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.engine import cancel
from surefoot.engine.cancel import cancel_tick
from surefoot.engine.release import release
from surefoot.engine.survey import found
from surefoot.engine.tick import tick

WHO = {"by": "olga", "reason": "the wrong model"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A store with an agent that failed often enough; tests start from a copy of it."""
    path = tmp_path_factory.mktemp("prepared") / "store.db"
    house = opened(path, 99)

    async def prepare():
        await house.agent()
        await house.history(240)

    asyncio.run(prepare())
    house.app.close()
    return path


@pytest.fixture
def house(builder, prepared):
    shutil.copy(prepared, builder.path)
    return builder.open()


async def left(house) -> dict[str, object]:
    def work(tx):
        draft = tx.drafts.get(NAME)
        return {
            "accepted": len(draft.accepted) if draft else 0, "lever": tx.marks.get(f"{NAME}/tick/1/lever") is not None,
            "versions": len(tx.versions.all(NAME)), "rollout": tx.rollouts.active(NAME),
            "proposals": [one.state for one in tx.proposals.all(NAME)],
            "ends": [one.payload["outcome"] for one in tx.audit.all() if one.action == "tick-ended"],
            "intact": verify(tx.audit.all()).intact,
        }  # fmt: skip

    return await house.read(work)


@pytest.mark.parametrize("question", [1, 5, 40, 120, 300])
async def test_a_cancel_at_any_answer_of_the_model_leaves_the_draft_as_it_was(house, monkeypatch, question):
    """Nothing looks at the mark while the step goes on: the step's own transaction does."""
    monkeypatch.setattr(cancel, "LOOK_S", 3600)
    count = 0

    async def before(_question):
        nonlocal count
        count += 1
        if count == question:
            assert await cancel_tick(house.app.ports, NAME, 1, **WHO) is False

    house.model.before = before
    report = await tick(house.app.ports, NAME, 1)
    assert count >= question
    assert (report["outcome"], report["sentence"]) == ("cancelled", "olga cancelled it: the wrong model")
    seen = await left(house)
    assert seen | {"proposals": [], "lever": False} == {
        "accepted": 0, "lever": False, "versions": 1, "rollout": None, "proposals": [], "ends": ["cancelled"],
        "intact": True,
    }  # fmt: skip
    assert seen["lever"] is False
    assert "proposed" not in str(seen["proposals"])
    assert (await found(house.app.ports, "tick", f"{NAME}/tick-1", sees=lambda _: True)).state == "cancelled"


async def test_a_step_that_waits_for_its_model_is_dropped_within_a_second(house):
    asked = asyncio.Event()

    async def before(_question):
        asked.set()
        await asyncio.sleep(3600)

    house.model.before = before
    going = asyncio.create_task(tick(house.app.ports, NAME, 1))
    await asyncio.wait_for(asked.wait(), 20)
    await cancel_tick(house.app.ports, NAME, 1, **WHO)
    report = await asyncio.wait_for(going, 5)
    assert report["outcome"] == "cancelled"
    assert await tick(house.app.ports, NAME, 1) == report, "and doing it again finds that it was"


async def test_a_cancel_after_the_lever_was_settled_keeps_it_and_releases_nothing(house, monkeypatch):
    monkeypatch.setattr(cancel, "LOOK_S", 3600)

    async def run(name, work):
        if name == "release":
            await cancel_tick(house.app.ports, NAME, 1, **WHO)
        return await work()

    report = await tick(house.app.ports, NAME, 1, run=run)
    assert (report["outcome"], report["rollout"], report["release"]) == ("cancelled", None, None)
    assert report["lever"]
    seen = await left(house)
    assert (seen["accepted"], seen["lever"], seen["versions"], seen["rollout"]) == (1, True, 1, None)
    assert seen["proposals"].count("accepted") == 1


async def test_a_cancel_while_the_sealed_cases_are_asked_makes_no_version(house, monkeypatch):
    monkeypatch.setattr(cancel, "LOOK_S", 3600)

    async def once(_question):
        house.model.before = None
        await cancel_tick(house.app.ports, NAME, 1, **WHO)

    async def run(name, work):
        house.model.before = once if name == "release" else None
        return await work()

    report = await tick(house.app.ports, NAME, 1, run=run)
    assert (report["outcome"], report["rollout"], report["release"]) == ("cancelled", None, None)
    seen = await left(house)
    assert (seen["accepted"], seen["versions"], seen["rollout"]) == (1, 1, None)


async def test_a_cancel_between_the_version_and_its_rollout_begins_none(house, monkeypatch):
    monkeypatch.setattr(cancel, "LOOK_S", 3600)

    async def then_cancelled(*given, **more):
        done = await release(*given, **more)
        await cancel_tick(house.app.ports, NAME, 1, **WHO)
        return done

    monkeypatch.setattr("surefoot.engine.tick.release", then_cancelled)
    report = await tick(house.app.ports, NAME, 1)
    assert (report["outcome"], report["rollout"]) == ("cancelled", None)
    assert (await left(house))["rollout"] is None


async def test_a_cancel_that_comes_after_the_last_step_changes_nothing(house):
    async def run(name, work):
        done = await work()
        if name == "release":
            await cancel_tick(house.app.ports, NAME, 1, **WHO)
        return done

    report = await tick(house.app.ports, NAME, 1, run=run)
    assert report["outcome"] == "accepted"
    assert (await found(house.app.ports, "tick", f"{NAME}/tick-1", sees=lambda _: True)).state == "done"
    with pytest.raises(Conflict, match="has ended: accepted"):
        await cancel_tick(house.app.ports, NAME, 1, **WHO)


async def test_the_next_tick_after_a_cancelled_one_mends_what_that_one_would_have(house):
    async def once(_question):
        house.model.before = None
        await cancel_tick(house.app.ports, NAME, 1, **WHO)
        await asyncio.sleep(3600)

    house.model.before = once
    assert (await tick(house.app.ports, NAME, 1))["outcome"] == "cancelled"
    house.clock.advance(house.clock() + timedelta(days=1))
    report = await tick(house.app.ports, NAME, 2)
    assert (report["outcome"], len(report["edits"])) == ("accepted", 1)
    assert (await left(house))["versions"] == 2


async def test_only_a_tick_that_goes_on_can_be_cancelled_and_only_with_a_name_and_a_reason(house):
    for number in (0, 1, -1, 10**6):
        with pytest.raises(NotFound):
            await cancel_tick(house.app.ports, NAME, number, **WHO)
    for who in ({"by": "", "reason": "x"}, {"by": "olga", "reason": " "}):
        with pytest.raises(Invalid):
            await cancel_tick(house.app.ports, NAME, 1, **who)
