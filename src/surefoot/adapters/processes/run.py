"""Running a command of others to its end, from asyncio: input, output, deadline, walls, and no process left behind.

The command is the child of a keeper (`keeper.py`), which outlives a killed Surefoot for as long as it takes to end what
it keeps. The environment is exactly what is given. Cancelling ends the processes before the cancellation goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from surefoot.adapters.processes import keeper
from surefoot.adapters.processes.capped import CAP, Capped

GRACE_S = 3.0
MARK = "SUREFOOT_PROCESS"
LARGEST_FILE = 2 * 2**30
_KEEPER = str(Path(keeper.__file__).resolve())
_PYTHON = (sys.executable, "-I", "-S", _KEEPER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What a command may reach: `writable` paths (none given: no wall), the network, memory and file size in bytes."""

    writable: tuple[str, ...] = ()
    network: bool = True
    memory: int = 0
    file: int = LARGEST_FILE

    @property
    def layers(self) -> tuple[str, ...]:
        """Name the walls that are really up for this command."""
        up = layers()
        wanted = {"landlock": bool(self.writable), "no network": not self.network}
        return tuple(layer for layer in up if wanted.get(layer, True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: `code` is its exit code, negative for a signal, None if it did not start (`problem`).

    `out` and `err` are capped, head and tail. `late` is the deadline; `left` counts processes it had left behind.
    """

    code: int | None
    out: bytes = b""
    err: bytes = b""
    late: bool = False
    left: int = 0
    seconds: float = 0.0
    problem: str = ""
    layers: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Running:
    """A command that runs; `finish` waits for its end, `stop` brings it about."""

    process: Process
    lifeline: int
    report: int
    out: Capped
    err: Capped
    walls: Walls
    mark: str
    began: float
    longest_s: float
    readers: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def stop(self) -> Ended:
        """Cut the lifeline and wait until all processes are gone."""
        self._cut()
        return await self.finish()

    async def finish(self) -> Ended:
        """Wait for the end; cancelling ends the processes first."""
        try:
            return await self._finished(self.longest_s)
        except asyncio.CancelledError:
            self._cut()
            await self._finished(GRACE_S * 3)
            raise

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.returncode is None

    async def read(self, stream: asyncio.StreamReader, kept: Capped, watch: Callable[[bytes], bool] | None) -> None:
        """Keep what comes, and show it to the watch."""
        while chunk := await stream.read(65536):
            kept.add(chunk)
            if watch is not None and watch(chunk):
                self._cut()

    async def _finished(self, longest_s: float) -> Ended:
        gathered = asyncio.gather(self.process.wait(), *self.readers, return_exceptions=True)
        until = time.monotonic() + longest_s
        while not gathered.done() and time.monotonic() < until:
            await asyncio.wait([gathered], timeout=0.5)
            if self.process.returncode is not None and not gathered.done():
                _hunted(self.mark)  # the keeper is gone, and somebody still holds its pipes
        if not gathered.done():  # the keeper itself was stopped
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            _hunted(self.mark)
            await asyncio.wait([gathered], timeout=GRACE_S)
            for reader in self.readers:
                reader.cancel()
        self._cut()
        return self._ended()

    def _ended(self) -> Ended:
        told = _told(self.report)
        self.report = -1
        if not told:
            _hunted(self.mark)
        problem = str(told.get("problem", "its keeper was killed"))
        return Ended(
            code=None if problem else cast("int", told.get("code", -9)), out=self.out.close(), err=self.err.close(),
            late=told.get("why") == "late", left=int(cast("int", told.get("left", 0))),
            seconds=time.monotonic() - self.began, problem=problem, layers=self.walls.layers,
        )  # fmt: skip

    def _cut(self) -> None:
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1


async def ran(
    words: Sequence[str], *, folder: str, env: Mapping[str, str], deadline_s: float, stdin: bytes = b"",
    walls: Walls | None = None, cap: int = CAP, log: Path | None = None, grace_s: float = GRACE_S,
    watch: Callable[[bytes], bool] | None = None,
) -> Ended:  # fmt: skip
    """Run a command to its end. With a `log`, both outputs go there together, as they come, and into `out`.

    `watch` is shown each piece of the standard output, and ends the command by answering True.
    """
    running = await started(
        words, folder=folder, env=env, deadline_s=deadline_s, stdin=stdin, walls=walls, cap=cap, log=log,
        grace_s=grace_s, watch=watch,
    )  # fmt: skip
    return running if isinstance(running, Ended) else await running.finish()


async def started(
    words: Sequence[str], *, folder: str, env: Mapping[str, str], deadline_s: float, stdin: bytes = b"",
    walls: Walls | None = None, cap: int = CAP, log: Path | None = None, grace_s: float = GRACE_S,
    watch: Callable[[bytes], bool] | None = None,
) -> Running | Ended:  # fmt: skip
    """Start a command; Ended at once if not even its keeper can be started."""
    behind = walls or Walls()
    if not words or not words[0] or any("\0" in word for word in words):
        return Ended(code=None, problem="there is no command")
    mark = secrets.token_hex(16)
    (lifeline_out, lifeline), (report, report_in) = os.pipe(), os.pipe()
    asked = _asked(words, behind, deadline_s, grace_s) | {"lifeline": lifeline_out, "report": report_in}
    try:
        process = await asyncio.create_subprocess_exec(
            *_PYTHON, json.dumps(asked), cwd=folder, env={**env, MARK: mark}, stdin=PIPE if stdin else DEVNULL,
            stdout=PIPE, stderr=STDOUT if log else PIPE, start_new_session=True, pass_fds=(lifeline_out, report_in),
        )  # fmt: skip
    except (OSError, ValueError) as problem:
        for end in (lifeline, report):
            os.close(end)
        return Ended(code=None, problem=f"{words[0]}: {getattr(problem, 'strerror', None) or problem}")
    finally:
        os.close(lifeline_out)
        os.close(report_in)
    running = Running(
        process=process, lifeline=lifeline, report=report, out=Capped(cap, log), err=Capped(cap), walls=behind,
        mark=mark, began=time.monotonic(), longest_s=deadline_s + grace_s + 10.0,
    )  # fmt: skip
    if process.stdout is not None:
        running.readers.append(asyncio.create_task(running.read(process.stdout, running.out, watch)))
    if process.stderr is not None:
        running.readers.append(asyncio.create_task(running.read(process.stderr, running.err, None)))
    if process.stdin is not None:
        running.readers.append(asyncio.create_task(_write(process.stdin, stdin)))
    return running


@functools.cache
def layers() -> tuple[str, ...]:
    """Name the walls that this machine can put up; found out once, by putting them up."""
    up = ["own group", "empty environment", "limits"]
    if keeper.landlock_version():
        up.append("landlock")
    probe = "import sys; sys.path.insert(0, sys.argv[1]); import keeper; keeper.cut_off()"
    words = [sys.executable, "-I", "-S", "-c", probe, str(Path(_KEEPER).parent)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=20, check=False, env={})
        up += ["no network"] if done.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired):
        pass
    return tuple(up)


def _asked(words: Sequence[str], walls: Walls, deadline_s: float, grace_s: float) -> dict[str, object]:
    return {
        "words": list(words), "deadline_s": deadline_s, "grace_s": grace_s, "memory": walls.memory, "file": walls.file,
        "writable": list(walls.writable), "network": walls.network or "no network" not in layers(),
    }  # fmt: skip


async def _write(stream: asyncio.StreamWriter, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read what it is told
        stream.write(content)
        await stream.drain()
    stream.close()


def _hunted(mark: str) -> None:
    """End what a command left when it killed its own keeper: its processes are known by a variable they inherited."""
    sought = f"{MARK}={mark}".encode()
    for _ in range(20):
        there = [pid for pid in keeper.everybody() if sought in keeper.environ_of(pid)]
        if not there:
            return
        for pid in there:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _told(report: int) -> dict[str, Any]:
    """Read the keeper's line; nothing if it was killed before it could tell."""
    if report < 0:
        return {}
    with os.fdopen(report, "rb") as pipe:
        os.set_blocking(pipe.fileno(), False)
        said = pipe.read() or b""
    try:
        told: object = json.loads(said)
    except ValueError:
        return {}
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}
