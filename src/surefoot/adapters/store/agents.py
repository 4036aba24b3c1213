"""Agents, their lineage, and their versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep, swap
from surefoot.core.agent import Agent
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.genome import Genome
from surefoot.core.version import Version, VersionState, transition


class SqlAgents:
    """Agents by name."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, agent: Agent) -> None:
        """Store a new agent; Conflict if the name is taken."""
        row = {"name": agent.name, "revision": agent.revision, "document": dump(agent)}
        if not insert_or_keep(self._connection, tables.agents, [row]):
            raise Conflict(f"there already is an agent {agent.name!r}", hint="choose another name")

    def get(self, name: str) -> Agent:
        """Give an agent; NotFound tells of no other, since it does not know who asks."""
        found = self._connection.execute(_AGENT, {"b_name": name}).one_or_none()
        if found is None:
            raise NotFound(f"there is no agent {name!r}", hint="surefoot agents lists those that there are")
        return load(Agent, found.document)

    def all(self) -> list[Agent]:
        """Give all agents by name."""
        rows = self._connection.execute(sa.select(tables.agents.c.document).order_by(tables.agents.c.name))
        return [load(Agent, row.document) for row in rows]

    def swap(self, agent: Agent) -> Agent:
        """Write the agent over the revision it was read at."""
        after = replace(agent, revision=agent.revision + 1)
        row = {"revision": after.revision, "document": dump(after)}
        swap(
            self._connection,
            tables.agents,
            f"agent {agent.name}",
            tables.agents.c.name == agent.name,
            agent.revision,
            row,
        )
        return after

    def moved_live(self, name: str, version: int, *, at: datetime, by: str, why: str) -> None:
        """Append to the lineage."""
        self._connection.execute(sa.insert(tables.lineage).values(agent=name, version=version, at=at, by=by, why=why))

    def lineage(self, name: str) -> list[tuple[int, datetime, str, str]]:
        """Give which version became live when, by whom and why, oldest first."""
        table = tables.lineage
        rows = self._connection.execute(sa.select(table).where(table.c.agent == name).order_by(table.c.seq))
        return [(row.version, row.at, row.by, row.why) for row in rows]


class SqlVersions:
    """Versions by agent and number; genomes by digest."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, version: Version, genome: Genome) -> None:
        """Store a new version; Conflict if the number or the genome is already a version of the agent."""
        self.keep(genome)
        row = {
            "agent": version.agent, "number": version.number, "genome": version.genome,
            "state": version.state, "document": dump(version),
        }  # fmt: skip
        if not insert_or_keep(self._connection, tables.versions, [row]):
            raise Conflict(
                f"{version.agent} already has {version.label}, or a version with this very genome",
                hint="versions are immutable: surefoot versions lists them",
            )

    def get(self, agent: str, number: int) -> Version:
        """Give a version; NotFound names the numbers there are."""
        found = self._connection.execute(_VERSION, {"b_agent": agent, "b_number": number}).one_or_none()
        if found is None:
            numbers = ", ".join(version.label for version in self.all(agent)) or "none"
            raise NotFound(f"agent {agent!r} has no version v{number}", hint=f"versions: {numbers}")
        return load(Version, found.document)

    def all(self, agent: str) -> list[Version]:
        """Give all versions of an agent, oldest first."""
        table = tables.versions
        rows = self._connection.execute(
            sa.select(table.c.document).where(table.c.agent == agent).order_by(table.c.number)
        )
        return [load(Version, row.document) for row in rows]

    def genome(self, digest: str) -> Genome:
        """Give the genome with this address."""
        found = self._connection.execute(_GENOME, {"b_digest": digest}).one_or_none()
        if found is None:
            raise NotFound(f"there is no genome {digest[:12]}", hint="surefoot versions lists what there is")
        return Genome.from_document(found.document)

    def keep(self, genome: Genome) -> str:
        """Store a genome under its address."""
        address = genome.digest
        insert_or_keep(self._connection, tables.genomes, [{"digest": address, "document": genome.document()}])
        return address

    def move(self, agent: str, number: int, to: VersionState, *, forced_by: str = "") -> Version:
        """Move a version to another state, if the arrow exists."""
        version = self.get(agent, number)
        after = replace(version, state=transition(version, to, forced_by=forced_by))
        table = tables.versions
        here = sa.and_(table.c.agent == agent, table.c.number == number, table.c.state == version.state)
        done = self._connection.execute(sa.update(table).where(here).values(state=to, document=dump(after)))
        if done.rowcount != 1:
            raise Conflict(f"{agent} {version.label} was moved by somebody else meanwhile", hint="look at it again")
        return after

    def listed(self, agent: str, *, before: int | None, limit: int) -> list[Version]:
        """Give versions of an agent below a number, newest first."""
        table = tables.versions
        query = sa.select(table.c.document).where(table.c.agent == agent)
        if before is not None:
            query = query.where(table.c.number < before)
        rows = self._connection.execute(query.order_by(table.c.number.desc()).limit(limit))
        return [load(Version, row.document) for row in rows]

    def count(self, agent: str) -> int:
        """Count the versions of an agent."""
        table = tables.versions
        query = sa.select(sa.func.count()).select_from(table).where(table.c.agent == agent)
        return self._connection.execute(query).scalar_one()


# Read for every request: a statement that is made once costs less than half of one that is made anew.
_AGENT = sa.select(tables.agents.c.document).where(tables.agents.c.name == sa.bindparam("b_name"))
_VERSION = sa.select(tables.versions.c.document).where(
    tables.versions.c.agent == sa.bindparam("b_agent"), tables.versions.c.number == sa.bindparam("b_number")
)
_GENOME = sa.select(tables.genomes.c.document).where(tables.genomes.c.digest == sa.bindparam("b_digest"))
