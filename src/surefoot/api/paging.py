"""Pages of a list: how many rows at most, and from where on.

A cursor says after which row to go on. It belongs to the list it came from, with the same filters: its check sum covers
the path and the other parameters, so a cursor that was cut, mixed up or made up is refused and never skips rows in
silence. It is no secret and grants nothing; what a caller may see is decided anew for each page.

A route takes `asked: Paged`. Rows in memory, in their order: `rows, after = asked.page(found, lambda one: one.id)`.
Rows by SQL: ask for `asked.limit + 1` of them after `asked.after` (or `asked.number`), then `asked.cut(rows, at)`.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from surefoot.core.errors import Invalid

T = TypeVar("T")
MOST = 1000
_CHECK = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """At most `limit` rows, after the row named `after` (empty = from the first); `about` is what the list is of."""

    limit: int
    after: str
    about: str

    @property
    def number(self) -> int:
        """The row to go on after, where rows are named by whole numbers; 0 at the beginning."""
        if not self.after:
            return 0
        if not (self.after.isascii() and self.after.isdigit() and len(self.after) <= 18):
            raise _bad()
        return int(self.after)

    def page(self, rows: Sequence[T], at: Callable[[T], object]) -> tuple[list[T], str | None]:
        """Give the page of these rows that was asked for, and the cursor of the next one; `at` names a row."""
        if not self.after:
            return self.cut(rows, at)
        found = next((place for place, row in enumerate(rows) if str(at(row)) == self.after), None)
        if found is None:
            raise Invalid("the row this cursor goes on after is gone", hint="ask again without a cursor")
        return self.cut(rows[found + 1 :], at)

    def cut(self, rows: Sequence[T], at: Callable[[T], object]) -> tuple[list[T], str | None]:
        """Give at most `limit` of these rows, and a cursor if there are more of them."""
        kept = list(rows[: self.limit])
        return kept, self.cursor(at(kept[-1])) if len(rows) > self.limit else None

    def cursor(self, row: object) -> str:
        """Give the cursor that goes on after a row."""
        name = str(row).encode()
        return urlsafe_b64encode(_check(self.about, name) + name).decode().rstrip("=")


def asked(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST, description="how many at most")] = 100,
    cursor: Annotated[str, Query(max_length=1000, description="`next` of the page before")] = "",
) -> Asked:
    """Read what page is asked for; Invalid for a cursor that is not of this list."""
    rest = sorted((name, text) for name, text in request.query_params.multi_items() if name not in ("limit", "cursor"))
    about = repr((request.url.path, rest))
    return Asked(limit=limit, after=_opened(about, cursor) if cursor else "", about=about)


Paged = Annotated[Asked, Depends(asked)]


def _opened(about: str, cursor: str) -> str:
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        name = raw[_CHECK:].decode()
    except ValueError:
        raise _bad() from None
    if not name or raw[:_CHECK] != _check(about, name.encode()):
        raise _bad()
    return name


def _check(about: str, name: bytes) -> bytes:
    return hashlib.sha256(about.encode("utf-8", "surrogatepass") + b"\0" + name).digest()[:_CHECK]


def _bad() -> Invalid:
    return Invalid("the cursor is not one of this list", hint="send `next` of the page before, with the same filters")
