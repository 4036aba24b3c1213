"""The sentinel: what the live version answers is compared with its own history, and a move freezes rollouts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from scripted_house import HABITS, NAME

from surefoot.core.budget import Budget
from surefoot.core.errors import BudgetExhausted, Conflict, Invalid, Unavailable
from surefoot.core.sentinel import (
    ALARM_AT,
    NIGHT,
    Banked,
    against_history,
    bank,
    drift_path,
    move,
    tonight,
)
from surefoot.engine.operate import reconcile
from surefoot.engine.sentinel import open_alarm, seen, sentinel
from surefoot.ports import Answer, Question

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
async def watched(house):
    """An agent that is right on all labels, with a hundred banked cases."""
    await house.agent()
    number = await house.offer("billing", "refund")

    def live(tx):
        tx.versions.move(NAME, number, "canary")
        tx.versions.move(NAME, number, "live")
        tx.agents.swap(replace(tx.agents.get(NAME), live=number))

    await house.write(live)
    await house.cases(100, "val")
    return house


async def nights(house, count: int):
    """So many nights; gives the last."""
    for _ in range(count):
        house.later(days=1)
        night = await sentinel(house.ports, NAME)
    return night


def forgets(label: str):
    """The provider's model, changed underneath: it no longer knows a label."""

    def trouble(asked: Question) -> Answer | None:
        return Answer(text="other") if asked.user.endswith(f"#{label}") else None

    return trouble


async def test_a_steady_model_raises_no_alarm_and_each_case_is_asked_once_a_night(watched):
    night = await nights(watched, 10)
    assert (night.alarm, night.asked, night.banked, night.compared) == ("", 50, 50, 400)
    assert (night.before, night.after) == (1.0, 1.0)
    rows = await watched.read(lambda tx: tx.banked.of(NAME, 2))
    assert max(Counter((row.window, row.case) for row in rows).values()) == 1
    assert set(Counter(row.case for row in rows).values()) == {5}, "the bank is gone through evenly"


async def test_a_provider_that_changes_underneath_is_caught_and_named(watched):
    await nights(watched, 6)
    watched.model.trouble = forgets("billing")
    night = await nights(watched, 2)
    assert night.alarm, "on the second night at the latest"
    moved = night.moved
    assert moved is not None
    assert moved.slices[0].name == "label=billing"
    assert (moved.slices[0].before, moved.slices[0].after) == (1.0, 0.0)
    assert moved.before == 1.0
    assert moved.after < 0.8
    assert {(usual, now) for _, usual, now in moved.answers} == {("billing", "other")}
    assert "label=billing 100 % → 0 %" in night.alarm
    assert (await watched.actions())[-1] == "sentinel-alarm"


async def test_answers_that_ticks_remember_are_not_believed(watched):
    def cached(tx):
        genome = tx.versions.get(NAME, 2).genome
        tx.scores.add(genome, "scripted", [(case.id, 0, "x", 0.0) for case in tx.cases.of(NAME, ("val",))])

    await watched.write(cached)
    await nights(watched, 1)
    assert len(watched.model.asked) == 50
    assert all(row.score == 1.0 for row in await watched.read(lambda tx: tx.banked.of(NAME, 2)))


async def test_the_same_window_twice_counts_once_however_often_it_runs(watched):
    await nights(watched, 3)
    before = await watched.read(lambda tx: tx.banked.of(NAME, 2))
    watched.model.trouble = forgets("billing")
    for _ in range(30):
        night = await sentinel(watched.ports, NAME)
    assert (night.asked, night.alarm) == (0, "")
    await asyncio.gather(*(sentinel(watched.ports, NAME, window="2026-02-01") for _ in range(3)))
    after = await watched.read(lambda tx: tx.banked.of(NAME, 2))
    assert after[: len(before)] == before
    assert len(after) == len(before) + 50


async def test_a_night_that_was_killed_goes_on_and_asks_nothing_twice(watched, monkeypatch):
    await nights(watched, 2)
    watched.later(days=1)
    write, left = type(watched.app.store).write, [2]

    async def dies(store, work):
        if work.__name__ == "record":
            left[0] -= 1
            if left[0] == 0:
                raise ConnectionAbortedError
        return await write(store, work)

    monkeypatch.setattr(type(watched.app.store), "write", dies)
    with pytest.raises(ConnectionAbortedError):
        await sentinel(watched.ports, NAME)
    night = await sentinel(watched.ports, NAME)
    assert (night.asked, night.banked) == (25, 50)
    assert (await sentinel(watched.ports, NAME)).asked == 0
    spent = await watched.spent(f"day/{watched.ports.clock():%Y-%m-%d}")
    assert spent.calls == 50, "the night's reservation that was lost is found again"


async def test_an_alarm_stays_open_until_a_person_has_looked_and_what_is_then_is_the_new_history(watched):
    await nights(watched, 6)
    watched.model.trouble = forgets("billing")
    night = await nights(watched, 4)
    assert night.alarm
    assert await watched.read(lambda tx: open_alarm(tx, NAME)) == night.alarm
    assert (await watched.actions()).count("sentinel-alarm") == 1
    with pytest.raises(Invalid):
        await seen(watched.ports, NAME, by=" ")
    assert await seen(watched.ports, NAME, by="ann", why="the provider said so") == night.alarm
    assert await watched.read(lambda tx: open_alarm(tx, NAME)) == ""
    with pytest.raises(Conflict):
        await seen(watched.ports, NAME, by="ann")
    assert (await nights(watched, 10)).alarm == ""
    watched.model.trouble = lambda asked: None  # and back again: that is a move too
    assert (await nights(watched, 4)).alarm
    assert (await watched.actions()).count("sentinel-alarm") == 2


async def test_another_live_version_begins_a_history_of_its_own(watched):
    await nights(watched, 6)
    number = await watched.offer("BREAK billing when you see it.")

    def live(tx):
        tx.versions.move(NAME, number, "canary")
        tx.versions.move(NAME, number, "live")
        tx.agents.swap(replace(tx.agents.get(NAME), live=number))

    await watched.write(live)
    night = await nights(watched, 1)
    assert (night.version, night.compared) == (number, 0)
    assert (await nights(watched, 6)).alarm == ""


async def test_a_model_that_gives_no_answer_is_no_failure_and_is_asked_again_the_same_night(watched):
    await nights(watched, 4)

    def silent(asked: Question) -> Answer | None:
        raise Unavailable("down", hint="wait")

    watched.model.trouble = silent
    night = await nights(watched, 3)
    assert (night.unanswered, night.banked, night.alarm) == (50, 0, "")
    watched.model.trouble = lambda asked: None
    assert (await sentinel(watched.ports, NAME)).banked == 50


async def test_only_cases_that_nothing_is_spent_on_are_banked(house):
    await house.agent()
    for split in ("sealed", "untouched", "later", "hidden"):
        await house.cases(20, split)
    with pytest.raises(Invalid):
        await sentinel(house.ports, NAME)
    await house.cases(10, "shown")
    await house.cases(10, "val")
    await sentinel(house.ports, NAME)
    banked = {row.case for row in await house.read(lambda tx: tx.banked.of(NAME, 1))}
    assert banked == {case.id for case in await house.read(lambda tx: tx.cases.of(NAME, ("shown", "val")))}


async def test_money_is_reserved_before_a_night_begins(watched):
    await watched.change(habits=replace(HABITS, day_budget=Budget(calls=30)))
    with pytest.raises(BudgetExhausted):
        await nights(watched, 1)
    assert len(watched.model.asked) == 25, "the second chunk found no room, and was not asked"


def rehearsed(seed: int, *, flips: float, count: int, moves_at: int | None = None) -> int | None:
    """Nights of a model whose every answer flips with some chance; gives the night of the first alarm."""
    chance, cases = random.Random(seed), [f"{seed}-{number}" for number in range(120)]
    kept, rows, changed = bank(cases, "salt"), list[Banked](), set[str]()
    for night in range(count):
        if night == moves_at:
            changed = {case for case in cases if sha256(case.encode()).digest()[0] < 64}
        history = Counter(row.case for row in rows)
        for case in tonight(kept, history, ()):
            right = (chance.random() >= flips) != (case in changed)
            rows.append(Banked(
                agent=NAME, window=f"{night:03}", case=case, version=1, model="m", at=START,
                answer="right" if right else "wrong", score=float(right),
            ))  # fmt: skip
    compared = against_history(rows)
    path = zip(compared, drift_path(compared), strict=True)
    return next((int(one.row.window) for one, evidence in path if evidence >= ALARM_AT), None)


def test_a_noisy_provider_hardly_ever_raises_an_alarm_over_sixty_nights():
    assert sum(rehearsed(seed, flips=0.10, count=60) is not None for seed in range(30)) <= 2


@pytest.mark.slow
def test_a_noisy_provider_raises_an_alarm_in_at_most_one_of_twenty_stories():
    alarms = sum(rehearsed(seed, flips=0.10, count=60) is not None for seed in range(400))
    assert alarms <= 20, alarms


def test_a_move_of_a_quarter_of_the_cases_is_caught_through_the_noise():
    found = [rehearsed(seed, flips=0.10, count=35, moves_at=20) for seed in range(8)]
    assert all(night is not None and 20 <= night < 35 for night in found), found


def test_history_is_the_mean_of_earlier_windows_and_repeats_in_a_window_do_not_count():
    def row(window: str, score: float) -> Banked:
        return Banked(agent=NAME, window=window, case="c", version=1, model="m", at=START, answer=str(score),
                      score=score)  # fmt: skip

    compared = against_history([row("1", 1.0), row("2", 1.0), row("2", 0.0), row("2", 0.0), row("3", 0.0)])
    assert [(one.before, one.row.score, one.usual) for one in compared] == [(1.0, 1.0, "1.0"), (1.0, 0.0, "1.0")]
    moved = move(compared)
    assert moved is not None
    assert (moved.since, moved.before, moved.after, moved.cases) == ("3", 1.0, 0.0, 1)


def test_the_bank_is_drawn_by_hash_and_keeps_its_cases_as_others_come():
    first = bank([f"c{number}" for number in range(1000)], "salt")
    assert first != bank([f"c{number}" for number in range(1000)], "pepper")
    grown = bank([f"c{number}" for number in range(1100)], "salt")
    assert len(set(first) & set(grown)) > 160
    assert len(tonight(first, {}, ())) == NIGHT
    assert tonight(first, dict.fromkeys(first[:60], 1), ())[0] == first[60]


async def test_an_alarm_freezes_the_rollout_in_progress_until_a_person_has_looked(watched):
    await nights(watched, 6)
    rollout = await watched.rollout("nothing")
    assert rollout.weight_percent == 5.0
    watched.model.trouble = forgets("billing")
    night = await nights(watched, 2)
    row = await reconcile(watched.ports, rollout.id)
    assert (row.reason, row.evidence["state"], row.weight_after) == ("alarm", "frozen", 0.0)
    assert night.alarm.rstrip(".") in row.sentence
    await seen(watched.ports, NAME, by="ann")
    open_ones = [one for one in await watched.read(lambda tx: tx.incidents.all(NAME)) if one.state == "open"]
    assert open_ones == []
