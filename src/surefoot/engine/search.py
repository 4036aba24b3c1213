"""Search: test a proposal's edits on cases whose text the improver never saw.

All edits of a lever are tested together first. Only when that fails they are halved, and the better half that is
accepted is kept. The target is the lever's own hidden cases and the whole val sample; everything else that is
labelled, past successes among it, is watched for harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from surefoot.core.agent import Agent
from surefoot.core.backlog import missed_by
from surefoot.core.case import Case
from surefoot.core.edit import Edit, apply_edits
from surefoot.core.errors import SurefootError
from surefoot.core.gate import SearchVerdict, search_verdict
from surefoot.core.genome import Genome
from surefoot.engine.evaluate import examine, pairs
from surefoot.ports import Ports

MAX_TRIALS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One test of some edits: the genome with them, and the verdict."""

    edits: tuple[Edit, ...]
    genome: Genome
    verdict: SearchVerdict


async def search(
    ports: Ports, agent: Agent, genome: Genome, edits: Sequence[Edit], *, gap: str, seed: str, scope: str,
    texts: frozenset[str] = frozenset(),
) -> list[Trial]:  # fmt: skip
    """Give every trial in the order made; the last accepted one, if any, is the one to keep.

    `texts` are the failures of a gap that no missed answer names.
    """
    cases = await ports.store.read(lambda tx: tx.cases.of(agent.name, ("shown", "hidden", "val")))
    wanted = missed_by(gap)
    target = [
        c for c in cases
        if c.split == "val" or (c.split == "hidden" and (c.expected.strip().lower() == wanted or c.input in texts))
    ]  # fmt: skip
    ids = {case.id for case in target}
    others = [case for case in cases if case.id not in ids]
    trials: list[Trial] = []
    queue: list[tuple[Edit, ...]] = [tuple(edits)]
    while queue and len(trials) < MAX_TRIALS:
        part = queue.pop(0)
        trial = await _trial(ports, agent, genome, part, target, others, seed, scope)
        if trial is None:
            continue
        trials.append(trial)
        if trial.verdict.verdict == "accept":
            return trials
        if len(part) > 1:
            queue += [part[: len(part) // 2], part[len(part) // 2 :]]
    return trials


async def _trial(
    ports: Ports, agent: Agent, genome: Genome, edits: tuple[Edit, ...], target: Sequence[Case],
    others: Sequence[Case], seed: str, scope: str,
) -> Trial | None:  # fmt: skip
    """Test one set of edits; None where the set makes no sense without the rest (an edit builds on another)."""
    try:
        candidate = apply_edits(genome, edits, learned_at="draft")
    except SurefootError:
        return None
    before, after = await examine(ports, agent, [genome, candidate], target, scope=scope)
    wanted = pairs(target, before, after)
    verdict = search_verdict(wanted, seed=seed)
    if verdict.verdict == "accept":  # what gains nothing needs no look at what it might harm
        before, after = await examine(ports, agent, [genome, candidate], others, scope=scope)
        verdict = search_verdict(
            wanted, pairs([case for case in others if case.split != "shown"], before, after),
            shown=pairs([case for case in others if case.split == "shown"], before, after), seed=seed,
        )  # fmt: skip
    return Trial(edits=edits, genome=candidate, verdict=verdict)


def kept(trials: Sequence[Trial]) -> Trial | None:
    """Give the trial to keep."""
    return next((trial for trial in reversed(trials) if trial.verdict.verdict == "accept"), None)
