"""Operating: one read, one decision, one write; of any number of operators exactly one takes each step."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import replace

import pytest
from scripted_house import EAGER, HABITS, NAME, taught

from surefoot.core.approval import DEFAULT_EXPIRY
from surefoot.core.audit import verify
from surefoot.core.errors import Conflict, Forbidden, NotFound
from surefoot.core.genome import Block, Genome
from surefoot.core.policy import Policy
from surefoot.core.rollout import RolloutSettings
from surefoot.core.token import any_agent
from surefoot.engine.approve import approve
from surefoot.engine.observe import observe, violate
from surefoot.engine.operate import ENDED, reconcile, start_rollout
from surefoot.engine.register import offer_version, stop
from surefoot.engine.rollback import rollback, wish

CALM = RolloutSettings(ledger_slots=None)


async def waiting(house):
    """A rollout that has won and waits for a person."""
    await house.agent()
    return await house.won((await house.rollout()).id)


async def approved(house):
    rollout = await waiting(house)
    await approve(house.ports, rollout.approval, "approved", by="bob")
    return rollout


async def everything(house) -> dict[str, object]:
    def work(tx):
        return {
            "live": tx.agents.get(NAME).live,
            "states": {version.number: version.state for version in tx.versions.all(NAME)},
            "lineage": [number for number, *_ in tx.agents.lineage(NAME)],
            "promotions": Counter(entry.action for entry in tx.audit.all())["rollout-promote"],
            "rollout": [(one.state, one.weight_percent) for one in tx.rollouts.all(NAME)],
            "intact": verify(tx.audit.all()).intact,
        }

    return await house.read(work)


PROMOTED = {
    "live": 2, "states": {1: "retired", 2: "live"}, "lineage": [1, 2], "promotions": 1,
    "rollout": [("promoted", 100)], "intact": True,
}  # fmt: skip


async def test_a_rollout_goes_from_draft_over_its_floor_to_a_win_and_asks_a_person_before_the_majority(house):
    await house.agent()
    rollout = await house.rollout(open_it=False)
    assert (rollout.state, rollout.weight_percent, rollout.incumbent, rollout.challenger) == ("draft", 0, 1, 2)
    won = await house.won(rollout.id)
    history = await house.read(lambda tx: tx.rollouts.history(rollout.id))
    assert [row.seq for row in history] == list(range(1, len(history) + 1))
    assert (history[0].reason, history[0].weight_after) == ("started", 5)
    assert (history[-1].action, history[-1].reason) == ("await_approval", "win")
    assert (won.state, won.steps) == ("awaiting_approval", len(history))
    assert won.weight_percent < 50, "the share stays where the win came"
    assert await house.live() == 1
    assert won.approval == "promote-support-v2-1"


async def test_a_promotion_moves_pointer_states_lineage_and_record_together(house):
    rollout = await approved(house)
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after) == ("promote", "approved", 100)
    assert await everything(house) == PROMOTED
    assert {(await house.serve(n)).version for n in range(20)} == {2}


async def test_of_many_operators_at_once_exactly_one_promotes_and_one_entry_says_so(house):
    rollout = await approved(house)
    done = await asyncio.gather(*(reconcile(house.ports, rollout.id) for _ in range(12)), return_exceptions=True)
    assert all(isinstance(one, Conflict) or one.action in ("promote", "hold") for one in done), done
    assert sum(not isinstance(one, Conflict) and one.action == "promote" for one in done) == 1
    assert await everything(house) == PROMOTED


async def test_of_many_threads_exactly_one_promotes(builder):
    house = builder.open()
    rollout = await approved(house)
    gate, got = threading.Barrier(6), []

    def operate(number: int) -> None:
        other = builder.open()
        gate.wait()
        try:
            got.append(asyncio.run(reconcile(other.ports, rollout.id)).action)
        except Conflict:
            got.append("conflict")

    threads = [threading.Thread(target=operate, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(got) == 6
    assert got.count("promote") == 1
    assert await everything(house) == PROMOTED


@pytest.mark.slow
async def test_of_many_processes_exactly_one_promotes(builder, in_processes):
    house = builder.open()
    rollout = await approved(house)
    program = (
        "import asyncio, sys; from pathlib import Path; from scripted_house import opened\n"
        "from surefoot.core.errors import Conflict\n"
        "from surefoot.engine.operate import reconcile\n"
        "house = opened(Path(sys.argv[1]), 900 + int(sys.argv[3]))\n"
        "async def one():\n"
        "    try: return (await reconcile(house.ports, sys.argv[2])).action\n"
        "    except Conflict: return 'conflict'\n"
        "async def run(): return await asyncio.gather(*[one() for _ in range(5)])\n"
        "print(*asyncio.run(run()))"
    )
    told = " ".join(in_processes(program, str(builder.path), rollout.id, count=4)).split()
    assert len(told) == 20
    assert told.count("promote") == 1
    assert await everything(house) == PROMOTED


async def test_a_zombie_that_read_before_the_step_was_taken_cannot_take_it_again(house, monkeypatch):
    rollout = await approved(house)
    store = type(house.app.store)
    real, held = store.write, asyncio.Event()

    async def late(self, work):
        if asyncio.current_task().get_name() == "zombie":
            await held.wait()
        return await real(self, work)

    monkeypatch.setattr(store, "write", late)
    zombie = asyncio.create_task(reconcile(house.ports, rollout.id), name="zombie")
    await asyncio.sleep(0.05)
    await reconcile(house.ports, rollout.id)
    held.set()
    with pytest.raises(Conflict, match="somebody else"):
        await zombie
    assert await everything(house) == PROMOTED


async def test_a_reconcile_that_fails_in_the_middle_of_its_write_leaves_nothing(house, monkeypatch):
    from surefoot.adapters.store.audit import SqlAudit

    rollout = await approved(house)
    before = await everything(house)

    def full(self, **entry):
        raise ConnectionError("killed before the audit entry was written")

    with monkeypatch.context() as patch:
        patch.setattr(SqlAudit, "append", full)
        with pytest.raises(ConnectionError):
            await reconcile(house.ports, rollout.id)
    assert await everything(house) == before
    assert (await reconcile(house.ports, rollout.id)).action == "promote"
    assert await everything(house) == PROMOTED


async def test_an_ended_rollout_is_looked_at_without_a_trace(house):
    rollout = await approved(house)
    await reconcile(house.ports, rollout.id)
    before = await house.read(lambda tx: (len(tx.audit.all()), tx.rollouts.history(rollout.id)))
    for _ in range(3):
        assert (await reconcile(house.ports, rollout.id)).reason == "finished"
    assert await house.read(lambda tx: (len(tx.audit.all()), tx.rollouts.history(rollout.id))) == before


async def test_an_agent_has_one_active_rollout(house):
    await house.agent()
    rollout = await house.rollout("billing")
    number = await house.offer("refund")
    with pytest.raises(Conflict, match="already has a rollout") as caught:
        await start_rollout(house.ports, NAME, number, by="bob")
    assert "rollback" in caught.value.hint
    assert (await house.states())[number] == "candidate", "the loser is untouched"
    await rollback(house.ports, NAME, by="bob")
    await start_rollout(house.ports, NAME, number, by="bob")
    assert (await house.standing(rollout.id)).state == "rolled_back"


async def test_of_ten_rollouts_started_at_once_one_is(house):
    await house.agent()
    numbers = [await house.offer(f"KNOW thing {n}") for n in range(10)]
    done = await asyncio.gather(
        *(start_rollout(house.ports, NAME, number, by="bob") for number in numbers), return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in done) == 9
    assert Counter((await house.states()).values()) == {"live": 1, "canary": 1, "candidate": 9}


async def test_what_is_live_or_stopped_or_unknown_starts_no_rollout(house):
    await house.agent()
    with pytest.raises(Conflict, match="live already"):
        await start_rollout(house.ports, NAME, 1, by="bob")
    with pytest.raises(NotFound, match="v9"):
        await start_rollout(house.ports, NAME, 9, by="bob")
    number = await house.offer("refund")
    await stop(house.ports, NAME, by="bob")
    with pytest.raises(Conflict, match="stopped"):
        await start_rollout(house.ports, NAME, number, by="bob")


async def test_a_defeated_version_is_offered_again_only_by_a_person_and_without_guarantee(house):
    await house.agent()
    first = await house.rollout()
    await rollback(house.ports, NAME, by="bob")
    with pytest.raises(Conflict, match="only a person"):
        await start_rollout(house.ports, NAME, 2, by="bob")
    with pytest.raises(Conflict, match="only a person"):
        await start_rollout(house.ports, NAME, 2, by="loop")
    again = await start_rollout(house.ports, NAME, 2, by="bob", forced_by="bob")
    assert again.id != first.id
    assert again.salt != first.salt, "a new rollout draws anew"
    row = await reconcile(house.ports, again.id)
    assert row.evidence["guarantee"] is False
    started = [entry for entry in await house.read(lambda tx: tx.audit.all()) if entry.action == "rollout-started"]
    assert [entry.payload["forced_by"] for entry in started] == ["", "bob"]


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (Policy(), True),
        (Policy(autonomy="auto"), True),
        (Policy(autonomy="propose"), False),
        (Policy(stakes="high"), False),
    ],
)
async def test_the_loop_is_held_to_the_policy_and_a_person_is_not(house, policy, allowed):
    await house.agent(policy=policy)
    number = await house.offer("refund")
    if not allowed:
        with pytest.raises(Forbidden):
            await start_rollout(house.ports, NAME, number, by="loop")
        assert (await house.states())[number] == "candidate"
    assert (await start_rollout(house.ports, NAME, number, by="loop" if allowed else "bob")).state == "draft"


@pytest.mark.parametrize("how", ["a new tool", "a changed tool", "a rule that became a tool", "beside a harmless rule"])
async def test_a_tool_never_reaches_a_canary_by_the_loop(house, how):
    start = taught(Genome((Block(id="role", kind="section", text="Labels: other, refund", locked=True),)), "other")
    old = Block(id="search", kind="tool", text="Searches the shelf.")
    await house.agent(genome=Genome((*start.blocks, old, Block(id="note", kind="rule", text="Be kind."))))
    live = await house.read(lambda tx: tx.versions.genome(tx.agents.get(NAME).base))
    new = Block(id="mail", kind="tool", text="Sends mail.")
    blocks = {
        "a new tool": (*live.blocks, new),
        "a changed tool": tuple(replace(b, text="Searches the vault.") if b.id == "search" else b for b in live.blocks),
        "a rule that became a tool": tuple(replace(b, kind="tool") if b.id == "note" else b for b in live.blocks),
        "beside a harmless rule": (*live.blocks, Block(id="x", kind="rule", text="KNOW refund"), new),
    }[how]
    version = await offer_version(house.ports, NAME, Genome(blocks), by="improver:scripted", rationale="x")
    with pytest.raises(Forbidden, match="level 3"):
        await start_rollout(house.ports, NAME, version.number, by="loop")
    assert (await house.states())[2] == "candidate"


async def test_the_terms_are_frozen_when_it_starts_with_the_failure_rate_of_then(house):
    await house.agent(habits=replace(HABITS, rollout=CALM))
    await house.history(90)
    number = await house.offer("refund")
    rollout = await start_rollout(house.ports, NAME, number, by="bob")
    assert rollout.settings.baseline_rate == pytest.approx(2 / 3)
    await house.change(habits=replace(HABITS, rollout=EAGER))
    await house.history(90, start=500, labels=("other",))
    await reconcile(house.ports, rollout.id)
    assert (await house.standing(rollout.id)).settings == rollout.settings


async def test_too_few_labels_freeze_no_failure_rate(house):
    await house.agent(habits=replace(HABITS, rollout=CALM))
    await house.history(49)
    number = await house.offer("refund")
    assert (await start_rollout(house.ports, NAME, number, by="bob")).settings.baseline_rate is None


async def test_no_labels_means_wait_however_often_one_looks_and_inconclusive_at_the_horizon(house):
    await house.agent()
    rollout = await house.rollout(settings=replace(CALM, horizon_days=5))
    for _ in range(4):
        house.later(days=1)
        row = await reconcile(house.ports, rollout.id)
        assert (row.action, row.reason, row.weight_after) == ("hold", "no_labels", 5)
    house.later(days=1)
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.weight_after) == ("inconclusive", 0)
    assert await house.states() == {1: "live", 2: "inconclusive"}


async def test_the_same_labels_never_step_twice(house):
    await house.agent(habits=replace(HABITS, rollout=replace(EAGER, win_threshold=1e9, min_fresh_labels=5)))
    rollout = await house.rollout()
    await house.weigh(rollout.id, 5)
    start = 0
    while (row := await reconcile(house.ports, rollout.id)).action != "ramp":
        await house.traffic(40, start=start)
        start += 40
    assert row.weight_after == 15
    for _ in range(5):
        row = await reconcile(house.ports, rollout.id)
        assert (row.action, row.reason, row.weight_after) == ("hold", "fresh_labels", 15)


async def test_one_label_a_unit_counts_and_it_is_that_of_its_earliest_labelled_request(house):
    await house.agent()
    rollout = await house.rollout()
    first, second, third = [await house.serve(n, unit="ann") for n in range(3)]

    async def counted() -> tuple[int, int]:
        strata = await house.read(lambda tx: tx.rollouts.strata(rollout.id))
        return (
            sum(row.challenger_successes + row.incumbent_successes for row in strata),
            sum(row.challenger_failures + row.incumbent_failures for row in strata),
        )

    await observe(house.ports, third.trace_id, verdict="success", sees=any_agent)
    assert await counted() == (1, 0)
    await observe(house.ports, second.trace_id, verdict="failure", sees=any_agent)
    assert await counted() == (0, 1), "an earlier request takes over when its label comes"
    await observe(house.ports, first.trace_id, verdict="unknown", sees=any_agent)
    assert await counted() == (0, 1), "unknown is no label"
    await observe(house.ports, first.trace_id, verdict="success", sees=any_agent)
    assert await counted() == (1, 0)
    await observe(house.ports, first.trace_id, verdict="failure", sees=any_agent)
    assert await counted() == (0, 1), "a correction counts"
    await observe(house.ports, third.trace_id, verdict="failure", sees=any_agent)
    assert await counted() == (0, 1)


async def test_a_chatty_unit_is_one_label(house):
    await house.agent()
    rollout = await house.rollout()
    for number in range(15):
        served = await house.serve(number, unit="chatty")
        await observe(house.ports, served.trace_id, expected="refund", sees=any_agent)
    (row,) = await house.read(lambda tx: tx.rollouts.strata(rollout.id))
    assert row.labels == 1


async def test_labels_count_for_the_epoch_of_the_first_request_whenever_they_come(house):
    await house.agent()
    rollout = await house.rollout()
    served = await house.serve(1, unit="ann")
    await house.weigh(rollout.id, 45)
    later = await house.serve(2, unit="ann")
    await observe(house.ports, later.trace_id, expected="refund", sees=any_agent)
    await observe(house.ports, served.trace_id, expected="refund", sees=any_agent)
    (row,) = await house.read(lambda tx: tx.rollouts.strata(rollout.id))
    assert (row.epoch, row.weight_percent, row.labels) == (1, 5.0, 1)


async def test_labels_of_other_rollouts_and_of_before_do_not_count(house):
    await house.agent()
    await house.traffic(30)
    rollout = await house.rollout("billing")
    assert await house.read(lambda tx: tx.rollouts.strata(rollout.id)) == []
    await house.traffic(10, start=100)
    await rollback(house.ports, NAME, by="bob")
    second = await house.rollout("refund")
    assert await house.read(lambda tx: tx.rollouts.strata(second.id)) == []


async def test_a_worse_challenger_is_rolled_back_by_the_guard_and_its_version_too(house):
    await house.agent(habits=replace(HABITS, rollout=CALM), genome=None)
    await house.history(90, labels=("other",))
    rollout = await house.rollout("BREAK other")
    turn = 0
    while (row := await reconcile(house.ports, rollout.id)).evidence["state"] not in ENDED:
        turn += 1
        await house.traffic(60, start=1000 * turn, labels=("other",))
        assert turn < 12
        assert row.weight_after <= 5
    assert (row.action, row.reason, row.weight_after) == ("roll_back", "hard_guard", 0)
    assert await house.states() == {1: "live", 2: "rolled_back"}
    assert await house.live() == 1


async def test_a_broken_router_freezes_the_rollout(house):
    from surefoot.core.trace import Pin

    await house.agent()
    rollout = await house.rollout()

    def skewed(tx):
        for number in range(120):
            tx.traces.pin(Pin(rollout=rollout.id, unit=f"u{number}", arm="challenger", weight_percent=5.0, epoch=1))

    await house.write(skewed)
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after) == ("freeze", "sample_ratio", 0)
    assert (await house.standing(rollout.id)).state == "frozen"
    assert {(await house.serve(n, unit=f"u{n}")).version for n in range(20)} == {1}
    await rollback(house.ports, NAME, by="bob")
    assert await house.states() == {1: "live", 2: "rolled_back"}


async def test_the_kill_switch_freezes_and_turning_it_off_gives_no_share_back(house):
    await house.agent()
    rollout = await house.rollout()
    await stop(house.ports, NAME, by="bob")
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after) == ("freeze", "kill_switch", 0)
    await stop(house.ports, NAME, by="bob", stopped=False)
    assert (await reconcile(house.ports, rollout.id)).reason == "frozen"


async def test_a_violation_reported_after_the_promotion_takes_it_back(house):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    served = next(one for one in [await house.serve(n, unit=f"v{n}") for n in range(30)] if one.version == 2)
    won = await house.won(rollout.id, start=500)
    await approve(house.ports, won.approval, "approved", by="bob")
    await reconcile(house.ports, rollout.id)
    assert await house.live() == 2
    await violate(house.ports, served.trace_id, "leaked a key")
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason) == ("roll_back", "zero_tolerance")
    assert (await house.live(), await house.states()) == (1, {1: "live", 2: "rolled_back"})
    assert [number for number, *_ in await house.read(lambda tx: tx.agents.lineage(NAME))] == [1, 2, 1]
    assert {(await house.serve(n)).version for n in range(20)} == {1}


async def test_a_wish_to_promote_is_carried_out_says_no_guarantee_and_is_not_the_proposer_s_to_make(house):
    await house.agent()
    rollout = await house.rollout()

    def wished(by):
        return house.write(lambda tx: wish(tx, house.ports, rollout.id, "promote", by, "hurry"))

    for name in ("ann", " ANN ", "A\u200bnn"):
        with pytest.raises(Forbidden, match="cannot promote"):
            await wished(name)
    await wished("bob")
    row = await reconcile(house.ports, rollout.id)
    assert (row.reason, row.evidence["guarantee"], row.evidence["by"]) == ("override", False, "bob")
    assert await house.live() == 2
    with pytest.raises(Conflict, match="ended"):
        await wished("bob")


async def test_a_wish_is_kept_until_it_is_carried_out(house):
    await house.agent()
    rollout = await house.rollout(open_it=False)
    await house.write(lambda tx: wish(tx, house.ports, rollout.id, "promote", "bob", "hurry"))
    assert (await reconcile(house.ports, rollout.id)).reason == "started"
    assert (await house.standing(rollout.id)).wish == "promote"
    assert (await reconcile(house.ports, rollout.id)).reason == "override"
    assert (await house.standing(rollout.id)).wish == ""


async def test_an_abort_gives_everything_back_to_the_incumbent(house):
    await house.agent()
    rollout = await house.rollout()
    await house.write(lambda tx: wish(tx, house.ports, rollout.id, "abort", "bob", "never mind"))
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.weight_after) == ("abort", 0)
    assert await house.states() == {1: "live", 2: "rolled_back"}


async def test_a_request_that_expires_unanswered_is_no_approval_and_a_new_one_is_asked(house):
    rollout = await waiting(house)
    house.later(hours=DEFAULT_EXPIRY.total_seconds() / 3600 + 1)
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason) == ("hold", "approval_expired")
    again = await house.standing(rollout.id)
    assert (again.state, again.approval) == ("awaiting_approval", "promote-support-v2-2")
    assert await house.live() == 1
    await approve(house.ports, again.approval, "approved", by="bob")
    assert (await reconcile(house.ports, rollout.id)).action == "promote"


async def test_guards_keep_running_while_a_person_is_asked(house):
    await house.agent()
    rollout = await house.rollout()
    await house.weigh(rollout.id, 45)
    served = next(one for one in [await house.serve(n, unit=f"v{n}") for n in range(30)] if one.version == 2)
    won = await house.won(rollout.id, start=500)
    await violate(house.ports, served.trace_id, "leaked a key")
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.reason, row.weight_after) == ("roll_back", "zero_tolerance", 0)
    with pytest.raises(Conflict, match="stale"):
        await approve(house.ports, won.approval, "approved", by="bob")
    assert await house.live() == 1


async def test_a_version_whose_live_predecessor_moved_away_is_not_promoted_over_it(house):
    rollout = await approved(house)
    other = await house.offer("KNOW thing")

    def elsewhere(tx):
        tx.versions.move(NAME, other, "canary")
        tx.versions.move(NAME, other, "live")
        tx.agents.swap(replace(tx.agents.get(NAME), live=other))

    await house.write(elsewhere)
    with pytest.raises(Conflict, match="moved to v3"):
        await reconcile(house.ports, rollout.id)
    assert await house.live() == other
    assert (await house.standing(rollout.id)).state == "awaiting_approval"


async def test_every_reconcile_is_a_row_with_the_numbers_it_was_decided_from(house):
    await house.agent()
    rollout = await house.rollout()
    await house.traffic(30)
    row = await reconcile(house.ports, rollout.id)
    stored = await house.last(rollout.id)
    assert stored == row
    for key in (
        "e_win",
        "e_guard",
        "relative_risk",
        "interval",
        "labels",
        "labels_needed",
        "thresholds",
        "failure_rates",
    ):
        assert key in stored.evidence
    assert stored.evidence["labels"] == 30
    assert stored.evidence["thresholds"]["win"] == 2


async def test_the_story_of_a_rollout_is_in_the_record_and_the_record_is_whole(house):
    rollout = await approved(house)
    await reconcile(house.ports, rollout.id)
    actions = [action for action in await house.actions() if action != "rollout-ramp"]
    assert actions == [
        "agent-created", "candidate", "rollout-started", "rollout-await_approval", "approval-approved",
        "rollout-promote",
    ]  # fmt: skip
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_a_rollout_lasts_over_a_restart_at_every_step(builder):
    house = builder.open()
    await house.agent()
    rollout = await house.rollout(open_it=False)
    for turn in range(60):
        house = builder.open()
        row = await reconcile(house.ports, rollout.id)
        if row.evidence["state"] == "awaiting_approval":
            break
        await house.traffic(30, start=1000 * turn)
    house = builder.open()
    await approve(house.ports, (await house.standing(rollout.id)).approval, "approved", by="bob")
    house = builder.open()
    await reconcile(house.ports, rollout.id)
    assert await everything(builder.open()) == PROMOTED


async def test_nobody_waits_for_a_rollout_that_does_not_exist(house):
    with pytest.raises(NotFound, match="'nothing'"):
        await reconcile(house.ports, "nothing")
