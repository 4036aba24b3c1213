"""The scale: what the requests of a worker weigh in memory, so that a few cannot take all of it.

Of JSON not the length counts but what becomes of it: `{"a":1},` has eight bytes and takes 230 as an object of Python.
A body is weighed before it is read, by its length, brackets and commas. One that has too many parts is refused for good
(400); one that is only too much beside all the others is refused for now (503). Small ones are not weighed: they make
nobody wait, and there are no more of them than connections.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from surefoot.core.errors import Invalid, Unavailable

UNWEIGHED = 4 * 1024
MOST = 256 * 1024 * 1024
MOST_COMMAS, MOST_OPENINGS = 1_000_000, 250_000
_BYTE, _COMMA, _OPENING = 5, 64, 240  # a text may take four bytes a character, and goes on as a copy


class TooHeavy(Unavailable):
    """There is no room for this body beside those that are being answered."""


def weight(body: bytes) -> int:
    """Give how many bytes a body may take when it is read, at most; Invalid when it has too many parts for any."""
    commas, openings = body.count(b","), body.count(b"[") + body.count(b"{")
    if commas > MOST_COMMAS or openings > MOST_OPENINGS:
        raise Invalid(
            f"the body has too many parts: more than {MOST_COMMAS} commas or {MOST_OPENINGS} brackets",
            hint="send less in one request",
        )
    return _BYTE * len(body) + _COMMA * commas + _OPENING * openings


class Scale:
    """What is held now, of `most` bytes."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.held = 0

    @contextmanager
    def holding(self, body: bytes) -> Generator[None]:
        """Hold a body while it is answered; one alone always may be."""
        heavy = weight(body) if len(body) > UNWEIGHED else 0
        if heavy and self.held and self.held + heavy > self._most:
            raise TooHeavy("too many big requests at once", hint="try again in a second")
        self.held += heavy
        try:
            yield
        finally:
            self.held -= heavy
