"""Stopping the process of a job: it says that it is there, and somebody who cancels the job is heard within a second.

A thread looks at the job beside the command. SIGTERM, a cancelled job, and one that was given up for lost while this
process slept, all are Ctrl-C to the command, which ends in good order. A command that does not is ended after a while.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from surefoot.core.errors import SurefootError
from surefoot.core.worker import HEARTBEAT_S

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.desk import Desk

LOOK_S = 0.5
PATIENCE_S = 20.0
INTERRUPTED = 130


@contextlib.contextmanager
def stoppable(desk: Desk, job_id: str) -> Generator[None]:
    """Let a command of the block be stopped from outside; only once, so that it can end in good order."""
    over, told = threading.Event(), threading.Event()

    def stop(_number: int, _frame: object) -> None:
        if not (told.is_set() or over.is_set()):
            told.set()
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server in the background hands down that it is ignored
    signal.signal(signal.SIGTERM, stop)
    with desk.app() as app:  # before the thread, so that a store that cannot be opened ends the command
        watching = threading.Thread(target=_watch, args=(app, job_id, over, told), name="job", daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()


def _watch(app: App, job_id: str, over: threading.Event, told: threading.Event) -> None:
    beaten = time.monotonic()
    while not over.wait(LOOK_S) and not told.is_set():
        if time.monotonic() - beaten >= HEARTBEAT_S:
            beaten = time.monotonic()
            _beat(app, job_id)
        if _must_stop(app, job_id):
            os.kill(os.getpid(), signal.SIGTERM)  # to the main thread, where commands run
            break
    if not over.wait(PATIENCE_S):
        os._exit(INTERRUPTED)


def _beat(app: App, job_id: str) -> None:
    """Say that this process is there; a store that is busy for a moment is asked again at the next look."""
    import asyncio

    from surefoot.engine.work import renewed

    with contextlib.suppress(SurefootError):
        asyncio.run(renewed(app.ports, job_id))


def _must_stop(app: App, job_id: str) -> bool:
    import asyncio

    from surefoot.engine.work import must_stop

    with contextlib.suppress(SurefootError):
        return asyncio.run(must_stop(app.ports, job_id))
    return False
