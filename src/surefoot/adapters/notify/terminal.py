"""The terminal: a notice as one line on standard error, wherever the process that delivers it runs."""

from __future__ import annotations

import sys
from typing import TextIO

from surefoot.core.notice import Notice, line


class Terminal:
    """Standard error, or another stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, notice: Notice) -> None:
        """Print the notice."""
        print(line(notice), file=self._stream or sys.stderr, flush=True)
