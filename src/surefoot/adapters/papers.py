"""The four files in a folder: read as bytes, replaced whole, never through a link."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.repo.paper import MOST_BYTES


class FolderPapers:
    """Files of one folder; implements `ports.site.Papers`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """Give a file's bytes, or None if it is not there."""
        path = self._folder / name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(mode):
            raise Invalid(f"{name} is no plain file", hint="put a plain file in its place")
        if path.stat().st_size > 4 * MOST_BYTES:
            raise Invalid(f"{name} is too large", hint="move what is done to another file")
        return path.read_bytes()

    def write(self, name: str, content: bytes, *, expected: bytes | None) -> None:
        """Replace a file whole; whoever reads meanwhile sees the old text or the new one."""
        if self.read(name) != expected:
            raise Conflict(f"{name} was changed meanwhile", hint="run the same command again")
        path = self._folder / name
        handle, fresh = tempfile.mkstemp(prefix=f".{name}.", dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(fresh).chmod(stat.S_IMODE(path.stat().st_mode) if expected is not None else 0o644)
            Path(fresh).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(fresh).unlink()
            raise
