"""What a person sees: plain lines and tables; colours only on a terminal, nothing cut where the output is piped.

Every text is shown as it is: no markup is read from it, and characters that could steer a terminal are spelled out,
because inputs and answers come from strangers.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from surefoot.core import plain
from surefoot.core.figure import percent as told

if TYPE_CHECKING:
    from rich.console import Console

    from surefoot.core.diff import Change

PIPED_WIDTH = 10_000
_SHADES = {"+": "green", "-": "red"}


def visible(text: str) -> str:
    """Give a text as a terminal may show it: with line ends and tabs, and nothing else that could steer it."""
    return plain.visible(text, keep="\n\t")


def short(text: str, limit: int = 90) -> str:
    """Give a text on one line, cut to `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def when(moment: datetime | None) -> str:
    """Give a moment as people read it, in UTC; a dash for never."""
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def percent(share: float | None) -> str:
    """Give a fraction in percent; a dash where it is unknown."""
    return "-" if share is None else told(share)


def console_on(stream: TextIO) -> Console:
    """Give a rich console that writes plain, unwrapped text where nobody looks."""
    from rich.console import Console

    console = Console(file=stream, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


class Screen:
    """Prints to standard output; made anew for each command."""

    def __init__(self) -> None:
        self._console = console_on(sys.stdout)

    @contextmanager
    def page(self) -> Generator[Screen]:
        """Collect what is printed and write it out at once, so that a reader who leaves is noticed in one place."""
        with self._console.capture() as shown:
            yield self
        text = shown.get()
        if not self._console.is_terminal:  # tables are padded for the eye alone
            text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        sys.stdout.write(text)
        sys.stdout.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """Print a text in one style."""
        from rich.text import Text

        self._console.print(Text(visible(text), style=style))

    def title(self, text: str) -> None:
        """Print a heading."""
        self.line(text, "bold")

    def note(self, text: str) -> None:
        """Print something that may be skipped."""
        self.line(text, "dim")

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names with their values, one a line; what is empty is left out."""
        shown = [(name, str(value)) for name, value in pairs if value not in ("", None, ())]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(f"{name.ljust(width)}  {value}")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]], *, wide: str = "") -> None:
        """Print a table; the columns named in `heads` keep their width, but for `wide`, which takes what is left."""
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for head in heads:
            grid.add_column(head, no_wrap=bool(wide) and head != wide, overflow="fold")
        for row in rows:
            grid.add_row(*(Text(visible(str(cell))) for cell in row))
        self._console.print(grid)

    def changes(self, found: Iterable[Change]) -> None:
        """Print a difference between genomes, block by block."""
        listed = tuple(found)
        for change in listed:
            self.line(f"{change.kind} {change.id}", "bold")
            for line in change.lines():
                self.line(line, _SHADES.get(line[:1], "dim"))
        if not listed:
            self.note("no difference")
