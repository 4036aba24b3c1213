"""The outbox: notices that wait to be told, and the nonces of signed messages that came in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import insert_or_keep, page, swap
from surefoot.core.errors import NotFound
from surefoot.core.notice import Notice

_channel = tables.notices.c.document["channel"].as_string()


class SqlNotices:
    """Notices by id; written in the transaction of what they tell, so that neither is there without the other."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, notice: Notice) -> None:
        """Store a new notice."""
        self._connection.execute(sa.insert(tables.notices).values(**_row(notice)))

    def get(self, notice_id: str) -> Notice:
        """Give a notice."""
        table = tables.notices
        row = self._connection.execute(sa.select(table.c.document).where(table.c.id == notice_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no notice {notice_id!r}", hint="surefoot notices --all lists them")
        return load(Notice, row.document)

    def listed(
        self, *, agents: Collection[str], limit: int | None = None, after: str = "", delivered: bool = True
    ) -> list[Notice]:  # fmt: skip
        """Give notices in the order of their next try, behind the notice `after`; of all agents if none is named."""
        table = tables.notices.c
        where = [table.document["agent"].as_string().in_(agents)] if agents else []
        where += [] if delivered else [table.state != "delivered"]
        found = page(self._connection, table.document, where, by=(table.next_at, table.id), limit=limit,
                     after=table.id == after if after else None)  # fmt: skip
        return [load(Notice, one) for one in found]

    def told(self, channel: str, *, limit: int, after: str = "") -> list[Notice]:
        """Give the notices of a channel, newest first, behind the notice `after`."""
        table = tables.notices.c
        by = (table.document["at"].as_string(), table.id)
        found = page(self._connection, table.document, [_channel == channel], by=by, limit=limit, newest=True,
                     after=table.id == after if after else None)  # fmt: skip
        return [load(Notice, one) for one in found]

    def channels(self, now: datetime) -> list[str]:
        """Give the channels with a waiting notice whose time has come, in the order in which it came."""
        table = tables.notices
        query = sa.select(_channel).where(_due(now)).group_by(_channel).order_by(sa.func.min(table.c.next_at))
        return [str(channel) for (channel,) in self._connection.execute(query)]

    def due(self, now: datetime, channel: str = "") -> Notice | None:
        """Give the waiting notice whose time came first, of one channel or of all, if any has come."""
        table = tables.notices
        query = sa.select(table.c.document).where(_due(now)).order_by(table.c.next_at, table.c.id).limit(1)
        row = self._connection.execute(query.where(_channel == channel) if channel else query).one_or_none()
        return None if row is None else load(Notice, row.document)

    def swap(self, notice: Notice) -> Notice:
        """Write a notice over the revision it was read at."""
        after = replace(notice, revision=notice.revision + 1)
        table = tables.notices
        swap(self._connection, table, f"notice {notice.id}", table.c.id == notice.id, notice.revision, _row(after))
        return after


class SqlNonces:
    """Nonces of signed messages, each good for one."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def spend(self, nonce: str, *, at: datetime, forget_before: datetime) -> bool:
        """Spend a nonce and give True; False if it was spent before. Those too old to matter are forgotten."""
        table = tables.nonces
        self._connection.execute(sa.delete(table).where(table.c.at < forget_before))
        return bool(insert_or_keep(self._connection, table, [{"nonce": nonce, "at": at}]))


def _due(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(tables.notices.c.state == "waiting", tables.notices.c.next_at <= now)


def _row(notice: Notice) -> dict[str, object]:
    return {
        "id": notice.id,
        "state": notice.state,
        "next_at": notice.next_at,
        "revision": notice.revision,
        "document": dump(notice),
    }
