"""The panel: where the workers of one server lay their counts, so that whoever is asked can show all of them.

A scrape reaches one worker, by chance. Each writes what it has counted to a file of its own, once a second, whole or
not at all; whoever is asked adds the files of the others to what it knows of itself.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The counts of other workers, by number; without a folder there are none."""

    folder: Path | None = None

    def lay(self, worker: int, text: str) -> None:
        """Put this worker's counts there; what a full disk keeps away is missing in a scrape, and no more."""
        if self.folder is None:
            return
        part = self.folder / f".{worker}.{os.getpid()}"
        with contextlib.suppress(OSError):
            part.write_text(text, encoding="utf-8")
            part.replace(self.folder / f"{worker}.prom")

    def others(self, worker: int) -> list[str]:
        """Give the counts of all workers but this one, in the order of their numbers."""
        if self.folder is None:
            return []
        texts: list[str] = []
        for path in sorted(self.folder.glob("*.prom"), key=lambda path: path.stem.zfill(9)):
            if path.stem != str(worker):
                with contextlib.suppress(OSError):
                    texts.append(path.read_text(encoding="utf-8"))
        return texts
