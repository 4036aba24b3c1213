"""`eval import` and `eval export`: suites from other tools and from traces, and runs for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen


def register(group: typer.Typer) -> None:
    """Add these commands."""
    command(group, "import", keys="suite file cases unchecked[] disabled[]: case kind why; notes[]")(import_)
    command(group, "export", keys="run format file text")(export)


async def import_(
    desk: Desk,
    source: Annotated[
        str, typer.Argument(metavar="FILE|TRACE", help="another tool's file, or a trace's id with --agent")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="the suite to write: .yaml or .jsonl")],
    form: Annotated[
        str, typer.Option("--from", metavar="TOOL", help="promptfoo, inspect, openai-evals, pydantic-evals or agno")
    ] = "",
    agent: Annotated[str, typer.Option(metavar="NAME", help="take a stored trace of this agent as a draft")] = "",
) -> None:
    """Make a suite of another tool's file, or of a trace.

    What means nothing here is kept disabled and listed. Nothing imported runs code.
    """
    from surefoot.engine.reported import traces_as_suite

    with desk.app(create=not agent) as app:
        workshop = app.workshop()
        suite = await traces_as_suite(app.ports, agent, [source]) if agent else workshop.suite(Path(source), form)
        workshop.write_suite(suite, to)
    off = [{"case": case, "kind": check.kind, "why": check.disabled} for case, check in suite.disabled()]
    bare = [case.id for case in suite.cases if not case.scorers]
    document: dict[str, Any] = {"suite": suite.name, "file": to, "cases": len(suite.cases), "unchecked": bare,
                                "disabled": off, "notes": suite.notes}  # fmt: skip
    desk.give(document, lambda screen: _page(screen, document))


def _page(screen: Screen, seen: dict[str, Any]) -> None:
    screen.line(f"{seen['cases']} cases are in {seen['file']}", "green")
    for row in seen["disabled"]:
        screen.line(f"disabled: {row['kind']} of {row['case']} ({row['why']})", "yellow")
    if seen["unchecked"]:
        first = ", ".join(seen["unchecked"][:5])
        screen.line(f"{len(seen['unchecked'])} cases have no check and will be errored: {first}", "yellow")
    for note in seen["notes"]:
        screen.note(note)


async def export(
    desk: Desk,
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's id")],
    form: Annotated[str, typer.Option("--as", metavar="FORM", help="junit, markdown, inspect, csv or json")] = "json",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="the file to write (default: print it)")
    ] = None,
    against: Annotated[str, typer.Option(metavar="RUN", help="compare with another run")] = "",
) -> None:
    """Write a run as JUnit XML, Markdown, an Inspect log, CSV or JSON."""
    from surefoot.engine.reported import report

    with desk.app() as app:
        seen = await report(app.ports, run, against=against)
        text = app.workshop().report(seen, form)
    if to is not None:
        to.write_text(text, encoding="utf-8")
    document: dict[str, Any] = {"run": seen.run.id, "format": form, "file": to, "text": None if to else text}
    desk.give(document, lambda screen: screen.line(f"{to} is written" if to else text.rstrip("\n")))
