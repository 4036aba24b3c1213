"""Advise: gather how improving went lately, and ask core whether it is time to stop.

Where traffic has fewer than a hundred judged answers of the live version, the answers on val that are known already
count instead; nothing is asked for this.
"""

from __future__ import annotations

from surefoot.core.agent import Agent
from surefoot.core.errors import NotFound
from surefoot.core.guardrail import drift
from surefoot.core.saturation import Advice, Progress, advice
from surefoot.engine.notify import announce
from surefoot.engine.triage import standing
from surefoot.ports import Ports, Tx

ENOUGH = 100


def advised(tx: Tx, ports: Ports, name: str) -> Advice | None:
    """Give the advice for an agent as it stands, None for going on."""
    return advice(progress(tx, ports, name))


def progress(tx: Tx, ports: Ports, name: str) -> Progress:
    """Gather what the advice rests on."""
    agent, _, genome = standing(tx, name)
    failed, judged = _judged(tx, ports, agent)
    tries = _tries(tx, agent)
    return Progress(
        tries=tries, looks=_looks(tx, agent), failed=failed, judged=judged,
        untried=sum(one.state == "open" and not one.tries and one.worth > 0 for one in tx.levers.all(name)),
        headroom=agent.habits.headroom, drift=drift(tx.versions.genome(agent.base), genome),
        drift_limit=agent.bounds.drift,
    )  # fmt: skip


def tell(tx: Tx, ports: Ports, name: str, found: Advice) -> None:
    """Tell people, once for each reason and live version."""
    live = tx.agents.get(name).live
    key = f"{name}/advice/v{live}/{found.reason}"
    if tx.marks.get(key) is not None:
        return
    tx.marks.add(key, found.document(), ports.clock())
    announce(
        tx, ports, "freeze_recommended", agent=name, subject=f"{name}: stop improving it?", sentence=found.sentence,
        facts={"reason": found.reason, "live": live, "look": f"surefoot show {name}"},
    )  # fmt: skip


def _judged(tx: Tx, ports: Ports, agent: Agent) -> tuple[int, int]:
    served = tx.outcomes.labelled(agent.name, version=agent.live)
    if (judged := served.success + served.failure) >= ENOUGH:
        return served.failure, judged
    val = [case.id for case in tx.cases.of(agent.name, ("val",))]
    genome = tx.versions.get(agent.name, agent.live).genome
    try:
        model = ports.model_named(agent.habits.model)
    except NotFound:  # whoever only looks at the agent may lack the settings of its model
        return served.failure, judged
    known = tx.scores.known(genome, model.name, val)
    first = [score for (_, repeat), (_, score) in known.items() if repeat == 0]
    return sum(score < 1 for score in first), len(first)


def _tries(tx: Tx, agent: Agent) -> int:
    """Count the levers worked on since one was last accepted; ticks that held or had nothing to do say nothing."""
    dry = 0
    for number in range(agent.tick, 0, -1):
        report = tx.marks.get(f"{agent.name}/tick/{number}/lever")
        if report is not None and report["outcome"] == "accepted":
            break
        dry += report is not None
    return dry


def _looks(tx: Tx, agent: Agent) -> int:
    """Count the looks at the sealed cases since one last passed."""
    dry = 0
    for look in reversed(tx.looks.all(agent.name)):
        if look.verdict == "pass":
            break
        dry += 1
    return dry
