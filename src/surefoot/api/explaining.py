"""Routes of why things go wrong: the causes of an agent's failures."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, reads
from surefoot.core.backlog import LeverState
from surefoot.core.cause import Cause
from surefoot.core.mask import masked_cause
from surefoot.core.recurrence import Fate
from surefoot.core.trend import Way
from surefoot.engine.explain import explain
from surefoot.engine.inspect import agent_named

router = APIRouter(tags=["findings"])


class CauseDocument(BaseModel):
    """What failures have in common: `status` is what became of it, `fixed_in` the version that mends it, 0 for none.

    `impact` is its share of the judged traffic. `older` and `newer` count the halves of the window, `trend` says which
    way that goes. `examples` are requests that failed so. `hidden` says that its name is a digest here.
    """

    key: str
    title: str
    status: Fate
    fixed_in: int
    sentence: str
    failures: int
    impact: float
    older: int
    newer: int
    trend: Way
    lever: str | None
    lever_state: LeverState | None
    versions: list[int]
    examples: list[str]
    hidden: bool


class Causes(BaseModel):
    """Causes of the failures that the next tick looks at, the largest first; `single` failures share none."""

    agent: str
    window: int
    labelled: int
    single: int
    causes: list[CauseDocument]
    next: str | None


@router.get("/agents/{agent}/causes", responses=declared(404))
async def causes(agent: str, here: Here, caller: Looker, asked: Paged) -> Causes:
    """List what the wrong answers have in common, the largest first, and what became of each."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found, hidden = await explain(here.ports, agent), not reads(caller)
    every = [masked_cause(one) if hidden else one for one in found.causes]
    rows, after = asked.page(every, lambda one: one.key)
    return Causes(agent=agent, window=len(found.found.failures), labelled=found.labelled, single=found.single,
                  causes=[_cause(one, hidden=hidden) for one in rows], next=after)  # fmt: skip


def _cause(one: Cause, *, hidden: bool) -> CauseDocument:
    lever, became = one.lever, one.became
    return CauseDocument(
        key=one.key, title=one.title, status=became.fate, fixed_in=became.fixed_in, sentence=became.sentence,
        failures=one.failures, impact=one.impact, older=one.older, newer=one.newer, trend=one.trend.way,
        lever=lever.id if lever else None, lever_state=lever.state if lever else None, versions=list(one.versions),
        examples=[each.trace_id for each in one.examples], hidden=hidden,
    )  # fmt: skip
