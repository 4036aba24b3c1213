"""Tokens and logins; of both only hashes are here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store import token_tables as tables
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import swap
from surefoot.core.errors import NotFound
from surefoot.core.session import Login
from surefoot.core.token import Issued


class SqlTokens:
    """Tokens by id, and the logins of their people."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, issued: Issued) -> None:
        """Store a new token."""
        self._connection.execute(sa.insert(tables.tokens).values(**_row(issued)))

    def get(self, token_id: str) -> Issued:
        """Give a token."""
        table = tables.tokens
        row = self._connection.execute(sa.select(table.c.document).where(table.c.id == token_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no token {token_id!r}", hint="surefoot token list shows them")
        return load(Issued, row.document)

    def all(self) -> list[tuple[Issued, datetime | None]]:
        """Give all tokens, oldest first, each with the moment when it was last used (to the minute)."""
        table = tables.tokens
        rows = self._connection.execute(sa.select(table.c.document, table.c.used_at).order_by(table.c.id))
        return [(load(Issued, row.document), row.used_at) for row in rows]

    def standing(self) -> list[Issued]:
        """Give the tokens that are not revoked."""
        table = tables.tokens
        rows = self._connection.execute(sa.select(table.c.document).where(table.c.revoked == sa.false()))
        return [load(Issued, row.document) for row in rows]

    def swap(self, issued: Issued) -> Issued:
        """Write a token over the revision it was read at."""
        after = replace(issued, revision=issued.revision + 1)
        table = tables.tokens
        swap(self._connection, table, f"token {issued.id}", table.c.id == issued.id, issued.revision, _row(after))
        return after

    def used(self, token_id: str, at: datetime) -> None:
        """Note when a token was used, unless a later use is known."""
        table = tables.tokens
        later = sa.or_(table.c.used_at.is_(None), table.c.used_at < at)
        self._connection.execute(sa.update(table).where(table.c.id == token_id, later).values(used_at=at))

    def log_in(self, login: Login, *, forget_before: datetime) -> None:
        """Keep a proof of a login; those too old to prove anything are forgotten."""
        table = tables.logins
        self._connection.execute(sa.delete(table).where(table.c.at < forget_before))
        self._connection.execute(sa.insert(table).values(sha256=login.sha256, name=login.name, at=login.at))

    def spend(self, sha256: str) -> Login | None:
        """Take a proof away and give it; None if there is none."""
        table = tables.logins
        row = self._connection.execute(sa.select(table).where(table.c.sha256 == sha256)).one_or_none()
        if row is None:
            return None
        self._connection.execute(sa.delete(table).where(table.c.sha256 == sha256))
        return Login(sha256=row.sha256, name=row.name, at=row.at)


def _row(issued: Issued) -> dict[str, object]:
    return {
        "id": issued.id,
        "name": issued.name,
        "revoked": issued.revoked_at is not None,
        "revision": issued.revision,
        "document": dump(issued),
    }
