"""Approval: another person, this version, this evidence, in time, once."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from scripted_house import NAME

from surefoot.core.approval import DEFAULT_EXPIRY
from surefoot.core.audit import verify
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound
from surefoot.engine.approve import approve, waiting
from surefoot.engine.inspect import request
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.rollback import rollback


async def asked(house):
    """A rollout that has won, and its request."""
    await house.agent()
    rollout = await house.won((await house.rollout()).id)
    return rollout, await house.read(lambda tx: tx.approvals.get(rollout.approval))


async def state(house, approval) -> str:
    return (await house.read(lambda tx: tx.approvals.get(approval.id))).state


async def test_a_request_is_bound_to_the_version_and_to_the_evidence_that_is_shown(house):
    rollout, approval = await asked(house)
    version = await house.read(lambda tx: tx.versions.get(NAME, 2))
    assert (approval.version, approval.version_digest, approval.proposers) == (2, version.genome, ("ann",))
    shown = await request(house.ports, approval.id)
    last = await house.last(rollout.id)
    assert shown.evidence == last.evidence
    assert shown.evidence["failure_rates"]["challenger"] < shown.evidence["failure_rates"]["incumbent"]
    assert [one.id for one in await waiting(house.ports)] == [approval.id]


@pytest.mark.parametrize("decision", ["approved", "rejected", "changes_requested"])
@pytest.mark.parametrize("by", ["ann", "Ann ", "\u200bann", "ＡＮＮ"])
async def test_who_proposed_it_cannot_decide_on_it(house, decision, by):
    _, approval = await asked(house)
    with pytest.raises(Forbidden, match="cannot decide"):
        await approve(house.ports, approval.id, decision, by=by)
    assert await state(house, approval) == "pending"


async def test_an_improver_cannot_decide_on_its_own_version(house):
    await house.agent()
    await house.history(240)
    report = await house.tick()
    rollout = await house.won(report["rollout"])
    with pytest.raises(Forbidden, match="cannot decide"):
        await approve(house.ports, rollout.approval, "approved", by="improver:scripted")
    assert await house.live() == 1


@pytest.mark.parametrize("by", ["", "  ", "\u200b"])
async def test_a_decision_needs_a_name(house, by):
    _, approval = await asked(house)
    with pytest.raises(Invalid, match="name"):
        await approve(house.ports, approval.id, "approved", by=by)


@pytest.mark.parametrize("stale", [{"version_digest": "0" * 64}, {"evidence": "0" * 64}])
async def test_a_decision_on_something_else_than_what_is_shown_is_stale(house, stale):
    _, approval = await asked(house)
    with pytest.raises(Conflict, match="changed since you looked"):
        await approve(house.ports, approval.id, "approved", by="bob", **stale)
    assert await state(house, approval) == "pending"


async def test_the_hashes_that_were_shown_are_accepted(house):
    rollout, approval = await asked(house)
    await approve(
        house.ports, approval.id, "approved", by="bob", version_digest=approval.version_digest,
        evidence=approval.evidence_digest, feedback="looks right",
    )  # fmt: skip
    decided = await house.read(lambda tx: tx.approvals.get(approval.id))
    assert (decided.decided_by, decided.feedback) == ("bob", "looks right")
    assert (await reconcile(house.ports, rollout.id)).action == "promote"
    assert [entry[2] for entry in await house.read(lambda tx: tx.agents.lineage(NAME))] == ["founder", "bob"]


async def test_an_expired_request_is_no_success_and_cannot_be_decided(house):
    rollout, approval = await asked(house)
    house.clock.advance(approval.requested_at + DEFAULT_EXPIRY)
    assert await waiting(house.ports) == []
    with pytest.raises(Conflict, match="is expired"):
        await approve(house.ports, approval.id, "approved", by="bob")
    assert (await reconcile(house.ports, rollout.id)).action != "promote"
    with pytest.raises(Conflict, match="stale"):
        await approve(house.ports, approval.id, "approved", by="bob")
    assert await house.live() == 1


async def test_a_request_is_decided_once(house):
    _, approval = await asked(house)
    await approve(house.ports, approval.id, "rejected", by="bob")
    for decision in ("approved", "rejected"):
        with pytest.raises(Conflict, match="is rejected"):
            await approve(house.ports, approval.id, decision, by="cid")
    assert await state(house, approval) == "rejected"


async def test_of_ten_people_who_decide_at_once_one_is_heard(house):
    _, approval = await asked(house)
    done = await asyncio.gather(
        *(
            approve(house.ports, approval.id, "approved" if n % 2 else "rejected", by=f"person-{n}")
            for n in range(10)
        ),
        return_exceptions=True,
    )  # fmt: skip
    assert sum(isinstance(one, Conflict) for one in done) == 9
    decisions = [action for action in await house.actions() if action.startswith("approval-")]
    assert decisions == [f"approval-{await state(house, approval)}"]


async def test_the_approval_of_another_rollout_counts_for_nothing(house):
    _, old = await asked(house)
    await rollback(house.ports, NAME, by="bob")
    again = await start_rollout(house.ports, NAME, 2, by="bob", forced_by="bob")
    again = await house.won(again.id, start=90_000)
    with pytest.raises(Conflict, match="stale: its rollout is rolled back"):
        await approve(house.ports, old.id, "approved", by="bob")
    assert again.approval not in ("", old.id)
    assert (await reconcile(house.ports, again.id)).reason == "awaiting_decision"
    assert await house.live() == 1


async def test_the_same_version_can_be_asked_about_again_after_the_same_number_of_looks(house):
    """Two rollouts of one version that win at the same step need two requests."""
    first, approval = await asked(house)
    await rollback(house.ports, NAME, by="bob")
    again = await start_rollout(house.ports, NAME, 2, by="bob", forced_by="bob")
    while (now := await house.standing(again.id)).steps < first.steps - 1:
        await reconcile(house.ports, again.id)
    await house.weigh(again.id, 45)
    for turn in range(20):
        await house.traffic(40, start=90_000 + 1000 * turn)
        strata = await house.read(lambda tx: tx.rollouts.strata(again.id))
        if sum(row.incumbent_failures for row in strata) > 25:
            break
    row = await reconcile(house.ports, again.id)
    assert (row.action, row.seq) == ("await_approval", first.steps)
    now = await house.standing(again.id)
    assert now.approval != approval.id
    await approve(house.ports, now.approval, "approved", by="bob")
    assert (await reconcile(house.ports, again.id)).action == "promote"


async def test_a_decision_lasts_over_a_restart_and_is_carried_out_by_whoever_comes(builder):
    house = builder.open()
    rollout, approval = await asked(house)
    await approve(builder.open().ports, approval.id, "approved", by="bob")
    later = builder.open()
    assert await state(later, approval) == "approved"
    later.later(days=30)
    assert (await reconcile(builder.open().ports, rollout.id)).action == "promote"
    assert await later.live() == 2


@pytest.mark.parametrize("decision", ["rejected", "changes_requested"])
async def test_a_no_takes_the_share_away(house, decision):
    rollout, approval = await asked(house)
    await approve(house.ports, approval.id, decision, by="bob", feedback="not like this")
    row = await reconcile(house.ports, rollout.id)
    assert (row.action, row.weight_after) == ("roll_back", 0)
    assert await house.states() == {1: "live", 2: "rolled_back"}
    assert (await house.read(lambda tx: tx.approvals.get(approval.id))).feedback == "not like this"


async def test_an_unknown_word_or_request_decides_nothing(house):
    _, approval = await asked(house)
    with pytest.raises(Invalid, match="decides nothing"):
        await approve(house.ports, approval.id, "expired", by="bob")
    with pytest.raises(NotFound, match="'promote-nothing'"):
        await approve(house.ports, "promote-nothing", "approved", by="bob")
    assert await state(house, approval) == "pending"


async def test_a_refused_decision_leaves_no_entry_and_an_accepted_one_leaves_one(house):
    _, approval = await asked(house)
    before = await house.actions()
    with pytest.raises(Forbidden):
        await approve(house.ports, approval.id, "approved", by="ann")
    assert await house.actions() == before
    await approve(house.ports, approval.id, "approved", by="bob")
    (entry,) = [e for e in await house.read(lambda tx: tx.audit.all()) if e.action == "approval-approved"]
    assert (entry.actor, entry.payload["version"], entry.payload["evidence"]) == (
        "bob", approval.version_digest, approval.evidence_digest
    )  # fmt: skip
    assert Counter(await house.actions())["approval-approved"] == 1
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_a_decision_and_a_rollback_at_once_never_promote(house):
    rollout, approval = await asked(house)
    await asyncio.gather(
        approve(house.ports, approval.id, "approved", by="bob"),
        rollback(house.ports, NAME, by="cid"),
        return_exceptions=True,
    )
    await reconcile(house.ports, rollout.id)
    assert (await house.standing(rollout.id)).state == "rolled_back"
    assert await house.live() == 1
