"""The server's log: Python's logging, turned into lines of the journal, in a file of each worker or on standard error.

Each worker writes a file of its own, since two processes cannot put one aside; `surefoot logs` reads them together.
Where lines go to a file, warnings are shown on standard error as well. A log that cannot be written stops nobody.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from surefoot.core.errors import SurefootError
from surefoot.core.journal import Level, as_json, as_text, entry
from surefoot.core.redaction import redact
from surefoot.gateway.door import REQUEST

if TYPE_CHECKING:
    from surefoot.config import LogSettings

KEPT = 3
FRAMES = 12
_LEVELS: Mapping[int, Level] = {
    logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error",
    logging.CRITICAL: "error",
}  # fmt: skip


def file_of(settings: LogSettings, store: Path, worker: int) -> Path | None:
    """Give the file of a worker (0 is the one that minds the others); None where lines go to standard error."""
    if settings.file == "stderr":
        return None
    path = store.absolute().parent / settings.file
    return path.with_name(f"{path.stem}-{worker}{path.suffix}")


def begin(settings: LogSettings, store: Path, worker: int) -> None:
    """Let everything that is logged in this process go to the journal."""
    form = as_json if settings.format == "json" else as_text
    lines = Lines(worker, form)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(lines)
    if (path := file_of(settings, store, worker)) is not None:
        handlers[0].setFormatter(Lines(worker, as_text))
        handlers[0].setLevel(logging.WARNING)
        handlers.append(_in_file(path, settings.rotate, lines, handlers[0]))
    level = getattr(logging, settings.level.upper())
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(max(level, logging.WARNING))
    for name in ("surefoot", "uvicorn"):
        one = logging.getLogger(name)
        one.handlers.clear()
        one.propagate = True
        one.setLevel(level if name == "surefoot" else max(level, logging.WARNING))


class Lines(logging.Formatter):
    """Turns a record into a line: redacted, without the values that an exception saw, with the request's id."""

    def __init__(self, worker: int, form: Callable[[Mapping[str, object]], str]) -> None:
        super().__init__()
        self._worker = worker
        self._form = form
        self._secret = os.urandom(16)

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        fields = dict(cast("Mapping[str, object]", getattr(record, "fields", None) or {}))
        fields.setdefault("request_id", REQUEST.get())
        if record.name != "surefoot.access":
            fields["logger"] = record.name
        if record.exc_info and record.exc_info[1] is not None:
            fields |= self._mistake(record.exc_info[1])
        at = datetime.fromtimestamp(record.created, UTC)
        level = _LEVELS.get(record.levelno, "info")
        line = entry(at, level, self._worker, record.getMessage().strip(), fields, redact=self._redacted)
        return self._form(line)

    def _mistake(self, error: BaseException) -> dict[str, object]:
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        said = str(error) if isinstance(error, SurefootError | OSError) else ""  # others may quote what they were given
        return {"error": type(error).__name__, "said": said, "where": where}

    def _redacted(self, text: str) -> str:
        return redact(text, self._secret, mode="typed").text


class Rotating(RotatingFileHandler):
    """A file that only its owner reads, put aside when it is full; what the disk refuses is said once."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path, maxBytes=most, backupCount=KEPT, encoding="utf-8", delay=True)
        self._told = False

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_private)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say once that the log cannot be written."""
        if not self._told:
            self._told = True
            print(f"the log {self.baseFilename} cannot be written", file=sys.stderr)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _in_file(path: Path, most: int, lines: Lines, shown: logging.Handler) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        print(f"the log {path} cannot be written: {error.strerror}", file=sys.stderr)
        return shown
    handler = Rotating(path, most)
    handler.setFormatter(lines)
    return handler
