"""Private folders that do not outlive their use: not after an error, and not for long after a `kill -9`.

The name of a room holds the id of the process that made it; whoever makes the next one removes those of the dead.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

# What a walled-in command may write to besides its own folders.
DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "tty", "ptmx", "pts", "shm"))


@contextlib.contextmanager
def private(kind: str, *, folder: str | None = None) -> Generator[Path]:
    """Give an empty folder that only this user may enter, and remove it afterwards, whatever is in it."""
    place = Path(folder or tempfile.gettempdir())
    _clear(place, kind)
    room = Path(tempfile.mkdtemp(prefix=f"surefoot-{kind}-{os.getpid()}-", dir=place))
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _clear(place: Path, kind: str) -> None:
    """Remove the rooms of processes that are no more."""
    name = re.compile(rf"surefoot-{kind}-(\d+)-\w+")
    with contextlib.suppress(OSError):
        for room in place.iterdir():
            if (found := name.fullmatch(room.name)) and _ours(room) and _dead(int(found[1])):
                shutil.rmtree(room, ignore_errors=True)


def _ours(room: Path) -> bool:
    found = room.lstat()
    return room.is_dir() and not room.is_symlink() and found.st_uid == os.getuid()


def _dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
