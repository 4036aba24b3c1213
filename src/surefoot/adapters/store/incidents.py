"""Incidents, and the switches that hold for the whole house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import put, swap
from surefoot.core.errors import NotFound
from surefoot.core.incident import Incident


class SqlIncidents:
    """Incidents by id."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, incident: Incident) -> None:
        """Store a new incident."""
        self._connection.execute(sa.insert(tables.incidents).values(**_row(incident)))

    def get(self, incident_id: str) -> Incident:
        """Give an incident."""
        table = tables.incidents
        row = self._connection.execute(sa.select(table.c.document).where(table.c.id == incident_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no incident {incident_id!r}", hint="surefoot incidents lists them")
        return load(Incident, row.document)

    def all(self, agent: str | None = None, *, state: str = "") -> list[Incident]:
        """Give all incidents, of one agent or of all, oldest first; only those in one state if it is named."""
        table = tables.incidents
        query = sa.select(table.c.document).order_by(table.c.at, table.c.id)
        query = query.where(table.c.state == state) if state else query
        rows = self._connection.execute(query if agent is None else query.where(table.c.agent == agent))
        return [load(Incident, row.document) for row in rows]

    def swap(self, incident: Incident) -> Incident:
        """Write an incident over the revision it was read at."""
        after = replace(incident, revision=incident.revision + 1)
        table = tables.incidents
        here = table.c.id == incident.id
        swap(self._connection, table, f"incident {incident.id}", here, incident.revision, _row(after))
        return after


class SqlSwitches:
    """Switches by name; each holds for all agents."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> Mapping[str, object] | None:
        """Give who turned this switch on, when and why; None when it is off."""
        return self._connection.scalar(_SWITCH, {"b_name": name})

    def on(self, name: str, document: Mapping[str, object]) -> None:
        """Turn a switch on."""
        put(self._connection, tables.switches, {"name": name, "document": dict(document)})

    def off(self, name: str) -> None:
        """Turn a switch off."""
        self._connection.execute(sa.delete(tables.switches).where(tables.switches.c.name == name))


def _row(incident: Incident) -> dict[str, object]:
    return {
        "id": incident.id,
        "agent": incident.agent,
        "kind": incident.kind,
        "state": incident.state,
        "at": incident.at,
        "revision": incident.revision,
        "document": dump(incident),
    }


_SWITCH = sa.select(tables.switches.c.document).where(tables.switches.c.name == sa.bindparam("b_name"))
