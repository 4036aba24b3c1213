"""Bodies: JSON that comes in and goes on, and what a stream of events has said so far."""

from __future__ import annotations

import re
from typing import Any

import orjson

from surefoot.core.errors import Invalid
from surefoot.core.wire import Body

MOST_HEARD = 8 * 1024 * 1024
DONE = re.compile(rb"\ndata: ?\[DONE\]")
_LESS_THAN_DONE = len(b"\ndata: [DONE]") - 1


class Told:
    """What a stream said so far, up to a bound."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._tail = b"\n"

    def split(self, piece: bytes) -> tuple[bytes, bytes]:
        """Note a piece; gives what may pass at once, and what completes the mark of the end, if it is in it.

        The mark is a line of its own, however it is cut; the same words in what the model says are no mark.
        """
        self._size += len(piece)
        if self._size <= MOST_HEARD:
            self._pieces.append(piece)
        seam, before = self._tail + piece, len(self._tail)
        self._tail = seam[-_LESS_THAN_DONE:]
        if (mark := DONE.search(seam)) is None:
            return piece, b""
        at = max(0, mark.start() + 1 - before)
        return piece[:at], piece[at:]

    @property
    def all(self) -> bytes:
        """Everything that was noted."""
        return b"".join(self._pieces)


def parsed(body: bytes) -> object:
    """Read JSON; Invalid for what is none, is nested too deeply, or is not UTF-8."""
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise Invalid(f"the body is no JSON ({str(error)[:80]})", hint="send a JSON object in UTF-8") from None


def packed(body: Body) -> bytes:
    """Write JSON; Invalid for what was read and cannot be written, such as lists 300 deep."""
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise Invalid(f"the body cannot be sent on ({str(error)[:80]})", hint="nest it less deeply") from None


def lenient(body: bytes) -> object:
    """Read JSON; None for what is none."""
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def events(stream: bytes) -> list[Any]:
    """Give the JSON documents of a stream of server-sent events, without the mark of its end."""
    return [lenient(line[5:]) for line in stream.split(b"\n") if line.startswith(b"data:")]
