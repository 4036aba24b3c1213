"""Levers with their logs, proposals, drafts, looks at the sealed split, and lessons."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import ranks, tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep, put, swap
from surefoot.core.backlog import Lever
from surefoot.core.draft import Draft
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.lesson import Lesson
from surefoot.core.slots import Look
from surefoot.ports.filed import Filed

NAMED = 20


class SqlLevers:
    """The backlog of an agent."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def put(self, lever: Lever) -> None:
        """Store a lever, or what became of it."""
        put(self._connection, tables.levers, {"agent": lever.agent, "id": lever.id, "document": dump(lever)})

    def get(self, agent: str, lever_id: str) -> Lever:
        """Give a lever; NotFound lists those there are."""
        table = tables.levers
        here = sa.and_(table.c.agent == agent, table.c.id == lever_id)
        if (document := self._connection.scalar(sa.select(table.c.document).where(here))) is not None:
            return load(Lever, document)
        some = self._connection.scalars(sa.select(table.c.id).where(table.c.agent == agent).order_by(table.c.id))
        ids = ", ".join(some.fetchmany(NAMED)) or "none"
        raise NotFound(f"agent {agent!r} has no lever {lever_id!r}", hint=f"levers: {ids}")

    def all(self, agent: str) -> list[Lever]:
        """Give all levers of an agent by id."""
        table = tables.levers
        rows = self._connection.execute(sa.select(table.c.document).where(table.c.agent == agent).order_by(table.c.id))
        return [load(Lever, row.document) for row in rows]

    def note(self, agent: str, lever_id: str, at: datetime, text: str) -> None:
        """Append to a lever's status log."""
        self._connection.execute(sa.insert(tables.lever_log).values(agent=agent, lever=lever_id, at=at, text=text))

    def log(self, agent: str, lever_id: str) -> list[tuple[datetime, str]]:
        """Give a lever's status log, oldest first."""
        table = tables.lever_log
        query = sa.select(table).where(table.c.agent == agent, table.c.lever == lever_id).order_by(table.c.seq)
        return [(row.at, row.text) for row in self._connection.execute(query)]

    def ranked(self, agent: str, *, state: str, limit: int) -> list[Lever]:
        """Give levers, the most worthwhile first."""
        return ranks.levers(self._connection, agent, state=state, limit=limit)

    def states(self, agent: str) -> dict[str, int]:
        """Count an agent's levers by state."""
        return ranks.lever_states(self._connection, agent)

    def opened(self, agent: str) -> tuple[int, int]:
        """Give how many levers are open or being worked on, and how many failures they stand for."""
        return ranks.open_levers(self._connection, agent)

    def answering(self, agent: str, gaps: Collection[str]) -> Mapping[str, Lever]:
        """Give the levers that answer some gaps, by gap."""
        return ranks.levers_of(self._connection, agent, gaps)


class SqlProposals:
    """Proposals and what the gate said of them."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def put(self, filed: Filed) -> None:
        """Store a proposal, or its verdict."""
        row = {
            "id": filed.id,
            "agent": filed.agent,
            "state": filed.state,
            "at": filed.at,
            "document": dump(filed),
        }
        put(self._connection, tables.proposals, row)

    def get(self, proposal_id: str) -> Filed:
        """Give one proposal."""
        table = tables.proposals
        row = self._connection.execute(sa.select(table.c.document).where(table.c.id == proposal_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no proposal {proposal_id!r}", hint="surefoot show AGENT lists them")
        return load(Filed, row.document)

    def all(self, agent: str) -> list[Filed]:
        """Give all proposals for an agent, oldest first."""
        table = tables.proposals
        rows = self._connection.execute(
            sa.select(table.c.document).where(table.c.agent == agent).order_by(table.c.at, table.c.id)
        )
        return [load(Filed, row.document) for row in rows]


class SqlDrafts:
    """The one draft of each agent."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, agent: str) -> Draft | None:
        """Give the draft of an agent, if it has begun one."""
        table = tables.drafts
        row = self._connection.execute(sa.select(table.c.document).where(table.c.agent == agent)).one_or_none()
        return None if row is None else load(Draft, row.document)

    def swap(self, draft: Draft) -> Draft:
        """Write a draft over the revision it was read at (0 = there was none)."""
        after = replace(draft, revision=draft.revision + 1)
        row = {"agent": draft.agent, "revision": after.revision, "document": dump(after)}
        if draft.revision == 0:
            if not insert_or_keep(self._connection, tables.drafts, [row]):
                raise Conflict(f"the draft of {draft.agent} was begun by somebody else meanwhile", hint="repeat")
        else:
            here = tables.drafts.c.agent == draft.agent
            swap(self._connection, tables.drafts, f"the draft of {draft.agent}", here, draft.revision, row)
        return after


class SqlLooks:
    """Looks at the sealed split: each is counted, and one genome gets one."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, agent: str, look: Look, evidence: Mapping[str, object]) -> None:
        """Record a look; a genome that had one keeps it."""
        row: dict[str, Any] = {name: getattr(look, name) for name in Look.__slots__}
        insert_or_keep(self._connection, tables.looks, [row | {"agent": agent, "evidence": dict(evidence)}])

    def all(self, agent: str) -> list[Look]:
        """Give all looks in the order they happened."""
        table = tables.looks
        query = sa.select(table).where(table.c.agent == agent).order_by(table.c.seq)
        rows = self._connection.execute(query).mappings()
        return [Look(**{name: row[name] for name in Look.__slots__}) for row in rows]

    def evidence(self, agent: str, digest: str) -> Mapping[str, object] | None:
        """Give what the look at this genome found, if there was one."""
        table = tables.looks
        query = sa.select(table.c.evidence).where(table.c.agent == agent, table.c.digest == digest)
        return self._connection.scalar(query)


class SqlLessons:
    """What the loop taught itself, appended."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, lesson: Lesson) -> None:
        """Append a lesson."""
        self._connection.execute(sa.insert(tables.lessons).values(agent=lesson.agent, document=dump(lesson)))

    def all(self, agent: str) -> list[Lesson]:
        """Give all lessons of an agent, oldest first."""
        table = tables.lessons
        rows = self._connection.execute(sa.select(table.c.document).where(table.c.agent == agent).order_by(table.c.seq))
        return [load(Lesson, row.document) for row in rows]
