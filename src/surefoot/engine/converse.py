"""Converse: one turn of an improver's conversation, within limits that are held here whoever drives it.

The limits of a conversation are those of its first turn, and whoever begins it names them; so each turn also counts in
the day of its agent, whose budget no number of conversations exceeds. Every request reserves its worst case before it
is sent and is settled after, so neither turns nor dollars are exceeded, whatever a provider makes of such options
(S1-20). What may work soon is asked again up to three times with growing, jittered pauses, each under a reservation of
its own; a request whose cost nobody knows counts with its worst case. A price that is unknown cannot be held to a
budget in dollars, so then nothing is sent at all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from surefoot.core.budget import Budget
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.proposal import Cost
from surefoot.ports import Ports, Tx
from surefoot.ports.turn import Body, Setback, Turned, Turns

RETRIES = 3
FIRST_PAUSE_S = 0.5
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One conversation of an agent's improver: its id, the model by name, and the limits."""

    agent: str
    id: str
    model: str
    limits: Budget

    @property
    def scope(self) -> str:
        """Where its ledger is kept."""
        return f"talk:{self.agent}:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """A turn that was taken, and what the conversation has cost so far."""

    turned: Turned
    spent: Cost


async def turn(
    ports: Ports, talk: Talk, number: int, body: Body, *, sleep: Sleep = asyncio.sleep,
    rng: Callable[[], float] = random.random,
) -> Took:  # fmt: skip
    """Take a turn; BudgetExhausted before it is sent if it might not fit, Invalid if its price is unknown."""
    model = ports.turns_named(talk.model)
    ledgers = {talk.scope: talk.limits} | await ports.store.read(lambda tx: _day(tx, ports, talk.agent))
    most = _worst(model, body, ledgers)
    await ports.store.write(lambda tx: _agreed(tx, ports, talk))
    for attempt in range(RETRIES + 1):
        name = f"{talk.scope}/{number}.{attempt}/{ports.new_id()}"  # two at once are two, whatever they call themselves
        await ports.store.write(lambda tx, key=name: _reserved(tx, ports, ledgers, key, most))
        try:
            turned = await model.take(body)
        except Setback as setback:
            await _settled(ports, talk, ledgers, name, most if setback.billed else Cost())
            if not setback.again or attempt == RETRIES:
                raise
            await sleep(FIRST_PAUSE_S * 2**attempt * (0.5 + rng() / 2))
        except Invalid:
            await _settled(ports, talk, ledgers, name, Cost())
            raise
        else:
            spent = await _settled(ports, talk, ledgers, name, replace(turned.cost, calls=1))
            return Took(turned=turned, spent=spent)
    raise AssertionError("the last attempt returns or raises")


def _day(tx: Tx, ports: Ports, agent: str) -> dict[str, Budget]:
    return {f"{agent}/day/{ports.clock():%Y-%m-%d}": tx.agents.get(agent).habits.day_budget}


def _worst(model: Turns, body: Body, ledgers: Mapping[str, Budget]) -> Cost:
    try:
        price = model.price(body)
    except Invalid:
        if any(budget.usd is not None for budget in ledgers.values()):
            raise
        return Cost(calls=1)
    return Cost(calls=1, tokens=price.tokens, usd=price.usd)


def _agreed(tx: Tx, ports: Ports, talk: Talk) -> None:
    """Hold a conversation to the limits and the model of its first turn."""
    limits = {"calls": talk.limits.calls, "usd": talk.limits.usd, "model": talk.model}
    known = tx.marks.get(talk.scope)
    if known is None:
        tx.marks.add(talk.scope, limits, ports.clock())
    elif dict(known) != limits:
        raise Conflict(f"the limits of the conversation {talk.id} were set by its first turn",
                       hint="begin another conversation")  # fmt: skip


def _reserved(tx: Tx, ports: Ports, ledgers: Mapping[str, Budget], key: str, most: Cost) -> None:
    for ledger, budget in ledgers.items():
        tx.ledgers.get(ledger, budget).reserve(key, most)
        tx.ledgers.reserve(ledger, key, most, ports.clock())


async def _settled(ports: Ports, talk: Talk, ledgers: Mapping[str, Budget], key: str, actual: Cost) -> Cost:
    def work(tx: Tx) -> Cost:
        for ledger in ledgers:
            tx.ledgers.settle(ledger, key, actual)
        return tx.ledgers.get(talk.scope, talk.limits).committed

    return await ports.store.write(work)
