"""Builds by agent and version string; instances by id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import process_tables as tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep, swap
from surefoot.core.build import Build
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.process import Process


class SqlBuilds:
    """Which version string stands for which version."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, build: Build) -> None:
        """Store a build; Conflict if its version string or its number is taken."""
        row = {"agent": build.agent, "version": build.version, "number": build.number, "document": dump(build)}
        if not insert_or_keep(self._connection, tables.builds, [row]):
            raise Conflict(f"{build.agent} already has a version {build.version}", hint="versions never change")

    def named(self, agent: str, version: str) -> Build | None:
        """Give a build by its version string."""
        table = tables.builds
        return self._one(sa.select(table.c.document).where(table.c.agent == agent, table.c.version == version))

    def numbered(self, agent: str, number: int) -> Build | None:
        """Give a build by the number of its version."""
        table = tables.builds
        return self._one(sa.select(table.c.document).where(table.c.agent == agent, table.c.number == number))

    def all(self, agent: str) -> list[Build]:
        """Give the builds of an agent, oldest first."""
        table = tables.builds
        rows = self._connection.execute(
            sa.select(table.c.document).where(table.c.agent == agent).order_by(table.c.number)
        )
        return [load(Build, row.document) for row in rows]

    def _one(self, query: sa.Select[Any]) -> Build | None:
        row = self._connection.execute(query).one_or_none()
        return None if row is None else load(Build, row.document)


class SqlProcesses:
    """Instances; each row is swapped by revision."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, process_id: str) -> Process | None:
        """Give an instance, None where there is none."""
        table = tables.processes
        row = self._connection.execute(sa.select(table.c.document).where(table.c.id == process_id)).one_or_none()
        return None if row is None else load(Process, row.document)

    def get(self, process_id: str) -> Process:
        """Give an instance; NotFound for one that is gone."""
        if (found := self.find(process_id)) is None:
            raise NotFound(f"there is no process {process_id!r}", hint="register it; a registration gives the id")
        return found

    def of(self, agent: str, number: int | None = None) -> list[Process]:
        """Give the instances of an agent, or of one of its versions."""
        table = tables.processes
        query = sa.select(table.c.document).where(table.c.agent == agent).order_by(table.c.number, table.c.id)
        rows = self._connection.execute(query if number is None else query.where(table.c.number == number))
        return [load(Process, row.document) for row in rows]

    def all(self) -> list[Process]:
        """Give all instances."""
        rows = self._connection.execute(sa.select(tables.processes.c.document).order_by(tables.processes.c.id))
        return [load(Process, row.document) for row in rows]

    def count(self) -> int:
        """Count all instances."""
        return self._connection.execute(sa.select(sa.func.count()).select_from(tables.processes)).scalar_one()

    def add(self, process: Process) -> None:
        """Store a new instance."""
        self._connection.execute(sa.insert(tables.processes).values(id=process.id, **_row(process)))

    def swap(self, process: Process) -> Process:
        """Write an instance over the revision it was read at."""
        after = replace(process, revision=process.revision + 1)
        table = tables.processes
        swap(
            self._connection, table, f"process {process.id}", table.c.id == process.id, process.revision, _row(after)
        )  # fmt: skip
        return after

    def remove(self, process_id: str) -> None:
        """Forget an instance."""
        self._connection.execute(sa.delete(tables.processes).where(tables.processes.c.id == process_id))


def _row(process: Process) -> dict[str, Any]:
    return {
        "agent": process.agent,
        "number": process.number,
        "revision": process.revision,
        "document": dump(process),
    }
