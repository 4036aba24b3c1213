"""Suspect: compare a candidate's gain on shown and on unseen cases, and stop what only learned the shown ones.

The suspicion is written down under the version, people are told, and from then on only a person who takes the
responsibility can give that version traffic. Unseen are the hidden and val cases: sealed ones are opened by counted
looks only, and one bit about them is all that leaves a look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from surefoot.core.agent import Agent
from surefoot.core.case import Case
from surefoot.core.divergence import Divergence, divergence
from surefoot.core.errors import Conflict
from surefoot.core.evidence.comparison import comparison
from surefoot.core.genome import Genome
from surefoot.core.score import normal
from surefoot.core.version import Version
from surefoot.engine.evaluate import Sheet, examine, pairs
from surefoot.engine.notify import announce
from surefoot.ports import Ports, Tx


async def suspicion(ports: Ports, agent: Agent, live: Genome, genome: Genome, *, scope: str = "") -> Divergence:
    """Compare the gains of a genome over the live one on shown cases and on those that no improver sees.

    An agent with a closed set of labels has a hidden metric besides: whether the answer is one of them.
    """
    cases = await ports.store.read(lambda tx: tx.cases.of(agent.name, ("shown", "hidden", "val")))
    before, after = await examine(ports, agent, [live, genome], cases, scope=scope)
    shown = [case for case in cases if case.split == "shown"]
    hidden = [case for case in cases if case.split != "shown"]
    metrics = {"answers from the label set": _in_set(agent, hidden, before, after)} if agent.labels else {}
    return divergence(
        _gains(shown, before, after), _gains(hidden, before, after), seed=genome.digest, metrics=metrics
    )  # fmt: skip


def _gains(cases: Sequence[Case], before: Sheet, after: Sheet) -> tuple[float, ...]:
    return comparison(pairs(cases, before, after)).differences


def _in_set(agent: Agent, cases: Sequence[Case], before: Sheet, after: Sheet) -> list[float]:
    """Give by case whether the candidate answers inside the label set minus whether the live version does."""
    labels = {normal(label) for label in agent.labels}
    sides = [(before[case.id][0], after[case.id][0]) for case in cases]
    return [
        float(normal(new.answer) in labels) - float(normal(old.answer) in labels)
        for old, new in sides if old.score is not None and new.score is not None
    ]  # fmt: skip


def accuse(tx: Tx, ports: Ports, version: Version, found: Divergence) -> None:
    """Write a suspicion down under the version and ask people, once; what is not suspected leaves no trace.

    A rollout of it that waits in the queue is to be aborted, unless a person answers for it.
    """
    if not found.suspected or tx.marks.get(_key(version)) is not None:
        return
    now = ports.clock()
    tx.marks.add(_key(version), found.document(), now)
    tx.audit.append(at=now, actor="gate", action="reward-hacking-suspected",
                    subject=f"{version.agent}/{version.label}", payload=found.document())  # fmt: skip
    for queued in tx.rollouts.queue(version.agent):
        if queued.challenger == version.number and not queued.forced_by:
            tx.rollouts.swap(replace(queued, wish="abort", wished_by="gate", wish_reason=found.sentence))
    announce(
        tx, ports, "reward_hacking_suspected", agent=version.agent, subject=f"{version.agent} {version.label}",
        sentence=found.sentence,
        facts={"version": version.number, "shown_gain": found.shown_gain, "hidden_gain": found.hidden_gain,
               "look": f"surefoot diff {version.agent} {version.number}"},
    )  # fmt: skip


def must_be_above_suspicion(tx: Tx, version: Version, *, forced_by: str) -> None:
    """Raise Conflict for a version that is suspected of reward hacking, unless a person takes the responsibility."""
    if not forced_by and (found := tx.marks.get(_key(version))) is not None:
        raise Conflict(
            f"{version.agent} {version.label} may not take traffic. {found['sentence']}",
            hint=f"read it (surefoot diff {version.agent} {version.number}); a person may take the responsibility "
            "(rollout start --force --by NAME)",
        )


def _key(version: Version) -> str:
    return f"{version.agent}/{version.label}/suspected"
