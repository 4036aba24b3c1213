"""Explain: what the standing failures of an agent have in common, and what became of each cause.

Gathered are the failures of the window that the next tick looks at, the levers that answer them, and how the versions
hang together; `core.cause` says the rest. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from surefoot.core.cause import Backlog, Cause, causes
from surefoot.engine.inspect import Failing, failing
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The failures of the window, and their causes, the largest first."""

    found: Failing
    causes: tuple[Cause, ...]

    @property
    def labelled(self) -> int:
        """How many requests were judged."""
        return self.found.verdicts.success + self.found.verdicts.failure

    @property
    def single(self) -> int:
        """How many failures of the window are of no cause that others share."""
        return len(self.found.failures) - sum(one.failures for one in self.causes)


async def explain(ports: Ports, name: str) -> Explained:
    """Give the causes of an agent's failures."""
    agent = await ports.store.read(lambda tx: tx.agents.get(name))
    found = await failing(ports, name, limit=agent.habits.window)
    keys = {one.symptom for one in found.failures}
    known = await ports.store.read(lambda tx: _backlog(tx, name, keys))
    return Explained(found=found, causes=causes(found.failures, found.verdicts.success + found.verdicts.failure, known))


def _backlog(tx: Tx, agent: str, keys: Collection[str]) -> Backlog:
    levers = tx.levers.answering(agent, keys)
    versions = tx.versions.all(agent) if any(one.state == "shipped" for one in levers.values()) else []
    return Backlog(
        levers=levers, parents={one.number: one.parent for one in versions}, live=tx.agents.get(agent).live,
        coming=frozenset(one.number for one in versions if one.state in ("candidate", "canary")),
    )  # fmt: skip
