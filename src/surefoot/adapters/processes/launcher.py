"""Begins the process that does a job, and tells it to stop: the same Python, store, directory and environment.

It is a session of its own, so that what ends the server does not end the work. A thread waits for each, so that none
stays a zombie; there are as few of them as jobs at once. A process number may have gone to another program since, so
only a process whose own words name the job is told to stop; what it began, in its group, is told with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

from surefoot.core.errors import Unavailable


class ProcessLauncher:
    """Begins jobs on one store."""

    def __init__(self, store: Path) -> None:
        self._store = store.absolute()

    async def launch(self, job: str) -> str:
        """Begin a job, and give the name of its process."""
        made = await asyncio.to_thread(self._begun, job)
        Thread(target=made.wait, name=f"job-{job}", daemon=True).start()
        return f"{socket.gethostname()}:{made.pid}"

    async def stop(self, job: str, owner: str) -> bool:
        """Tell the process of a job, and what it began, to stop; False where it is not here, or not that process."""
        host, _, pid = owner.rpartition(":")
        if host != socket.gethostname() or not pid.isdigit():
            return False
        return await asyncio.to_thread(_told, int(pid), job)

    def _begun(self, job: str) -> subprocess.Popen[bytes]:
        words = (sys.executable, "-m", "surefoot", "--store", str(self._store), "--json", "jobs", "--do", job)
        nothing = subprocess.DEVNULL
        try:
            return subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        except OSError as error:
            raise Unavailable(f"no process can begin: {error.strerror}", hint="look at the machine") from None


def _told(pid: int, job: str) -> bool:
    if not {"--do", job} <= set(_words(pid)):
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        alone = os.getpgid(pid) == pid  # begun by a server: its group is all its own
        (os.killpg if alone else os.kill)(pid, signal.SIGTERM)
        return True
    return False


def _words(pid: int) -> list[str]:
    """What a process was begun with; nothing where there is none, or it cannot be seen."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        asked = ("ps", "-ww", "-o", "args=", "-p", str(pid))  # where there is no /proc
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False).stdout.split()
    return []
