"""Output that may be endless: the head and the tail are kept, the middle is counted."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import BinaryIO

CAP = 1_000_000


class Capped:
    """Keeps at most `cap` bytes of what is added; with a file, the head is appended to it as it comes."""

    def __init__(self, cap: int = CAP, log: Path | None = None) -> None:
        self._half = max(1, cap // 2)
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self.total = 0
        self._log: BinaryIO | None = log.open("ab", buffering=0) if log else None

    def add(self, chunk: bytes) -> None:
        """Take a piece of output."""
        self.total += len(chunk)
        room = self._half - len(self._head)
        first, rest = chunk[:room], chunk[room:]
        if first:
            self._head += first
            self._write(first)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._half:
            self._tail_bytes -= len(self._tail.popleft())

    def close(self) -> bytes:
        """Give what was kept, and finish the file."""
        tail = b"".join(self._tail)[-self._half :]
        left_out = self.total - len(self._head) - len(tail)
        mark = f"\n[... {left_out} bytes left out ...]\n".encode() if left_out else b""
        self._write(mark + tail)
        if self._log is not None:
            self._log.close()
        return bytes(self._head) + mark + tail

    def _write(self, piece: bytes) -> None:
        if self._log is not None and piece:
            self._log.write(piece)
