"""Lodge: parcels of spans into the store, as many as there are at a time, in one transaction.

While one transaction is under way parcels gather for the next, so that under load a few large statements do the work
of many small ones: each statement makes the writing thread wait for its turn of the interpreter. The spans that are
new are kept, a trace for each request of an agent that we know, and what is said about it; of agents that have a part
in one trace each has its own, and one only, however its id is spelt. An evaluation that is earlier than its trace waits
among the spans until the trace is there. A parcel that cannot be kept takes no other with it: then each is kept alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from surefoot.core.errors import NotFound
from surefoot.core.span import Span
from surefoot.core.testimony import Claim, failure_of, outcome_of, speakers, trace_of
from surefoot.core.trace import Trace, apart, dashed, spellings, steps_id
from surefoot.engine.ascribe import Sees, ascribed, counted
from surefoot.ports import Ports, Tx
from surefoot.ports.recorder import Full, Recorder
from surefoot.ports.spans import Parcel

MOST_GROUPS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Lodged:
    """What became of a parcel: whether a stranger in it is an agent by now, and what is to be said about it."""

    met: bool
    notes: Counter[str]


@dataclass(frozen=True, slots=True)
class _Waiting:
    parcel: Parcel
    done: asyncio.Future[Lodged]


class Lodging:
    """Keeps the parcels of one event loop; `live` gives the live version of an agent, 0 for a stranger."""

    def __init__(self, ports: Ports, recorder: Recorder, live: Callable[[str], int]) -> None:
        self._ports = ports
        self._recorder = recorder
        self._live = live
        self._known = set[tuple[str, int]]()
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self.kept = 0
        self.repeated = 0

    async def lodge(self, parcel: Parcel) -> Lodged:
        """Keep a parcel; returns after the commit. Full when the recorder is, Unavailable when the store is away."""
        loop = asyncio.get_running_loop()
        mine = _Waiting(parcel, loop.create_future())
        self._waiting.append(mine)
        if self._running is None:
            self._running = loop.create_task(self._run())
        return await mine.done

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._keep(self._next())
        finally:
            self._running = None

    def _next(self) -> list[_Waiting]:
        """As many as fit into one transaction, the first at least."""
        groups, count = 0, 0
        for one in self._waiting:
            groups += len(one.parcel.groups)
            if count and groups > MOST_GROUPS:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _keep(self, batch: list[_Waiting]) -> None:
        parcels = [one.parcel for one in batch]
        try:
            new, of, lodged = await self._recorder.write(lambda tx: self._written(tx, parcels))
        except Exception as problem:  # noqa: BLE001  everybody who waits is told
            if len(batch) > 1 and not isinstance(problem, Full):
                for one in batch:
                    await self._keep([one])
                return
            for one in batch:
                if not one.done.done():
                    one.done.set_exception(problem)
            return
        self.kept += new
        self.repeated += of - new
        for one, said in zip(batch, lodged, strict=True):
            if not one.done.done():
                one.done.set_result(said)

    # One transaction --------------------------------------------------------------------------------------------------

    def _written(self, tx: Tx, parcels: Sequence[Parcel]) -> tuple[int, int, list[Lodged]]:
        """Give how many spans were new, of how many, and what became of each parcel."""
        groups = [group for parcel in parcels for group in parcel.groups]
        evaluations = [(group, span, parcel.sees) for parcel in parcels for group, span in parcel.evaluations]
        new = tx.spans.add_all(groups)
        said = [(span, sees) for group, span, sees in evaluations if tx.spans.add_all([group])]
        wanted = set[tuple[str, int]]()
        begun = self._traced(tx, [claim for parcel in parcels for claim in parcel.claims], wanted)
        self._judged(tx, said, begun)
        strangers = set[str]().union(*(parcel.strangers for parcel in parcels))
        met = tx.spans.agents_among(strangers) if strangers else strangers
        lodged = [Lodged(met=bool(parcel.strangers & met), notes=_notes(parcel, wanted)) for parcel in parcels]
        return new + len(said), sum(one.size for one in groups) + len(evaluations), lodged

    def _judged(self, tx: Tx, said: list[tuple[Span, Sees]], begun: list[Trace]) -> None:
        """Count the evaluations that are new, and those that waited for a trace that has just begun.

        Whoever may not see the agent of a trace says nothing about it; of one that waited only its agent is known.
        """
        new = {(one.trace_id, one.span_id, one.agent) for one, _ in said}
        ids = {(steps_id(one.id), one.agent): one.id for one in begun}
        waited = tx.spans.evaluations({one for one, _ in ids}, {agent for _, agent in ids}) if ids else []
        now = self._ports.clock()
        was = counted(tx, waited, now)
        heard = [(one, ids[one.trace_id, one.agent]) for one in waited if (one.trace_id, one.agent) in ids
                 and (one.trace_id, one.span_id, one.agent) not in new and not was(one)]  # fmt: skip
        for evaluation, trace_id in [*heard, *ascribed(tx, said)]:
            tx.outcomes.add(replace(outcome_of(evaluation, now=now), trace_id=trace_id))

    def _traced(self, tx: Tx, claims: list[Claim], wanted: set[tuple[str, int]]) -> list[Trace]:
        """Keep a trace for each request that has none yet; gives those, and the versions that there are not."""
        if not claims:
            return []
        now, chosen = self._ports.clock(), speakers(claims)
        traced = tx.spans.traced(chosen)
        if others := _apart(claims, chosen, traced):
            chosen, traced = {**chosen, **others}, {**traced, **tx.spans.traced(others)}
        fresh = _fresh(tx, [one for trace_id, one in chosen.items() if trace_id not in traced])
        stated = [(one, self._version(tx, one, wanted)) for one in fresh]
        begun = [(claim, version) for claim, version in stated if version]
        traces = [trace_of(claim, version=version, now=now) for claim, version in begun]
        failed = [(one, failure_of(claim, now=now)) for one, (claim, _) in zip(traces, begun, strict=True)]
        tx.traces.add_all(traces)
        tx.outcomes.fail_all([(trace, failure) for trace, failure in failed if failure is not None])
        return traces

    def _version(self, tx: Tx, claim: Claim, wanted: set[tuple[str, int]]) -> int:
        """The version that answered: as the span says, else the live one; 0 for one that there is not."""
        if not claim.version:
            return self._live(claim.agent)
        key = (claim.agent, claim.version)
        if key not in self._known:
            try:
                tx.versions.get(*key)
            except NotFound:
                wanted.add(key)
                return 0
            self._known.add(key)
        return claim.version


def _apart(claims: Sequence[Claim], chosen: Mapping[str, Claim], traced: Mapping[str, str]) -> Mapping[str, Claim]:
    """Give what speaks for the requests of agents whose trace has the name of another agent's request.

    Otherwise the callee of a request, who knows its id, would silence its caller by speaking first.
    """
    holders = {trace_id: traced.get(trace_id) or one.agent for trace_id, one in chosen.items()}
    found = [one for one in claims if one.agent != holders[one.trace_id]]
    return speakers(one._replace(trace_id=apart(one.trace_id, one.agent)) for one in found) if found else {}


def _fresh(tx: Tx, claims: list[Claim]) -> list[Claim]:
    """Give those of an agent that has no request in their trace yet, neither in another spelling nor apart.

    One that was told first may have been refused, so that a request apart is there without one that has the id.
    """
    asked = [(steps_id(one.trace_id), one.agent) for one in claims]
    likely = [name for bits, agent in asked for name in (dashed(bits), apart(bits, agent))]
    if not likely or not tx.spans.traced(likely):
        return claims
    names = [[name for one in spellings(bits) for name in (one, apart(one, agent))] for bits, agent in asked]
    held = tx.spans.traced(list(chain.from_iterable(names)))
    return [one for one, each in zip(claims, names, strict=True) if all(held.get(name) != one.agent for name in each)]


def _notes(parcel: Parcel, wanted: set[tuple[str, int]]) -> Counter[str]:
    """What is to be said about a parcel although all of it is kept."""
    if not wanted:
        return Counter()
    mine = [key for one in parcel.claims if (key := (one.agent, one.version)) in wanted]
    return Counter(f"{agent} has no version {number}: its spans are kept, but count for none" for agent, number in mine)
