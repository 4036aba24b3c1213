"""Diagnose: how the server is, for whoever looks: gathered from the store and from what its processes counted.

Whoever sees all agents is told of the whole house; a token that is held to some is told of these agents only. Nothing
here changes anything, and each figure costs the same whatever the store holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from surefoot.core.agent import Agent
from surefoot.core.exposition import readings
from surefoot.core.health.report import Health, health, signs
from surefoot.core.health.stored import Lapsed, Mine, Spending, Waiting, Whole
from surefoot.core.process import standing as standing_of
from surefoot.core.token import Token
from surefoot.engine.mind import sizes
from surefoot.engine.verify import standing
from surefoot.ports import Ports, Tx

MOST_PAUSES = 500
FORGOTTEN = timedelta(days=1)


class Hearing:
    """Where the counts of all processes of a server are to be had; nowhere, until somebody says."""

    def __init__(self) -> None:
        self._ask: Callable[[], Awaitable[str]] | None = None

    def at(self, ask: Callable[[], Awaitable[str]]) -> None:
        """Say where they are."""
        self._ask = ask

    async def heard(self) -> str:
        """Give the counts in the text format of Prometheus; empty where nobody counts."""
        return "" if self._ask is None else await self._ask()


async def diagnose(ports: Ports, token: Token, hearing: Hearing) -> Health:
    """Give all lines that a token may see, those that need somebody first within their group."""
    now = ports.clock()
    if token.agents:
        mine = await ports.store.read(lambda tx: _mine(tx, token, now))
        return health(signs(mine, None, (), now), whole=False)
    counted = readings(await hearing.heard())
    mine, whole = await ports.store.read(lambda tx: (_mine(tx, token, now), _whole(tx, now)))
    return health(signs(mine, whole, counted, now), whole=True)


def _mine(tx: Tx, token: Token, now: datetime) -> Mine:
    agents = [one for one in tx.agents.all() if token.sees(one.name)]
    names = [one.name for one in agents]
    pauses = tx.pauses.listed(limit=MOST_PAUSES, agents=names, waiting=now) if names else []
    processes = [one for one in tx.processes.all() if one.agent in set(names)]
    stands = [(one, *standing_of(one, now)) for one in processes]
    return Mine(
        spending=tuple(_spending(tx, agents, now)), incidents=tx.vitals.incidents(names), processes=len(processes),
        pauses=Waiting(
            count=len(pauses), oldest=min((one.requested_at for one in pauses), default=None),
            expires=min((one.expires_at for one in pauses), default=None),
        ),
        lapsed=tuple(
            Lapsed(agent=one.agent, version=one.version, word=word, because=why, since=one.seen_at)
            for one, word, why in stands if word not in ("ready", "draining", "offline")
        ),
        last_tick=max((one.last_tick_at for one in agents if one.last_tick_at is not None), default=None),
    )  # fmt: skip


def _spending(tx: Tx, agents: list[Agent], now: datetime) -> list[Spending]:
    scopes = {one.name: f"{one.name}/day/{now:%Y-%m-%d}" for one in agents}
    costs, found = tx.vitals.day_costs(list(scopes.values())), list[Spending]()
    for one in agents:
        spent, reserved = costs.get(scopes[one.name], (0.0, 0.0))
        by, at = tx.vitals.budget_set(one.name) or ("", None)
        limit = one.habits.day_budget.usd
        found.append(
            Spending(agent=one.name, spent=spent, reserved=reserved, limit=limit, set_by=by, set_at=at)
        )  # fmt: skip
    return sorted(found, key=lambda one: (-(one.spent + one.reserved), one.agent))


def _whole(tx: Tx, now: datetime) -> Whole:
    chain, (webhooks, people) = standing(tx), tx.vitals.letters(now)
    return Whole(
        workers=tuple(tx.vitals.workers(now - FORGOTTEN)), webhooks=webhooks, people=people, bytes=tx.vitals.bytes(),
        sizes=tuple(sizes(tx, now)), schema=tx.vitals.schema(), found=chain.found, left=chain.left, kept=chain.kept,
    )  # fmt: skip
