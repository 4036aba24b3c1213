"""A tick: one lever, each step repeatable, nothing applied, looked at or paid for twice."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from scripted_house import HABITS, LABELS, NAME, breaks, know, opened, paid, taught

from surefoot.core.audit import verify
from surefoot.core.budget import Budget
from surefoot.core.edit import Edit
from surefoot.core.errors import BudgetExhausted, Conflict, Forbidden, Unavailable
from surefoot.core.policy import Policy
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent
from surefoot.engine.observe import observe
from surefoot.engine.operate import start_rollout
from surefoot.engine.register import stop
from surefoot.engine.rollback import rollback
from surefoot.engine.tick import next_number, tick

STEPS = ("begin", "lever", "release", "end")


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
def bare(builder):
    return builder.open()


@pytest.fixture
def house(builder, prepared):
    shutil.copy(prepared, builder.path)
    return builder.open()


async def facts(house) -> dict[str, object]:
    """What a tick leaves behind, without ids and times."""

    def work(tx):
        draft = tx.drafts.get(NAME)
        return {
            "agent": (tx.agents.get(NAME).tick, tx.agents.get(NAME).live),
            "draft": None if draft is None else (draft.ticks, [part.proposal for part in draft.accepted]),
            "proposals": [(filed.id, filed.state, filed.lever) for filed in tx.proposals.all(NAME)],
            "looks": [look.verdict for look in tx.looks.all(NAME)],
            "versions": [(version.number, version.state) for version in tx.versions.all(NAME)],
            "rollouts": [(one.challenger, one.state) for one in tx.rollouts.all(NAME)],
            "levers": [(one.gap, one.state, one.tries) for one in tx.levers.all(NAME)],
            "notes": [len(tx.levers.log(NAME, one.id)) for one in tx.levers.all(NAME)],
            "lessons": len(tx.lessons.all(NAME)),
            "audit": Counter(entry.action for entry in tx.audit.all()),
            "intact": verify(tx.audit.all()).intact,
        }

    found = await house.read(work)
    return found | {"spent": await house.spent("tick/1")}


async def test_a_tick_takes_the_top_lever_and_ships_one_verified_thing(house):
    report = await house.tick()
    assert (report["outcome"], report["tick"], report["lever"]) == ("accepted", 1, report["lever"])
    assert report["release"]["version"] == 2
    assert await house.states() == {1: "live", 2: "canary"}
    (rollout,) = await house.read(lambda tx: tx.rollouts.all(NAME))
    assert (rollout.id, rollout.state, rollout.weight_percent) == (report["rollout"], "draft", 0)
    assert len(house.improver.briefs) == 1
    assert report["cost_usd"] == 0.09
    assert json.loads(json.dumps(report)) == report, "the report is JSON"
    assert (await facts(house))["intact"]


async def test_with_nothing_live_changed_the_incumbent_still_serves_everybody(house):
    await house.tick()
    assert {(await house.serve(n)).version for n in range(20)} == {1}


@pytest.mark.parametrize("count", [0, 19])
async def test_it_holds_below_twenty_failures_without_asking_the_improver_or_the_model(bare, count):
    await bare.agent()
    await bare.history(count, labels=("refund",))
    report = await bare.tick()
    assert (report["outcome"], report["release"], report["rollout"]) == ("hold", None, None)
    assert f"{count} failures so far" in report["reason"]
    assert (bare.improver.briefs, bare.model.asked) == ([], [])
    assert await bare.spent("tick/1") == paid(0)


async def test_it_holds_below_five_sources_without_asking(bare):
    await bare.agent()
    await bare.history(90, sources=4)
    report = await bare.tick()
    assert report["outcome"] == "hold"
    assert "4 source(s)" in report["reason"]
    assert (bare.improver.briefs, bare.model.asked) == ([], [])


async def test_an_agent_that_is_right_already_gets_nothing_to_fix_and_the_improver_is_not_asked(bare):
    await bare.agent(genome=taught(starting_genome(LABELS), *LABELS), habits=replace(HABITS, headroom=0.02))
    traces = await bare.history(150)
    for trace_id in traces[2:80:3]:  # they failed once, for a reason that is gone
        await observe(bare.ports, trace_id, verdict="failure", expected="refund", sees=any_agent)
    report = await bare.tick()
    assert (report["outcome"], report["release"], report["rollout"]) == ("nothing_to_fix", None, None)
    assert "100.0 % of" in report["reason"]
    assert bare.improver.briefs == []
    assert await bare.states() == {1: "live"}
    assert await bare.read(lambda tx: tx.looks.all(NAME)) == []


async def test_failures_that_do_not_come_back_are_no_lever(bare):
    await bare.agent(genome=taught(starting_genome(LABELS), *LABELS))
    for trace_id in (await bare.history(150))[:25]:
        await observe(bare.ports, trace_id, verdict="failure", feedback="I changed my mind", sees=any_agent)
    report = await bare.tick()
    assert (report["outcome"], bare.improver.briefs) == ("nothing_to_fix", [])
    assert "comes back" in report["reason"]


async def test_a_rejected_proposal_leaves_a_lesson_a_note_and_no_edit(house):
    house.improver.plan = lambda brief: [breaks("other")]
    report = await house.tick()
    assert (report["outcome"], report["rollout"]) == ("rejected", None)
    found = await facts(house)
    assert found["draft"] == (1, [])
    assert found["proposals"] == [("P-support-1", "rejected", report["lever"])]
    assert found["lessons"] == 5
    assert (await house.read(lambda tx: tx.levers.get(NAME, report["lever"]))).tries == 1


async def test_a_refused_proposal_is_on_file_with_its_reason_and_nothing_was_run_for_it(house):
    house.improver.plan = lambda brief: [Edit(kind="replace", target="role", text="Be brief.")]
    report = await house.tick()
    assert (report["outcome"], report["trials"]) == ("refused", [])
    assert "locked" in report["sentence"]
    assert (await house.read(lambda tx: tx.proposals.get("P-support-1"))).state == "refused"


async def test_no_proposal_is_an_outcome_of_its_own(house):
    house.improver.plan = lambda brief: []
    report = await house.tick()
    assert (report["outcome"], report["sentence"]) == ("no_proposal", "the improver had nothing to propose")


async def test_a_lever_tried_in_vain_makes_room_for_the_next_one(house):
    house.improver.plan = lambda brief: [breaks("other")]
    first, second = await house.tick(), await house.tick()
    assert first["lever"] != second["lever"]
    assert {brief.gap for brief in house.improver.briefs} == {"missed:billing", "missed:refund"}


async def test_accepted_edits_gather_in_the_draft_until_the_release(house):
    await house.change(habits=replace(HABITS, release_ticks=2))
    first = await house.tick()
    assert (first["release"], first["draft"]) == (None, 1)
    assert house.improver.briefs[0].genome.of_kind("rule")[-1].id == "other"
    second = await house.tick()
    assert second["release"]["version"] == 2
    assert house.improver.briefs[1].genome.has(f"know-{house.improver.briefs[0].gap.partition(':')[2]}")
    genome = await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, 2).genome))
    assert {block.id for block in genome.of_kind("rule")} == {"other", "know-billing", "know-refund"}


async def test_while_a_rollout_is_in_progress_no_second_one_begins(house):
    first = await house.tick()
    second = await house.tick()
    assert (second["release"], second["rollout"]) == (None, first["rollout"])
    assert len(await house.read(lambda tx: tx.rollouts.all(NAME))) == 1


async def test_every_step_called_twice_applies_nothing_twice(house):

    async def twice(name, work):
        first = await work()
        again = await work()
        assert name == "release" or again == first
        return first

    report = await house.tick(run=twice)
    found = await facts(house)
    assert (report["outcome"], len(house.improver.briefs)) == ("accepted", 1)
    assert found["proposals"] == [("P-support-1", "accepted", report["lever"])]
    assert (found["looks"], found["versions"]) == (["pass"], [(1, "live"), (2, "canary")])
    assert found["rollouts"] == [(2, "draft")]
    assert found["audit"] == Counter(
        ["agent-created", "tick-started", "lever-accepted", "candidate", "rollout-started", "tick-ended"]
    )
    assert found["spent"] == paid(len(house.model.asked), proposals=1)
    asked = Counter((question.system, question.case_id) for question in house.model.asked)
    assert set(asked.values()) == {1}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_tick_that_dies_around_any_step_is_finished_by_a_repeat_as_if_it_had_never_died(house, step, when):

    async def dies(name, work):
        if name == step and when == "before":
            raise ConnectionError("killed")
        result = await work()
        if name == step:
            raise ConnectionError("killed")
        return result

    with pytest.raises(ConnectionError):
        await house.tick(run=dies)
    report = await tick(house.ports, NAME, 1)
    found = await facts(house)
    assert report["outcome"] == "accepted"
    assert report["rollout"] is not None
    assert (found["agent"], found["draft"], found["looks"]) == ((1, 1), (0, []), ["pass"])
    assert (found["versions"], found["rollouts"]) == ([(1, "live"), (2, "canary")], [(2, "draft")])
    assert found["audit"] == Counter(
        ["agent-created", "tick-started", "lever-accepted", "candidate", "rollout-started", "tick-ended"]
    )
    assert len(house.improver.briefs) == 1
    assert found["spent"] == paid(len(house.model.asked), proposals=1)
    assert found["intact"]
    assert (await tick(house.ports, NAME, 1)) == report, "and once more changes nothing"
    assert await facts(house) == found


@pytest.mark.slow
async def test_a_tick_that_dies_right_after_any_write_is_finished_by_a_repeat(builder, prepared, monkeypatch):
    """Every write in turn; what was not recorded yet is done anew, what was recorded is not."""
    for at in range(1, 60):
        shutil.copy(prepared, builder.path)
        house = builder.open()
        store = type(house.app.store)
        real, writes = store.write, 0

        async def dies(self, work, real=real, at=at):
            nonlocal writes
            done = await real(self, work)
            writes += 1
            if writes == at:
                raise ConnectionError("killed")
            return done

        monkeypatch.setattr(store, "write", dies)
        try:
            await tick(house.ports, NAME, 1)
        except ConnectionError:
            finished = False
        else:
            finished = True
        monkeypatch.undo()
        report = await tick(house.ports, NAME, 1)
        found = await facts(house)
        assert report["outcome"] == "accepted"
        assert (found["draft"], found["looks"]) == ((0, []), ["pass"]), at
        assert (found["versions"], found["rollouts"]) == ([(1, "live"), (2, "canary")], [(2, "draft")]), at
        assert set(found["audit"].values()) == {1}, at
        assert sorted(found["notes"]) == [1, 3], at
        assert [state for _, state, _ in found["proposals"]] == ["accepted"], at
        assert len(house.improver.briefs) == 1, at
        assert found["spent"] == paid(len(house.model.asked), proposals=1), at
        asked = Counter((question.system, question.case_id) for question in house.model.asked)
        assert set(asked.values()) == {1}, "no answer that was recorded is paid for again"
        house.app.close()
        if finished:
            return
    raise AssertionError("the tick has more writes than expected")


async def test_two_runs_of_one_tick_at_once_leave_what_one_would(house):
    reports = await asyncio.gather(*(tick(house.ports, NAME, 1) for _ in range(3)), return_exceptions=True)
    won = [report for report in reports if isinstance(report, dict)]
    assert won
    assert all(isinstance(report, dict | Conflict) for report in reports), reports
    found = await facts(house)
    assert [state for _, state, _ in found["proposals"]] == ["accepted"]
    assert (found["looks"], found["versions"]) == (["pass"], [(1, "live"), (2, "canary")])
    assert found["rollouts"] == [(2, "draft")]
    assert found["audit"]["lever-accepted"] == found["audit"]["candidate"] == found["audit"]["rollout-started"] == 1
    assert found["intact"]


async def test_of_two_ticks_that_overlap_one_wins_the_draft_and_the_other_is_told(house):
    await house.change(habits=replace(HABITS, release_ticks=9))
    asked, gate, real = asyncio.Event(), asyncio.Event(), house.improver.propose

    async def slowly(brief, budget):
        proposal = await real(brief, budget)
        if not asked.is_set():
            asked.set()
            await gate.wait()
        return proposal

    house.improver.propose = slowly
    first = asyncio.create_task(tick(house.ports, NAME, 1))
    await asked.wait()
    second = await tick(house.ports, NAME, 2)
    gate.set()
    with pytest.raises(Conflict, match="draft"):
        await first
    assert second["outcome"] == "accepted"
    draft = await house.read(lambda tx: tx.drafts.get(NAME))
    assert [part.proposal for part in draft.accepted] == ["P-support-2"]
    assert (await house.tick())["outcome"] == "accepted", "and the next one goes on"


async def test_a_tick_number_that_is_over_or_far_ahead_is_refused(house):
    await house.tick()
    await house.tick()
    for number in (1, 5):
        with pytest.raises(Conflict, match=f"tick {number} of support"):
            await tick(house.ports, NAME, number)
    assert (await house.read(lambda tx: tx.agents.get(NAME))).tick == 2


async def test_the_cooldown_is_kept_and_improvement_never_triggers_improvement(house):
    await house.change(policy=Policy(cooldown=timedelta(hours=3)))
    await tick(house.ports, NAME, await next_number(house.ports, NAME))
    house.later(hours=2)
    with pytest.raises(Conflict, match="cooldown"):
        await next_number(house.ports, NAME)
    with pytest.raises(Conflict, match="cooldown"):
        await tick(house.ports, NAME, 2)
    assert len(house.improver.briefs) == 1
    house.later(hours=1, seconds=1)
    assert (await tick(house.ports, NAME, await next_number(house.ports, NAME)))["tick"] == 2


async def test_a_stopped_agent_starts_no_tick(house):
    await stop(house.ports, NAME, by="ann")
    for work in (next_number(house.ports, NAME), tick(house.ports, NAME, 1)):
        with pytest.raises(Conflict, match="stopped"):
            await work
    assert (house.improver.briefs, house.model.asked) == ([], [])
    await stop(house.ports, NAME, by="ann", stopped=False)
    assert (await house.tick())["outcome"] == "accepted"


async def test_an_agent_stopped_during_a_tick_gets_no_rollout_until_it_is_resumed(house):

    async def then_stop(name, work):
        result = await work()
        if name == "lever":
            await stop(house.ports, NAME, by="ann")
        return result

    report = await house.tick(run=then_stop)
    assert (report["rollout"], report["waits"]) == (None, "agent support is stopped")
    assert await house.read(lambda tx: tx.rollouts.all(NAME)) == []
    await stop(house.ports, NAME, by="ann", stopped=False)
    report = await house.tick()
    assert report["release"]["reason"] == "resumed"
    assert await house.states() == {1: "live", 2: "canary"}


@pytest.mark.parametrize(
    "policy", [Policy(autonomy="report_only"), Policy(stakes="high"), Policy(stakes="high", autonomy="auto")]
)
async def test_a_report_only_or_high_stakes_agent_gets_no_tick_at_all(house, policy):
    await house.change(policy=policy)
    for work in (next_number(house.ports, NAME), tick(house.ports, NAME, 1)):
        with pytest.raises(Forbidden, match="report-only"):
            await work
    assert (house.improver.briefs, house.model.asked) == ([], [])
    assert await house.actions() == ["agent-created"]


@pytest.mark.parametrize("policy", [Policy(autonomy="propose"), Policy(early_stage=True, autonomy="auto")])
async def test_an_agent_that_may_only_propose_gets_a_candidate_and_no_traffic_for_it(house, policy):
    await house.change(policy=policy)
    report = await house.tick()
    assert report["release"]["version"] == 2
    assert (report["rollout"], "autonomy is propose" in report["waits"]) == (None, True)
    assert {(await house.serve(n)).version for n in range(10)} == {1}
    await start_rollout(house.ports, NAME, 2, by="bob")
    assert await house.states() == {1: "live", 2: "canary"}, "a person may"


@pytest.mark.parametrize("autonomy", ["canary", "auto"])
async def test_an_agent_with_autonomy_gets_its_canary_from_the_loop(house, autonomy):
    await house.change(policy=Policy(autonomy=autonomy))
    assert (await house.tick())["rollout"] is not None


async def test_a_tool_reaches_no_canary_without_a_person(house):
    house.improver.plan = lambda brief: [Edit(kind="add_tool", target="lookup", text="KNOW refund, looked up.")]
    report = await house.tick()
    if report["outcome"] != "accepted":  # the other gap came first
        house.improver.plan = lambda brief: [Edit(kind="add_tool", target="lookup", text="KNOW billing, looked up.")]
        report = await house.tick()
    assert report["release"]["version"] == 2
    assert (report["rollout"], "level 3" in report["waits"]) == (None, True)
    assert await house.states() == {1: "live", 2: "candidate"}
    assert (await house.tick())["rollout"] is None, "not at the next tick either"
    rollout = await start_rollout(house.ports, NAME, 2, by="bob")
    assert rollout.proposers == ("improver:scripted",)


@pytest.mark.parametrize("which", ["tick_budget", "day_budget"])
@pytest.mark.parametrize("budget", [Budget(calls=0), Budget(usd=0.0), Budget(tokens=0)])
async def test_a_budget_of_nothing_stops_before_any_call(house, which, budget):
    await house.change(habits=replace(HABITS, **{which: budget}))
    with pytest.raises(BudgetExhausted):
        await house.tick()
    assert (house.model.asked, house.improver.briefs) == ([], [])
    assert await house.spent("tick/1") == paid(0)


async def test_the_day_s_budget_ends_the_ticks_of_the_day_and_the_next_day_goes_on(house):
    await house.change(habits=replace(HABITS, day_budget=Budget(usd=1.9), release_ticks=99))
    house.improver.plan = lambda brief: [breaks("other")]
    house.improver.cost = house.improver.worst
    ended = None
    for _ in range(6):
        try:
            await house.tick()
        except BudgetExhausted as problem:
            ended = problem
            break
    assert ended is not None
    assert (await house.spent(f"day/{house.clock():%Y-%m-%d}")).usd <= 1.9
    asked = len(house.improver.briefs)
    assert 1 <= asked <= 3
    with pytest.raises(BudgetExhausted):
        await house.tick()
    assert len(house.improver.briefs) == asked
    house.later(days=1)
    assert (await house.tick())["outcome"] == "rejected"


async def test_a_model_that_is_away_makes_a_tick_hold_and_spoils_nothing(house):
    await house.change(habits=replace(HABITS, release_ticks=2))
    await house.tick()
    before = await facts(house)

    def away(question):
        raise Unavailable("away")

    house.model.trouble, house.model.asked = away, []
    await house.history(60, start=9000, labels=("refund",))
    report = await house.tick()
    assert report["outcome"] == "hold"
    found = await facts(house)
    assert found["looks"] == []
    assert found["levers"] == before["levers"]
    assert found["draft"][1] == before["draft"][1]
    house.model.trouble = lambda _: None
    assert (await house.tick())["release"]["version"] == 2


async def test_an_improver_that_breaks_leaves_the_agent_as_it_was(house):

    def breaks_down(brief):
        raise RuntimeError("a bug in somebody's improver")

    house.improver.plan = breaks_down
    with pytest.raises(RuntimeError):
        await house.tick()
    found = await facts(house)
    assert (found["draft"], found["proposals"], found["rollouts"]) == (None, [], [])
    house.improver.plan = lambda brief: [know("refund")]
    assert (await tick(house.ports, NAME, 1))["outcome"] in ("accepted", "rejected")


async def test_a_live_version_that_moved_during_a_tick_is_not_given_the_draft_of_the_old_one(house):
    number = await house.offer("billing")

    def promote(tx):
        tx.versions.move(NAME, number, "canary")
        tx.versions.move(NAME, number, "live")
        tx.versions.move(NAME, 1, "retired")
        tx.agents.swap(replace(tx.agents.get(NAME), live=number))
        tx.agents.moved_live(NAME, number, at=house.clock(), by="ann", why="by hand")

    async def then_move(name, work):
        result = await work()
        if name == "lever":
            await house.write(promote)
        return result

    report = await house.tick(run=then_move)
    assert (report["release"], report["rollout"]) == (None, None)
    await rollback(house.ports, NAME, by="ann")
    assert await house.live() == 1


async def test_after_a_kill_that_outlasted_new_failures_the_proposal_still_counts_for_its_own_lever(house):

    async def dies(name, work):
        if name == "release":
            raise ConnectionError("killed")
        return await work()

    real, store = house.improver.propose, type(house.app.store)

    async def then_die(brief, budget):
        proposal = await real(brief, budget)
        house.improver.propose = real
        return proposal

    house.improver.propose = then_die
    original = store.write
    calls = {"n": 0}

    async def dying(self, work):
        done = await original(self, work)
        if house.improver.briefs:
            calls["n"] += 1
            if calls["n"] == 1:
                raise ConnectionError("killed after the proposal was filed")
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "write", dying)
        with pytest.raises(ConnectionError):
            await house.tick(run=dies)
    (filed,) = await house.read(lambda tx: tx.proposals.all(NAME))
    other = "refund" if filed.proposal.edits[0].target == "know-billing" else "billing"
    await house.history(90, labels=(other,), start=7000)
    report = await tick(house.ports, NAME, 1)
    assert report["lever"] == filed.lever
    assert report["outcome"] == "accepted"
