"""The door by which long work leaves the server: a process of its own begins, and can be told to stop."""

from __future__ import annotations

from typing import Protocol

from surefoot.core.errors import Unavailable


class Launcher(Protocol):
    """Begins the process that does a job."""

    async def launch(self, job: str) -> str:
        """Begin it, and give its name as `engine.once.works` reads it; Unavailable where it cannot begin."""
        ...

    async def stop(self, job: str, owner: str) -> bool:
        """Tell the process of a job, and what it began, to stop; False where that process cannot be told from here."""
        ...


class NoLauncher:
    """Nothing long can be done here."""

    async def launch(self, job: str) -> str:
        """Refuse."""
        raise Unavailable(f"no process can begin here for job {job}", hint="build the application with app.build")

    async def stop(self, job: str, owner: str) -> bool:
        """Say that nobody was told."""
        return False
