"""Begins the process that does a job: the same Python, the same store, the same directory and environment.

It is a session of its own, so that what ends the server does not end the work. A thread waits for each, so that none
stays a zombie; there are as few of them as jobs at once.
"""

from __future__ import annotations

import asyncio
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

    def _begun(self, job: str) -> subprocess.Popen[bytes]:
        words = (sys.executable, "-m", "surefoot", "--store", str(self._store), "--json", "jobs", "--do", job)
        nothing = subprocess.DEVNULL
        try:
            return subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        except OSError as error:
            raise Unavailable(f"no process can begin: {error.strerror}", hint="look at the machine") from None
