"""A slice that gets worse behind a better average holds the share at its floor until a person accepts it by name."""

from __future__ import annotations

import pytest
from scripted_house import EAGER, NAME, taught

from surefoot.core.errors import Conflict, Forbidden, NotFound
from surefoot.core.rollout import RolloutSettings
from surefoot.engine.accept import accept_guards
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import offer_version
from surefoot.engine.rollback import rollback

STEADY = RolloutSettings(
    ledger_slots=None, min_fresh_labels=1, hard_guard=1e9, soft_guard=1e9, mh_limit=1e9, win_threshold=1e9
)


async def traded(house, **settings):
    """A rollout of a challenger that knows refund and breaks what was right, label other."""
    await house.agent()
    genome = await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, 1).genome))
    version = await offer_version(
        house.ports, NAME, taught(genome, "refund", "BREAK other"), by="ann", rationale="a trade"
    )
    terms = settings.pop("settings", STEADY)
    rollout = await start_rollout(house.ports, NAME, version.number, by="ann", settings=terms, forced_by="bob")
    await reconcile(house.ports, rollout.id)
    return rollout.id


GUARDED = RolloutSettings(
    ledger_slots=None, min_fresh_labels=1, hard_guard=1e9, soft_guard=1e9, mh_limit=1e9, win_threshold=1e9,
    guards=("label=other", "label=refund"),
)  # fmt: skip


async def test_a_rollout_watches_every_label_of_its_agent(house):
    await house.agent()
    rollout = await house.rollout(open_it=False)
    assert set(rollout.settings.guards) == {"label=other", "label=billing", "label=refund"}
    assert EAGER.guards == ()


async def test_the_worse_slice_is_named_and_holds_the_share_at_its_floor(house):
    rollout = await traded(house, settings=GUARDED)
    await house.traffic(400, labels=("other", "refund", "refund"))
    row = await reconcile(house.ports, rollout)
    assert (row.action, row.reason, row.weight_after) == ("hold", "watched_guard", 5)
    assert "label=other" in row.sentence
    assert "label=refund" not in row.sentence
    assert row.evidence["names"] == ["label=other"]
    assert row.evidence["guards"]["label=other"] >= GUARDED.guard_at(2)


async def test_once_a_person_accepted_the_slice_the_rollout_goes_on(house):
    rollout = await traded(house, settings=GUARDED)
    await house.traffic(400, labels=("other", "refund", "refund"))
    await reconcile(house.ports, rollout)
    await accept_guards(house.ports, rollout, ["label=other"], by="bob", why="we will retire it")
    row = await reconcile(house.ports, rollout)
    assert (row.action, row.weight_after) == ("ramp", 15)
    assert "guard-accepted" in await house.actions()


async def test_an_unwatched_slice_raises_nothing(house):
    rollout = await traded(house)
    await house.traffic(400, labels=("other", "refund", "refund"))
    assert (await reconcile(house.ports, rollout)).reason == "ramp"


async def test_what_is_not_watched_or_over_or_ones_own_cannot_be_accepted(house):
    rollout = await traded(house, settings=GUARDED)
    with pytest.raises(NotFound, match="label=rfund"):
        await accept_guards(house.ports, rollout, ["label=rfund"], by="bob")
    with pytest.raises(Forbidden, match="ann"):
        await accept_guards(house.ports, rollout, ["label=other"], by=" Ann")
    await rollback(house.ports, NAME, by="bob")
    with pytest.raises(Conflict, match="ended"):
        await accept_guards(house.ports, rollout, ["label=other"], by="bob")
