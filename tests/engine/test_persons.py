"""One person is one in every verb: who proposed under one token has no say under another; and no secret stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_house import NAME

from surefoot.core.errors import Conflict, Forbidden
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.accept import accept_guards
from surefoot.engine.issue import Order, issue
from surefoot.engine.operate import reconcile
from surefoot.engine.pause import decide_pause, pause
from surefoot.engine.rollback import hold, thaw, wish
from surefoot.engine.weigh import weigh

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


async def frozen(house):
    """A rollout that was proposed under a token's own name, and is held."""
    await house.agent()
    await issue(house.ports, Order(name="ann-ci", role="operator", person="ann"), by="founder")
    rollout = await house.rollout()
    await hold(house.ports, rollout.id, by="bob", reason=f"look at {KEY}")
    found = await house.standing(rollout.id)
    assert found.state == "frozen"
    return await house.write(lambda tx: tx.rollouts.swap(replace(found, proposers=("ann-ci",))))


@pytest.mark.parametrize("by", ["ann", "ann-ci", " ANN"])
async def test_who_proposed_under_one_token_gives_no_share_back_under_another(house, by):
    rollout = await frozen(house)
    with pytest.raises(Forbidden):
        await weigh(house.ports, NAME, rollout.challenger, 5, by=by)
    with pytest.raises(Forbidden):
        await thaw(house.ports, rollout.id, by=by)
    with pytest.raises(Forbidden):
        await house.write(lambda tx: wish(tx, house.ports, rollout.id, "promote", by, ""))
    with pytest.raises(Forbidden):
        await accept_guards(house.ports, rollout.id, rollout.settings.guards[:1], by=by)
    assert await house.standing(rollout.id) == rollout
    assert (await weigh(house.ports, NAME, rollout.challenger, 5, by="bob")).weight_percent == 5


@pytest.mark.parametrize("asker", ["ann-ci", "ann"])
async def test_who_asked_under_one_token_decides_their_own_pause_under_no_other(house, asker):
    await house.agent()
    await issue(house.ports, Order(name="ann-ci", role="operator", person="ann"), by="founder")
    await pause(house.ports, NAME, "p-1", by=asker)
    for by in ("ann", "ann-ci"):
        with pytest.raises(Forbidden):
            await decide_pause(house.ports, NAME, "p-1", "approved", by=by)
    assert (await decide_pause(house.ports, NAME, "p-1", "approved", by="bob")).state == "approved"


async def test_no_secret_in_a_reason_is_kept_whatever_the_deed(house):
    rollout = await frozen(house)
    why = f"because of {KEY}"
    await weigh(house.ports, NAME, rollout.challenger, 5, by="bob", reason=why)
    await accept_guards(house.ports, rollout.id, rollout.settings.guards[:1], by="bob", why=why)
    await house.write(lambda tx: wish(tx, house.ports, rollout.id, "abort", "bob", why))
    await reconcile(house.ports, rollout.id)
    kept = await house.read(lambda tx: repr(
        [tx.audit.all(), tx.rollouts.all(NAME), tx.rollouts.history(rollout.id), tx.notices.listed(agents=EVERY_AGENT)]
    ))  # fmt: skip
    assert KEY not in kept
    for deed in ("wish-share", "guard-accepted", "wish-abort"):
        assert deed in kept


async def test_a_rollout_that_is_not_in_progress_is_not_held(house):
    rollout = await frozen(house)
    await house.write(lambda tx: wish(tx, house.ports, rollout.id, "abort", "bob", ""))
    await reconcile(house.ports, rollout.id)
    with pytest.raises(Conflict, match="not in progress"):
        await hold(house.ports, rollout.id, by="bob")
