"""A keepsake: the last genome that was known of an agent, in a small file, for the day Surefoot is away at the start.

Only what everybody is served is kept, never a challenger that is being tried. The file can be read by its owner alone,
is replaced as a whole, and one that cannot be read or written is as if it were not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from surefoot.core.errors import SurefootError
from surefoot.core.genome import Genome
from surefoot.sdk.call import Assigned


class Keepsakes:
    """The last genomes of one place, in memory and in a folder (None: in memory only)."""

    def __init__(self, folder: Path | None, place: str) -> None:
        self._folder = folder
        self._place = place
        self._known: dict[str, Assigned] = {}

    def keep(self, agent: str, assigned: Assigned) -> None:
        """Keep what everybody is served; a challenger is kept only while nothing else is known."""
        before = self._known.get(agent)
        same = before is not None and (before.version, before.genome) == (assigned.version, assigned.genome)
        if same or (before is not None and not assigned.live):
            return
        self._known[agent] = assigned
        if self._folder is not None and assigned.live:
            with contextlib.suppress(OSError):
                self._write(agent, assigned)

    def last(self, agent: str) -> Assigned | None:
        """Give what was known last, from this program or an earlier one."""
        if agent not in self._known and self._folder is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, SurefootError):
                self._known[agent] = _read(self._path(agent))
        found = self._known.get(agent)
        return None if found is None else Assigned(version=found.version, genome=found.genome, remembered=True)

    def _path(self, agent: str) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(f"{self._place}\n{agent}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"

    def _write(self, agent: str, assigned: Assigned) -> None:
        path = self._path(agent)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(made, "w", encoding="utf-8") as file:
                json.dump({"agent": agent, "version": assigned.version, "genome": assigned.genome.document()}, file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _read(path: Path) -> Assigned:
    found = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    return Assigned(version=int(found["version"]), genome=Genome.from_document(found["genome"]), remembered=True)


def folder(environ: Mapping[str, str]) -> Path:
    """Give where keepsakes are kept on this machine."""
    home = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", ".")) / ".cache")
    return Path(home) / "surefoot" / "genomes"
