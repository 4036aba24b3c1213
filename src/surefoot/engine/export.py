"""Export: everything of one kind that is kept of an agent, a page at a time, so that memory stays bounded.

Cases that an improver or an agent must never see (all but those of split `shown`) are left out unless they are asked
for by name: whoever has the file can show them to anybody, and a test that was shown proves nothing any more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any

from surefoot.core.case import SPLITS, Split
from surefoot.core.exported import ExportFormat, ExportKind, jsonl, table, table_head
from surefoot.core.token import any_agent
from surefoot.engine.inspect import agent_named
from surefoot.ports import Ports

PAGE = 500


async def exported(
    ports: Ports, agent: str, kind: ExportKind, *, since: datetime | None = None, until: datetime | None = None,
    held_out: bool = False,
) -> AsyncGenerator[list[Mapping[str, Any]]]:  # fmt: skip
    """Give all rows of a kind, oldest first, page by page; NotFound for an agent that is not there."""
    await agent_named(ports, agent, sees=any_agent)
    splits: tuple[Split, ...] = SPLITS if held_out else ("shown",)
    after = ""
    while True:
        rows, after = await ports.store.read(lambda tx, after=after: tx.exporting.page(
            kind, agent, after=after, limit=PAGE, since=since, until=until, splits=splits
        ))  # fmt: skip
        if rows:
            yield rows
        if len(rows) < PAGE:
            return


async def lines(
    ports: Ports, agent: str, kind: ExportKind, form: ExportFormat, *, since: datetime | None = None,
    until: datetime | None = None, held_out: bool = False,
) -> AsyncGenerator[str]:  # fmt: skip
    """Give the same as text, in pieces of some lines; a table begins with its head, also where it has no rows."""
    if form == "csv":
        yield table_head(kind)
    write = table if form == "csv" else jsonl
    async for rows in exported(ports, agent, kind, since=since, until=until, held_out=held_out):
        yield write(rows, kind)
