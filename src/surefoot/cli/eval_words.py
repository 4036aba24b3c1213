"""`eval say` and `eval words`: what people say of answers in the open, and the suite with what they agree on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.exam.label import Label

_WORDS = "words[]: case epoch about verdict text by at"


def register(group: typer.Typer) -> None:
    """Add these commands."""
    command(group, "say", keys=f"run {_WORDS}")(say)
    command(group, "words", keys=f"run file differ[] {_WORDS}")(words)


async def say(
    desk: Desk,
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's id")],
    case: Annotated[str, typer.Option(metavar="ID", help="the case")],
    by: Annotated[str, typer.Option(metavar="NAME", help="who says it")],
    epoch: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="which of its answers")] = 1,
    verdict: Annotated[str, typer.Option(metavar="pass|fail", help="whether that answer is right")] = "",
    expected: Annotated[str, typer.Option(metavar="TEXT", help="what the right answer is")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="why; it is kept")] = "",
) -> None:
    """Say whether an answer of a run is right, or what would be.

    This is said with everything in sight, so it counts for no rate of a judge; `eval label` asks blind.
    """
    from surefoot.core.errors import Invalid
    from surefoot.engine.labelled import Word
    from surefoot.engine.labelled import say as kept

    if verdict not in ("", "pass", "fail"):
        raise Invalid(f"the verdict is {verdict!r}", hint="say --verdict pass or --verdict fail")
    passed = None if not verdict else verdict == "pass"
    word = Word(run=run, case=case, epoch=epoch - 1, passed=passed, expected=expected, note=note)
    with desk.app() as app:
        found = await kept(app.ports, [word], by=by)
    desk.give({"run": found[0].run, "words": [one.document() for one in found]},
              lambda screen: screen.line(f"kept, as said by {by}", "green"))  # fmt: skip


async def words(
    desk: Desk,
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's id")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="write the suite with the answers they agree on")
    ] = None,
) -> None:
    """Show what people said of a run; --to writes the corrected suite.

    Where people differ on the right answer of a case it stays as it was, and the case is named.
    """
    from surefoot.engine.labelled import amended, words_of

    differ: list[str] = []
    with desk.app() as app:
        found = await words_of(app.ports, run)
        if to is not None:
            suite, differ = await amended(app.ports, run)
            app.workshop().write_suite(suite, to)
    document: dict[str, Any] = {"run": run, "file": to, "differ": differ, "words": [one.document() for one in found]}
    desk.give(document, lambda screen: _page(screen, found, differ, to))


def _page(screen: Screen, found: list[Label], differ: list[str], to: Path | None) -> None:
    from surefoot.cli.screen import short, when

    if not found:
        screen.note("nobody has said anything of this run in the open: surefoot eval say RUN --case ID --by NAME")
    else:
        rows = (one.document() for one in found)
        screen.table(("case", "epoch", "", "said", "by", "when"), (
            (short(row["case"], 40), row["epoch"], row["verdict"] or "expects", short(row["text"], 80), row["by"],
             when(row["at"])) for row in rows
        ), wide="said")  # fmt: skip
    for case in differ:
        screen.line(f"people differ on {case}: it stays as it was", "yellow")
    if to is not None:
        screen.line(f"{to} is written", "green")
