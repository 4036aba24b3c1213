"""Fresh ids that sort by time (UUID version 7).

Random bits are drawn from the system for many ids at once: a call of the system for each would let go of the
interpreter each time, and a server's loop would wait for its writer.
"""

from __future__ import annotations

import os
import time
from collections import deque

_AT_ONCE = 256
_drawn: deque[int] = deque()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_drawn.clear)  # a child must not draw what its parent draws


def uuid7() -> str:
    """Give a new UUIDv7 as text: 48 bits of milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = _random()
    raw = (milliseconds << 80) | (7 << 76) | ((random >> 62 & 0xFFF) << 64) | (2 << 62) | (random & (1 << 62) - 1)
    text = f"{raw:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _random() -> int:
    """80 bits that nobody else gets; a deque may be used by several threads."""
    try:
        return _drawn.pop()
    except IndexError:
        drawn = os.urandom(10 * _AT_ONCE)
        _drawn.extend(int.from_bytes(drawn[n : n + 10]) for n in range(10, len(drawn), 10))
        return int.from_bytes(drawn[:10])
