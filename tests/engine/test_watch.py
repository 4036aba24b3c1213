"""After the promotion: a holdback that sees a regression, and what follows when a live version is taken back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest
from scripted_house import EAGER, HABITS, NAME, say
from scripted_house import new_seat as seat_of

from surefoot.core.audit import verify
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound
from surefoot.core.incident import Incident
from surefoot.core.score import Outcome
from surefoot.core.token import any_agent
from surefoot.core.trace import Trace
from surefoot.engine.approve import approve
from surefoot.engine.incident import close, listed
from surefoot.engine.inspect import miscounted
from surefoot.engine.observe import observe, violate
from surefoot.engine.operate import reconcile
from surefoot.engine.register import stop
from surefoot.engine.rollback import rollback, thaw, wish

HELD = replace(EAGER, holdback_percent=5.0, baseline_rate=0.1)
A_DAY = 300


async def promoted(house, **terms):
    """A version that was promoted the whole way, with a holdback."""
    await house.agent(habits=replace(HABITS, rollout=replace(HELD, **terms)))
    rollout = await house.won((await house.rollout()).id)
    await approve(house.ports, rollout.approval, "approved", by="bob")
    await reconcile(house.ports, rollout.id)
    return await house.standing(rollout.id)


async def day(house, number: int, rate, *, requests: int = A_DAY, dice: Random | None = None) -> None:
    """A day of traffic; `rate(version)` is how often an answer of that version is wrong."""
    dice, now = dice or Random(number), house.clock()
    ids = [house.ports.new_id() for _ in range(requests)]

    def work(tx):
        for at, trace_id in enumerate(ids):
            unit = f"day-{number}-{at}"
            seat = seat_of(tx, NAME, unit)
            tx.traces.add(Trace(
                id=trace_id, agent=NAME, version=seat.version, unit=unit, input=say(unit, "refund"), output="refund",
                finish="stop", at=now, rollout=seat.rollout, arm=seat.arm, source=unit,
                weight_percent=seat.assignment.weight_percent, epoch=seat.assignment.epoch,
            ))  # fmt: skip
            verdict = "failure" if dice.random() < rate(seat.version) else "success"
            tx.outcomes.add(Outcome(trace_id=trace_id, verdict=verdict, at=now, source="test"))

    await house.write(work)
    house.later(days=1)


async def watched(house, rollout, rate, days: int = 7):
    """Days of traffic, each looked at; gives the rows."""
    rows = []
    for number in range(days):
        await day(house, number, lambda version, n=number: rate(version, n))
        rows.append(await reconcile(house.ports, rollout.id))
    return rows


def regression(version: int, number: int) -> float:
    return 0.3 if version == 2 and number >= 2 else 0.1


# Serving ------------------------------------------------------------------------------------------------------------


async def test_units_are_drawn_anew_for_the_holdback_and_each_keeps_its_version(house):
    rollout = await promoted(house)
    assert rollout.watched
    scope = rollout.holdback_scope
    served = {n: (await house.serve(n, unit=f"u{n}")).version for n in range(200)}
    assert set(served.values()) == {1, 2}
    assert {n: (await house.serve(n, unit=f"u{n}")).version for n in range(200)} == served
    [(epoch, weight, new, old)] = await house.read(lambda tx: tx.rollouts.assigned(scope))
    assert (epoch, weight, new + old) == (0, 95, 200)
    assert old == sum(version == 1 for version in served.values())
    assert 2 <= old <= 22
    assert await miscounted(house.ports) == []


async def test_a_unit_that_the_canary_had_pinned_to_the_old_version_moves_to_the_new_one(house):
    await house.agent(habits=replace(HABITS, rollout=HELD))
    rollout = await house.rollout()
    before = {n: (await house.serve(n, unit=f"u{n}")).version for n in range(100)}
    won = await house.won(rollout.id, start=10_000)
    await approve(house.ports, won.approval, "approved", by="bob")
    await reconcile(house.ports, rollout.id)
    after = {n: (await house.serve(n, unit=f"u{n}")).version for n in range(100)}
    assert sum(version == 1 for version in before.values()) > 80
    assert sum(version == 1 for version in after.values()) < 20


async def test_labels_of_the_holdback_do_not_mix_with_those_of_the_canary(house):
    rollout = await promoted(house)
    before = await house.read(lambda tx: tx.rollouts.strata(rollout.id))
    await day(house, 1, lambda _version: 0.5)
    assert await house.read(lambda tx: tx.rollouts.strata(rollout.id)) == before
    stream = await house.read(lambda tx: tx.rollouts.label_stream(rollout.holdback_scope))
    assert len(stream) == A_DAY
    assert {weight for _, weight, _ in stream} == {95.0}


async def test_the_kill_switch_takes_the_holdback_away_before_anyone_looks(house):
    rollout = await promoted(house)
    await stop(house.ports, NAME, by="eve")
    assert {(await house.serve(n)).version for n in range(60)} == {2}
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason) == ("close", "kill_switch")
    await stop(house.ports, NAME, by="eve", stopped=False)
    assert {(await house.serve(n)).version for n in range(60, 120)} == {2}


async def test_no_holdback_is_kept_when_none_was_declared(house):
    rollout = await promoted(house, holdback_percent=0)
    assert not rollout.watched
    assert {(await house.serve(n)).version for n in range(100)} == {2}
    assert (await reconcile(house.ports, rollout.id)).reason == "finished"


# The alarm ----------------------------------------------------------------------------------------------------------


async def test_a_regression_after_the_promotion_is_swapped_back_where_policy_says_so(house):
    rollout = await promoted(house, swap_back="perform")
    rows = await watched(house, rollout, regression)
    (done,) = [row for row in rows if row.action == "roll_back"]
    assert done.reason == "holdback_alarm"
    assert rows.index(done) >= 2, "the regression began on the third day"
    assert await house.live() == 1
    assert await house.states() == {1: "live", 2: "rolled_back"}
    assert {(await house.serve(n)).version for n in range(60)} == {1}
    (incident,) = await listed(house.ports)
    assert (incident.kind, incident.version, incident.rollout) == ("holdback", 2, rollout.id)
    assert "failing now" in incident.sentence
    lesson = (await house.read(lambda tx: tx.lessons.all(NAME)))[-1]
    assert lesson.text.startswith("v2 was live and was taken back: It fails more often")
    assert [number for number, *_ in await house.read(lambda tx: tx.agents.lineage(NAME))] == [1, 2, 1]
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_a_regression_is_offered_to_a_person_by_default_and_nothing_moves_before(house):
    rollout = await promoted(house)
    rows = await watched(house, rollout, regression, days=6)
    assert [row.action for row in rows].count("alarm") == 1, "a person is called once"
    alarm = next(row for row in rows if row.action == "alarm")
    assert alarm.evidence["page"]
    assert (await house.live(), (await house.standing(rollout.id)).state) == (2, "promoted")
    (incident,) = await listed(house.ports)
    assert incident.kind == "holdback"
    done = await rollback(house.ports, NAME, by="cid", reason="the alarm is right")
    assert (done.live, done.before, done.rollout) == (1, 2, rollout.id)
    assert (await house.standing(rollout.id)).state == "rolled_back"
    assert await house.states() == {1: "live", 2: "rolled_back"}
    assert "the alarm is right" in (await house.read(lambda tx: tx.lessons.all(NAME)))[-1].text
    assert {(await house.serve(n)).version for n in range(60)} == {1}


async def test_both_versions_drifting_together_is_no_alarm(house):
    rollout = await promoted(house)
    rows = await watched(house, rollout, lambda _version, number: 0.1 if number < 2 else 0.4)
    assert {row.action for row in rows} == {"hold", "close"}
    assert (rows[-1].reason, await house.live()) == ("holdback_quiet", 2)
    assert await listed(house.ports) == []
    assert {(await house.serve(n)).version for n in range(60)} == {2}


async def test_the_stream_is_in_the_order_in_which_labels_arrived(house):
    rollout = await promoted(house)
    served = [await house.serve(n, unit=f"u{n}") for n in range(3)]
    for at, verdict in ((2, "failure"), (0, "unknown"), (1, "success"), (0, "success")):
        await observe(house.ports, served[at].trace_id, verdict=verdict, sees=any_agent)
    failed = await house.read(lambda tx: [bad for *_, bad in tx.rollouts.label_stream(rollout.holdback_scope)])
    assert failed == [True, False, False]
    await observe(house.ports, served[1].trace_id, verdict="failure", sees=any_agent)
    failed = await house.read(lambda tx: [bad for *_, bad in tx.rollouts.label_stream(rollout.holdback_scope)])
    assert failed == [True, True, False], "a correction changes what is said, not when"


# Ends ---------------------------------------------------------------------------------------------------------------


async def test_the_next_rollout_ends_the_holdback_at_once(house):
    rollout = await promoted(house)
    following = await house.rollout("KNOW thing")
    first = await house.standing(rollout.id)
    assert (first.state, first.reason, first.holdback_percent) == ("closed", "superseded", 0)
    assert (await house.last(rollout.id)).reason == "superseded"
    assert (await house.standing(following.id)).incumbent == 2


async def test_of_many_operators_on_a_holdback_one_swaps_back(house):
    rollout = await promoted(house, swap_back="perform")
    for number in range(6):
        await day(house, number, lambda version: 0.6 if version == 2 else 0.1)
    done = await asyncio.gather(*(reconcile(house.ports, rollout.id) for _ in range(8)), return_exceptions=True)
    assert all(isinstance(one, Conflict) or one.action in ("roll_back", "hold") for one in done), done
    assert (await house.actions()).count("rollout-roll_back") == 1
    assert len(await listed(house.ports)) == 1
    assert [number for number, *_ in await house.read(lambda tx: tx.agents.lineage(NAME))] == [1, 2, 1]


async def test_a_zombie_that_read_a_quiet_holdback_cannot_undo_the_swap_back(house, monkeypatch):
    rollout = await promoted(house, swap_back="perform")
    store = type(house.app.store)
    real, held = store.write, asyncio.Event()

    async def late(self, work):
        if asyncio.current_task().get_name() == "zombie":
            await held.wait()
        return await real(self, work)

    monkeypatch.setattr(store, "write", late)
    zombie = asyncio.create_task(reconcile(house.ports, rollout.id), name="zombie")
    await asyncio.sleep(0.05)
    for number in range(6):
        await day(house, number, lambda version: 0.6 if version == 2 else 0.1)
    assert (await reconcile(house.ports, rollout.id)).action == "roll_back"
    held.set()
    with pytest.raises(Conflict, match="somebody else"):
        await zombie
    assert (await house.live(), (await house.standing(rollout.id)).state) == (1, "rolled_back")


async def test_a_rollback_and_an_operator_at_once_take_a_version_back_once(house):
    rollout = await promoted(house)
    done = await asyncio.gather(
        *(reconcile(house.ports, rollout.id) for _ in range(4)), rollback(house.ports, NAME, by="cid"),
        *(reconcile(house.ports, rollout.id) for _ in range(4)), return_exceptions=True,
    )  # fmt: skip
    assert not isinstance(done[4], BaseException), done[4]
    assert await house.live() == 1
    lessons = [one.text for one in await house.read(lambda tx: tx.lessons.all(NAME))]
    assert sum(text.startswith("v2 was live") for text in lessons) == 1


async def test_rolling_back_past_the_holdback_s_old_version_closes_it(house):
    first = await promoted(house)
    second = await house.rollout("KNOW thing")
    await house.write(lambda tx: wish(tx, house.ports, second.id, "promote", "bob", "hurry"))
    await reconcile(house.ports, second.id)
    done = await rollback(house.ports, NAME, by="cid", to=1)
    assert (done.live, done.before) == (1, 3)
    assert [(await house.standing(one.id)).state for one in (first, second)] == ["closed", "closed"]
    assert {(await house.serve(n)).version for n in range(60)} == {1}
    assert await house.states() == {1: "live", 2: "retired", 3: "rolled_back"}


# Violations, levers, lessons ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["holdback", "closed"])
async def test_what_no_version_may_do_takes_a_live_version_back_also_without_a_holdback(house, when):
    rollout = await promoted(house)
    if when == "closed":
        house.later(days=8)
        assert (await reconcile(house.ports, rollout.id)).reason == "holdback_quiet"
    served = next(one for one in [await house.serve(n) for n in range(20)] if one.version == 2)
    await violate(house.ports, served.trace_id, "leaked a key")
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason) == ("roll_back", "zero_tolerance")
    assert await house.live() == 1
    (incident,) = await listed(house.ports)
    assert incident.kind == "violation"


async def test_a_violation_of_the_old_version_in_the_holdback_takes_nothing_back(house):
    rollout = await promoted(house, holdback_percent=45)
    served = next(one for one in [await house.serve(n) for n in range(40)] if one.version == 1)
    await violate(house.ports, served.trace_id, "leaked a key")
    assert (await reconcile(house.ports, rollout.id)).action == "hold"


async def test_a_version_that_steps_back_ends_the_rollout_that_builds_on_it(house):
    rollout = await promoted(house)
    served = next(one for one in [await house.serve(n) for n in range(20)] if one.version == 2)
    following = await house.rollout("KNOW thing")
    await violate(house.ports, served.trace_id, "leaked a key")
    assert (await reconcile(house.ports, rollout.id)).reason == "zero_tolerance"
    later = await house.standing(following.id)
    assert (later.state, later.reason, later.weight_percent) == ("aborted", "stale_base", 0)
    assert (await house.live(), await house.states()) == (1, {1: "live", 2: "rolled_back", 3: "inconclusive"})
    assert {(await house.serve(n)).version for n in range(60, 90)} == {1}


@pytest.mark.parametrize("how", ["holdback", "person", "pointer"])
async def test_the_levers_a_version_came_from_are_open_again_when_it_is_taken_back(house, how):
    percent = 0 if how == "pointer" else 5.0
    await house.agent(habits=replace(HABITS, rollout=replace(HELD, swap_back="perform", holdback_percent=percent)))
    await house.history(240)
    report = await house.tick()
    assert report["rollout"], report
    won = await house.won(report["rollout"], start=1_000)
    await approve(house.ports, won.approval, "approved", by="bob")
    await reconcile(house.ports, won.id)
    lever = report["lever"]
    before = await house.read(lambda tx: tx.levers.get(NAME, lever))
    assert before.state == "shipped"
    if how == "holdback":
        rows = await watched(house, won, lambda version, _n: 0.6 if version == 2 else 0.1)
        assert "roll_back" in {row.action for row in rows}
    else:
        await rollback(house.ports, NAME, by="cid", reason="customers complain")
    after = await house.read(lambda tx: tx.levers.get(NAME, lever))
    assert (after.state, after.tries) == ("open", before.tries + 1)
    log = await house.read(lambda tx: tx.levers.log(NAME, lever))
    assert log[-1][1].startswith("open again: v2 was taken back.")
    lesson = (await house.read(lambda tx: tx.lessons.all(NAME)))[-1]
    assert "was taken back" in lesson.text
    assert ("customers complain" in lesson.text) == (how != "holdback")


async def test_a_canary_that_is_rolled_back_opens_no_incident_and_writes_no_lesson(house):
    await house.agent()
    await house.rollout()
    lessons = len(await house.read(lambda tx: tx.lessons.all(NAME)))
    await rollback(house.ports, NAME, by="cid")
    assert await listed(house.ports) == []
    assert len(await house.read(lambda tx: tx.lessons.all(NAME))) == lessons


# Incidents ----------------------------------------------------------------------------------------------------------


async def test_an_incident_is_closed_once_by_a_named_person(house):
    rollout = await promoted(house)
    await watched(house, rollout, regression, days=6)
    (incident,) = await listed(house.ports, NAME)
    with pytest.raises(Invalid, match="by a person"):
        await close(house.ports, incident.id, by=" ")
    done = await close(house.ports, incident.id, by="cid", note="a supplier's outage")
    assert (done.state, done.closed_by, done.note) == ("closed", "cid", "a supplier's outage")
    with pytest.raises(Conflict, match="closed by cid"):
        await close(house.ports, incident.id, by="dora")
    assert await listed(house.ports, NAME) == []
    assert [one.id for one in await listed(house.ports, NAME, all_of_them=True)] == [incident.id]
    with pytest.raises(NotFound, match="nothing"):
        await close(house.ports, "nothing", by="cid")
    assert "incident-closed" in await house.actions()


# Ice ----------------------------------------------------------------------------------------------------------------


async def frozen(house):
    from surefoot.core.trace import Pin

    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    await house.traffic(20)

    def skewed(tx):
        for number in range(120):
            tx.traces.pin(Pin(rollout=rollout.id, unit=f"s{number}", arm="challenger", weight_percent=5.0, epoch=1))

    await house.write(skewed)
    assert (await reconcile(house.ports, rollout.id)).reason == "sample_ratio"
    return await house.standing(rollout.id)


async def alarm(house) -> None:
    """An alarm of the sentinel, as its night would raise it."""
    found = Incident(id="sentinel-1", agent=NAME, kind="sentinel", at=house.clock(), version=1, sentence="It moved.",
                     facts={"window": "2026-01-05"})  # fmt: skip
    await house.write(lambda tx: tx.incidents.add(found))


async def test_a_broken_split_opens_an_incident_and_a_person_thaws_it_at_the_floor_with_what_was_learned(house):
    rollout = await frozen(house)
    (incident,) = await listed(house.ports)
    assert incident.kind == "sample_ratio"
    learned = sum(one.labels for one in await house.read(lambda tx: tx.rollouts.strata(rollout.id)))
    await thaw(house.ports, rollout.id, by="cid", reason="a crawler")
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after, row.evidence["by"]) == ("thaw", "thawed", 5, "cid")
    assert row.evidence["labels"] == learned
    again = await reconcile(house.ports, rollout.id)
    assert again.reason != "sample_ratio", "what a person has looked at does not freeze it again"
    assert (await house.standing(rollout.id)).epoch > rollout.epoch


async def test_a_split_that_is_still_broken_after_the_thaw_freezes_again(house):
    from surefoot.core.trace import Pin

    rollout = await frozen(house)
    await thaw(house.ports, rollout.id, by="cid")
    await reconcile(house.ports, rollout.id)
    epoch = (await house.standing(rollout.id)).epoch

    def skewed(tx):
        for number in range(120):
            tx.traces.pin(Pin(rollout=rollout.id, unit=f"t{number}", arm="challenger", weight_percent=5.0, epoch=epoch))

    await house.write(skewed)
    assert (await reconcile(house.ports, rollout.id)).reason == "sample_ratio"


async def test_who_may_not_thaw(house):
    rollout = await frozen(house)
    with pytest.raises(Invalid, match="name"):
        await thaw(house.ports, rollout.id, by="")
    with pytest.raises(Forbidden, match="cannot thaw"):
        await thaw(house.ports, rollout.id, by=" ANN")
    await stop(house.ports, NAME, by="eve")
    with pytest.raises(Conflict, match="stopped"):
        await thaw(house.ports, rollout.id, by="cid")
    await stop(house.ports, NAME, by="eve", stopped=False)
    await alarm(house)
    with pytest.raises(Conflict, match="It moved"):
        await thaw(house.ports, rollout.id, by="cid")
    await rollback(house.ports, NAME, by="cid")
    with pytest.raises(Conflict, match="not frozen"):
        await thaw(house.ports, rollout.id, by="cid")


async def test_an_approval_from_before_the_ice_promotes_nothing_after_it(house):
    await house.agent()
    won = await house.won((await house.rollout()).id)
    await approve(house.ports, won.approval, "approved", by="bob")
    await stop(house.ports, NAME, by="eve")
    await reconcile(house.ports, won.id)
    await stop(house.ports, NAME, by="eve", stopped=False)
    await thaw(house.ports, won.id, by="cid")
    rows = [await reconcile(house.ports, won.id) for _ in range(3)]
    assert [row.action for row in rows] == ["thaw", "await_approval", "hold"]
    assert await house.live() == 1
    asked = (await house.standing(won.id)).approval
    assert asked not in ("", won.approval)


async def test_an_alarm_of_the_sentinel_freezes_the_rollout_until_it_is_closed_and_thawed(house):
    await house.agent()
    rollout = await house.rollout()
    await alarm(house)
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after) == ("freeze", "alarm", 0)
    (incident,) = await listed(house.ports)
    assert incident.kind == "sentinel"
    await close(house.ports, incident.id, by="cid", note="the provider says sorry")
    assert (await reconcile(house.ports, rollout.id)).reason == "frozen"
    await thaw(house.ports, rollout.id, by="cid")
    assert (await reconcile(house.ports, rollout.id)).reason == "thawed"
    assert (await reconcile(house.ports, rollout.id)).evidence["state"] == "canary"


# From any state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["shadow", "holdback", "thawed", "queued"])
async def test_a_rollback_works_from_here_too(house, when):
    if when == "holdback":
        rollout = await promoted(house)
    else:
        await house.agent()
        if when == "queued":
            await house.rollout("KNOW thing")
        given = {"road": "paired"} if when == "shadow" else {"queue": True} if when == "queued" else {}
        rollout = await house.rollout(open_it=when != "queued", **given)
    if when == "thawed":
        await stop(house.ports, NAME, by="eve")
        await reconcile(house.ports, rollout.id)
        await stop(house.ports, NAME, by="eve", stopped=False)
        await thaw(house.ports, rollout.id, by="cid")
        await reconcile(house.ports, rollout.id)
    if when == "queued":
        await house.write(lambda tx: wish(tx, house.ports, rollout.id, "roll_back", "cid", ""))
        await reconcile(house.ports, rollout.id)
    else:
        await rollback(house.ports, NAME, by="cid")
    now = await house.standing(rollout.id)
    assert (now.state, now.weight_percent, now.holdback_percent) == ("rolled_back", 0, 0)
    assert await house.live() == 1
    assert {(await house.serve(n, unit=f"w{n}")).version for n in range(40)} <= ({1, 2} if when == "queued" else {1})
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact
