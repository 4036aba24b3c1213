"""Ascribe: which request an evaluation is about, where several agents have one in the same trace.

It is about the request of the agent that it names. Where that agent has none there, it is about that of the step that
it judges; else one that names an agent of ours waits until that agent's request is there, and one that names none of
ours is about the request that was told first. Whoever may not see an agent says nothing about it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from surefoot.core.score import Outcome
from surefoot.core.span import Span
from surefoot.core.testimony import outcome_of
from surefoot.ports import Tx

Sees = Callable[[str], bool]
Said = tuple[Span, Sees]


def ascribed(tx: Tx, said: Sequence[Said]) -> list[tuple[Span, str]]:
    """Give evaluations with the request that each is about, by trace in their order; those that wait are left out."""
    by_trace = defaultdict[str, list[Said]](list)
    for one in said:
        by_trace[one[0].trace_id].append(one)
    return [found for trace_id, some in by_trace.items() for found in _within(tx, trace_id, some)]


def counted(tx: Tx, waited: Sequence[Span], now: datetime) -> Callable[[Span], bool]:
    """Give whether an evaluation that may have waited for its agent was counted for another agent's request already."""
    known = {trace_id: _outcomes(tx, trace_id) for trace_id in {one.trace_id for one in waited}}

    def was(one: Span) -> bool:
        return any(agent != one.agent and replace(outcome_of(one, now=now), trace_id=request) in there
                   for (request, agent), there in known[one.trace_id].items())  # fmt: skip

    return was


def _outcomes(tx: Tx, trace_id: str) -> Mapping[tuple[str, str], set[Outcome]]:
    found = tx.finding.under(trace_id)
    return {one: set(tx.outcomes.of(one[0])) for one in found} if len(found) > 1 else {}


def _within(tx: Tx, trace_id: str, said: Sequence[Said]) -> list[tuple[Span, str]]:
    held = dict[str, str]()
    for request, agent in tx.finding.under(trace_id):
        held.setdefault(agent, request)
    left = [one for one, _ in said if one.agent not in held] if held else []
    ours = tx.spans.agents_among({one.agent for one in left}) if left else set[str]()
    judged = _judged(tx, trace_id, {one.parent_id for one in left if len(held) > 1 or one.agent in ours} - {""})
    meant = [(one, held.get(one.agent) or _about(one, may, held, ours, judged)) for one, may in said]
    return [(one, request) for one, request in meant if request]


def _judged(tx: Tx, trace_id: str, span_ids: Collection[str]) -> Mapping[str, set[str]]:
    """The agents whose step each of these is; the trace is looked through once, however many there are."""
    agents = defaultdict[str, set[str]](set)
    for step in tx.spans.some(trace_id, span_ids) if span_ids else ():
        agents[step.span_id].add(step.agent)
    return agents


def _about(
    one: Span, may: Sees, held: Mapping[str, str], ours: Collection[str], judged: Mapping[str, set[str]]
) -> str:  # fmt: skip
    """The request of another agent than the evaluation names; empty where it waits, or there is none it may judge."""
    agents, seen = judged.get(one.parent_id, ()), [agent for agent in held if may(agent)]
    if one.agent in ours and one.agent in agents:
        return ""
    meant = [agent for agent in seen if agent in agents] or ([] if one.agent in ours else seen)
    return held[meant[0]] if meant else ""
