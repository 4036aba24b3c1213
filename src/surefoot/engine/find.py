"""Find: requests, sessions and failures, for people and programs that look for them. Nothing here changes anything.

Names and texts are redacted as they were before they were stored, so that whoever knows the name finds what is kept
under its tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from surefoot.core.backlog import Failure
from surefoot.core.errors import NotFound
from surefoot.core.score import Outcome
from surefoot.core.sought import Found, SessionFound, Sought, Spot
from surefoot.core.trace import steps_id
from surefoot.core.tree import Branch, tree
from surefoot.engine.discern import meant
from surefoot.engine.inspect import agent_named
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx

MOST_SPANS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeTrace:
    """A request with all that was said of it, and its steps; of more than `MOST_SPANS` the first."""

    found: Found
    outcomes: tuple[Outcome, ...]
    spans: tuple[Branch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of requests, newest first, and where the next one begins; None at the end."""

    found: tuple[Found, ...]
    next: Spot | None


async def traces(
    ports: Ports, sought: Sought, *, sees: Callable[[str], bool], after: Spot | None = None,
    limit: int = 100,
) -> Page:  # fmt: skip
    """Give a page of an agent's requests; NotFound for an agent that is not there for the asker."""
    await agent_named(ports, sought.agent, sees=sees)
    kept = _as_kept(ports, sought)
    rows, end = await ports.store.read(lambda tx: tx.finding.traces(kept, after=after, limit=limit))
    return Page(found=tuple(rows), next=end)


async def whole_trace(ports: Ports, trace_id: str, *, sees: Callable[[str], bool]) -> WholeTrace:
    """Give one request, with those of its steps that the caller sees: several agents may have had a part in it.

    NotFound if nobody recorded it, it was deleted, or it is of an agent that the caller does not see.
    """

    def work(tx: Tx) -> WholeTrace | None:
        found = tx.finding.trace(meant(tx, trace_id, sees))
        if found is None or not sees(found.trace.agent):
            return None
        steps = steps_id(found.trace.id)
        agents = [one for one in tx.spans.agents_of(steps) if one == found.trace.agent or sees(one)]
        spans = tx.spans.of_trace(steps, limit=MOST_SPANS, agents=agents)
        return WholeTrace(found=found, outcomes=tuple(tx.outcomes.of(found.trace.id)), spans=tree(spans))

    found = await ports.store.read(work)
    if found is None:
        raise NotFound(f"there is no trace {trace_id!r}", hint="every answer carries the id of its trace")
    return found


async def trace_called(ports: Ports, agent: str, external_id: str) -> str:
    """Give the id of the request that an agent's app calls so."""
    name = ports.redact_name(storable(external_id))
    found = await ports.store.read(lambda tx: tx.finding.external(agent, name))
    if found is None:
        raise NotFound(
            f"no request of {agent!r} is called {external_id!r}", hint="X-Surefoot-External-Id gives a request its name"
        )
    return found


async def sessions(
    ports: Ports, agent: str, *, sees: Callable[[str], bool], actor: str = "",
    after: Spot | None = None, limit: int = 100,
) -> tuple[list[SessionFound], Spot | None]:  # fmt: skip
    """Give a page of an agent's sessions, the one that was used last first."""
    await agent_named(ports, agent, sees=sees)
    person = ports.redact_name(storable(actor))
    return await ports.store.read(lambda tx: tx.finding.sessions(agent, actor=person, after=after, limit=limit))


async def session(
    ports: Ports, name: str, *, sees: Callable[[str], bool], after: Spot | None = None, limit: int = 100
) -> tuple[list[SessionFound], Page]:
    """Give a session as each agent saw it that the caller sees, and a page of its requests, newest first."""
    kept = ports.redact_name(storable(name))

    def work(tx: Tx) -> tuple[list[SessionFound], Page]:
        agents = [agent for agent in tx.finding.agents_of(kept) if sees(agent)]
        known = [one for agent in agents if (one := tx.finding.session(agent, kept)) is not None]
        return known, _merged(tx, kept, agents, after, limit)

    known, page = await ports.store.read(work)
    if not known:
        raise NotFound(f"there is no session {name!r}", hint="surefoot sessions AGENT lists them")
    return known, page


def _merged(tx: Tx, session: str, agents: Sequence[str], after: Spot | None, limit: int) -> Page:
    """A page of a session's requests, whichever agent answered them."""
    rows = [
        one for agent in agents
        for one in tx.finding.traces(Sought(agent=agent, session=session), after=after, limit=limit + 1)[0]
    ]  # fmt: skip
    rows.sort(key=lambda one: Spot(one.trace.at, one.trace.id), reverse=True)
    page = rows[:limit]
    return Page(
        found=tuple(page), next=Spot(page[-1].trace.at, page[-1].trace.id) if len(rows) > limit else None
    )  # fmt: skip


async def failures(
    ports: Ports, agent: str, *, sees: Callable[[str], bool], before: int = 0, limit: int = 100
) -> tuple[list[Failure], int | None]:  # fmt: skip
    """Give a page of failures that stand, newest first, and the number to go on before; None at the end."""
    await agent_named(ports, agent, sees=sees)
    rows = await ports.store.read(lambda tx: tx.outcomes.failures(agent, limit=limit + 1, before=before or None))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def _as_kept(ports: Ports, sought: Sought) -> Sought:
    return replace(
        sought, text=ports.redact(storable(sought.text)) if sought.text else "",
        session=ports.redact_name(storable(sought.session)), actor=ports.redact_name(storable(sought.actor)),
        slices=ports.redact_slices(sought.slices),
    )  # fmt: skip
