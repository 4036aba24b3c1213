"""A program of the operator's own that finds what patterns cannot, such as names: one line of JSON in, one out.

It is started when it is first needed and kept. It gets `{"text": "…"}`, in which keys and addresses are replaced
already, and answers `{"text": "…"}`. What it cannot answer in time, or at all, is not stored: the caller gets None and
keeps a tag. After a failure it is started anew, but not within a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

MOST_ANSWER = 16 * 1024 * 1024
REST_S = 1.0


class RedactCommand:
    """A running program, asked one text at a time; safe to use from several threads."""

    def __init__(self, argv: Sequence[str], *, timeout_s: float, environ: Mapping[str, str]) -> None:
        self._argv = list(argv)
        self._timeout_s = timeout_s
        self._environ = dict(environ)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._rests_until = 0.0
        self.failed = 0

    def __call__(self, text: str) -> str | None:
        """Give the text as the program wants it stored; None where it gave none."""
        with self._lock:
            if time.monotonic() < self._rests_until:
                self.failed += 1
                return None
            try:
                return self._asked(text)
            except (OSError, ValueError, KeyError, TypeError, TimeoutError):
                self.failed += 1
                self._rests_until = time.monotonic() + REST_S
                self._end()
                return None

    def close(self) -> None:
        """End the program."""
        with self._lock:
            self._end()

    def _asked(self, text: str) -> str:
        running = self._running()
        until = time.monotonic() + self._timeout_s
        _write(running, json.dumps({"text": text}).encode() + b"\n", until)
        answer: Any = json.loads(_line(running, until))
        said = answer["text"]
        if not isinstance(said, str):
            raise TypeError("the answer's text is no text")
        return said

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
                env=self._environ,
            )  # fmt: skip
            os.set_blocking(_end_of(self._process.stdin), False)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


def _end_of(pipe: Any) -> int:
    return pipe.fileno()


def _write(process: subprocess.Popen[bytes], data: bytes, until: float) -> None:
    """Write all of it; a program that does not read is no longer waited for at `until`."""
    end, rest = _end_of(process.stdin), memoryview(data)
    while rest:
        _, ready, _ = select.select([], [end], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError
        with contextlib.suppress(BlockingIOError):
            rest = rest[os.write(end, rest) :]


def _line(process: subprocess.Popen[bytes], until: float) -> bytes:
    """Read one line, up to a bound; what comes after it belongs to no question and ends the program."""
    end, told = _end_of(process.stdout), bytearray()
    while b"\n" not in told:
        ready, _, _ = select.select([end], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(end, 65536) if ready else b""
        if not piece or len(told) > MOST_ANSWER:
            raise TimeoutError
        told += piece
    line, _, rest = bytes(told).partition(b"\n")
    if rest:
        raise ValueError("the program says more than it was asked")
    return line
