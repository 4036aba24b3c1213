"""The command `logs`: what the server's workers wrote down, in one stream, oldest first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.journal import Wanted

LEVEL = Literal["debug", "info", "warning", "error"]
POLL_S = 0.25


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "logs", section="Look", keys="files[] lines[]: at level worker message")(logs)


async def logs(
    desk: Desk,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="go on until Ctrl-C with what is written next")
    ] = False,
    level: Annotated[LEVEL, typer.Option(metavar="debug|info|warning|error", help="leave out what is below")] = "debug",
    agent: Annotated[str, typer.Option(metavar="AGENT", help="only of this agent")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="only of the last 30s, 15m, 2h or 3d")] = "",
    limit: Annotated[int, typer.Option(min=1, help="the last so many lines")] = 200,
) -> None:
    """Show the log of the server, of all its workers together.

    With `--follow` and `--json` each line is a JSON document of its own.
    """
    from surefoot.core.duration import duration
    from surefoot.core.errors import NotFound
    from surefoot.core.journal import Wanted

    settings = desk.settings()
    if settings.log.file == "stderr":
        raise NotFound("the server logs to standard error here", hint="set [log] file to read it later")
    pattern = settings.store.absolute().parent / settings.log.file
    back = duration(since) if since else None
    wanted = Wanted(level=level, agent=agent, since=None if back is None else _now() - back)
    books = Books(pattern, wanted)
    lines = books.last(limit)
    if not lines and not follow and not books.files():
        raise NotFound(f"there is no log beside {pattern}", hint="surefoot serve writes one")
    if not follow:

        def page(screen: Screen) -> None:
            for one in lines:
                screen.line(_text(one))

        desk.give({"files": [str(one) for one in books.files()], "lines": lines}, page)
        return
    await _followed(desk, books, lines)


async def _followed(desk: Desk, books: Books, lines: list[dict[str, Any]]) -> None:
    """Print what there is, then what comes, until somebody ends it."""
    import asyncio
    import sys

    from surefoot.core.journal import as_json

    while True:
        for one in lines:
            sys.stdout.write((as_json(one) if desk.as_json else _text(one)) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(POLL_S)
        lines = books.more()


class Books:
    """The files of all workers; each is read from where it was left, also after it was put aside."""

    def __init__(self, pattern: Path, wanted: Wanted) -> None:
        self._pattern = pattern
        self._wanted = wanted
        self._at: dict[int, int] = {}  # how far each file, by its number on the disk, is read

    def files(self) -> list[Path]:
        """Give the files there are, older ones of a worker before its newest."""
        name = self._pattern
        mask = f"{name.stem}-*{name.suffix}"
        found = [*name.parent.glob(mask), *name.parent.glob(f"{mask}.[0-9]")]
        return sorted(found, key=lambda path: (path.name.split(name.suffix)[0], -_age(path)))

    def last(self, limit: int) -> list[dict[str, Any]]:
        """Give the last lines that are wanted, and take note of how far the files go."""
        return self.more()[-limit:]

    def more(self) -> list[dict[str, Any]]:
        """Give what was written since, oldest first."""
        found = [line for path in self.files() for line in self._read(path)]
        return sorted(found, key=lambda one: str(one["at"]))

    def _read(self, path: Path) -> Iterator[dict[str, Any]]:
        try:
            with path.open("rb") as file:
                number = os.fstat(file.fileno()).st_ino
                file.seek(self._at.get(number, 0))
                whole = _whole_lines(file.read())
                self._at[number] = self._at.get(number, 0) + len(whole)
        except OSError:  # it was put aside a second time just now
            return
        yield from self._fitting(whole.decode("utf-8", "replace").split("\n"))

    def _fitting(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        from surefoot.core.journal import parsed

        for text in texts:
            line = parsed(text)
            if line is not None and self._wanted.fits(line):
                yield line


def _whole_lines(read: bytes) -> bytes:
    """What ends in a line break; the rest is being written and comes later."""
    return read[: read.rfind(b"\n") + 1]


def _age(path: Path) -> int:
    return int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0


def _text(line: dict[str, Any]) -> str:
    from surefoot.core.journal import as_text

    return as_text(line)


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
