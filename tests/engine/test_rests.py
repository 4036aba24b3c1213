"""An agent with nothing to do is left in peace, and one with something new is looked at again at once."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_house import NAME, House

from surefoot.cli.worker import Shift
from surefoot.core.errors import Conflict
from surefoot.engine.adjust import adjust
from surefoot.engine.tick import next_number, tick

PAUSE_S = 5.0


class Worker:
    """Runs a tick where it stands, and looks at no rollout."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def tick(self, name: str) -> dict[str, Any]:
        return await tick(self.house.ports, name, await next_number(self.house.ports, name))

    async def sentinel(self, _: str) -> dict[str, Any]:
        return {"alarm": ""}


async def shift_of(house: House, pause_s: float = PAUSE_S) -> tuple[Shift, Worker]:
    await house.agent()
    desk: Any = SimpleNamespace(as_json=True)
    return Shift(desk, house.app, NAME, pause_s=pause_s, ticks=None, until_idle=False), Worker(house)


async def ticks(house: House) -> int:
    return (await house.read(lambda tx: tx.agents.get(NAME))).tick


async def worked(house: House, shift: Shift, worker: Any, *, seconds: float, pause_s: float = PAUSE_S) -> int:
    """Take a turn in every pause for so long; gives how many ticks began."""
    before = await ticks(house)
    for _ in range(int(seconds / pause_s)):
        await shift.turn(worker)
        house.later(seconds=pause_s)
    return await ticks(house) - before


async def test_nothing_new_is_looked_at_once_an_hour(house: House) -> None:
    shift, worker = await shift_of(house, 60)
    assert await worked(house, shift, worker, seconds=3 * 3600, pause_s=60) == 3


async def test_what_comes_in_all_the_time_is_looked_at_once_a_minute(house: House) -> None:
    shift, worker = await shift_of(house)
    for minute in range(6):
        await house.history(1, start=minute)
        await worked(house, shift, worker, seconds=60)
    assert 6 <= await ticks(house) <= 10


@pytest.mark.parametrize("what", ["outcome", "person"])
async def test_what_is_new_is_looked_at_in_the_next_turn(house: House, what: str) -> None:
    shift, worker = await shift_of(house)
    await worked(house, shift, worker, seconds=120)
    if what == "outcome":
        await house.history(1)
    else:
        await adjust(house.ports, NAME, {"min_failures": 3}, by="ann")
    assert await worked(house, shift, worker, seconds=PAUSE_S) == 1
    assert await worked(house, shift, worker, seconds=120) == 0


async def test_an_outcome_that_comes_while_a_tick_ends_is_not_overlooked(house: House) -> None:
    shift, worker = await shift_of(house)
    run = worker.tick

    async def and_meanwhile(name: str) -> dict[str, Any]:
        report = await run(name)
        await house.history(1)
        return report

    worker.tick = and_meanwhile
    assert await worked(house, shift, worker, seconds=PAUSE_S) == 1
    worker.tick = run
    assert await worked(house, shift, worker, seconds=PAUSE_S) == 1


async def test_a_candidate_that_waits_for_a_person_is_nothing_to_do(house: House) -> None:
    shift, worker = await shift_of(house)

    async def waits(name: str) -> dict[str, Any]:
        await tick(house.ports, name, await next_number(house.ports, name))
        return {"outcome": "nothing_to_fix", "release": {"reason": "resumed"}, "waits": "its autonomy is propose"}

    worker.tick = waits
    assert await worked(house, shift, worker, seconds=120) == 1


async def test_a_model_that_did_not_answer_is_asked_again_within_a_minute(house: House) -> None:
    shift, worker = await shift_of(house)
    run = worker.tick

    async def unanswered(name: str) -> dict[str, Any]:
        return {**await run(name), "outcome": "hold", "reason": "it gave no answer", "passing": True}

    worker.tick = unanswered
    assert 4 <= await worked(house, shift, worker, seconds=120) <= 6


async def test_what_only_time_lifts_is_tried_again_within_a_minute(house: House) -> None:
    shift, worker = await shift_of(house)
    run, lifted = worker.tick, house.ports.clock() + timedelta(minutes=4)

    async def not_yet(name: str) -> dict[str, Any]:
        if house.ports.clock() < lifted:
            raise Conflict("inside the cooldown")
        return await run(name)

    worker.tick = not_yet
    assert await worked(house, shift, worker, seconds=240) == 0
    assert await worked(house, shift, worker, seconds=60) == 1
