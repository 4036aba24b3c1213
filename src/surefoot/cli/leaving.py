"""Commands by which data leaves: export, retention, erase."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TextIO

    from surefoot.cli.screen import Screen
    from surefoot.engine.erase import Erased
    from surefoot.ports import Ports

What = Literal["traces", "outcomes", "failures", "spans", "cases", "memory", "audit"]
Form = Literal["jsonl", "csv", "parquet"]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "export", section="Keep", keys="agent what format file rows")(export)
    command(app, "retention", section="Keep", keys="days counts held dry_run")(retention)
    keys = "id dry_run counts derived[]: agent block versions live draft; levers[] remains[] copies[]"
    command(app, "erase", section="Keep", keys=keys)(erase)


async def export(
    desk: Desk,
    agent: AgentName,
    what: Annotated[
        What, typer.Option(metavar="traces|outcomes|failures|spans|cases|memory|audit", help="what is exported")
    ] = "traces",
    form: Annotated[Form, typer.Option("--format", metavar="jsonl|csv|parquet", help="parquet needs --out")] = "jsonl",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="where to; by default standard output")] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="such as 7d, 12h or 2026-01-05")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="before this moment")] = "",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="cases that no improver may see, too; keep such a file to yourself")
    ] = False,
) -> None:
    """Write out everything of one kind, oldest first, row by row.

    Of cases only those of split `shown`. Cells of a table that look like formulas get an apostrophe in front.
    """
    from surefoot.core.errors import Invalid
    from surefoot.core.sought import moment

    if out is None and (form == "parquet" or desk.as_json):
        raise Invalid(
            f"where is the {'file' if form == 'parquet' else 'export'} to go?", hint="name it with --out FILE"
        )
    with desk.app() as app:
        now = app.ports.clock()
        chosen: dict[str, Any] = {"since": moment(since, now), "until": moment(until, now), "held_out": held_out}
        if form == "parquet" and out is not None:
            rows = await _parquet(app.ports, agent, what, out, chosen)
        else:
            rows = await _text(app.ports, agent, what, form, out, chosen)
    if out is not None:
        desk.give({"agent": agent, "what": what, "format": form, "file": out, "rows": rows},
                  lambda screen: screen.line(f"{rows} rows of {what} are in {out}", "green"))  # fmt: skip


async def _text(ports: Ports, agent: str, what: What, form: Form, out: Path | None, chosen: dict[str, Any]) -> int:
    from surefoot.core.exported import jsonl, table, table_head
    from surefoot.engine.export import exported

    rows = 0
    with _opened(out) as file:
        pages = exported(ports, agent, what, **chosen)
        if form == "csv":
            file.write(table_head(what))
        async for page in pages:
            file.write(table(page, what) if form == "csv" else jsonl(page, what))
            rows += len(page)
    return rows


async def _parquet(ports: Ports, agent: str, what: What, out: Path, chosen: dict[str, Any]) -> int:
    from surefoot.app import parquet_file
    from surefoot.engine.export import exported

    rows = 0
    with parquet_file(out, what) as write:
        async for page in exported(ports, agent, what, **chosen):
            write(page)
            rows += len(page)
    return rows


@contextmanager
def _opened(out: Path | None) -> Generator[TextIO]:
    """The file, which gets its name when it is whole; or standard output."""
    if out is None:
        yield sys.stdout
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


async def retention(
    desk: Desk, dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False
) -> None:
    """Delete what is older than [retention] says; workers do so daily.

    What a rollout in progress, an open request or a case to come still needs stays.
    """
    from surefoot.core.retention import RETAINED
    from surefoot.engine.retain import retain

    with desk.app() as app, desk.waiting("deleting"):
        days = {kind: app.retention.days(kind) for kind in RETAINED}
        done = await retain(app.ports, app.retention, dry_run=dry_run)

    def page(screen: Screen) -> None:
        if not any(days.values()):
            screen.line("everything is kept: [retention] in surefoot.toml sets no days")
            return
        screen.fields((kind, f"{n:g} days") for kind, n in days.items() if n is not None)
        _counts(screen, done.counts, "would go" if dry_run else "gone")
        for agent, rollout in done.held.items():
            screen.note(f"rollout {rollout} still needs older requests of {agent}")

    desk.give({"days": days, "counts": dict(done.counts), "held": dict(done.held), "dry_run": dry_run}, page)


async def erase(
    desk: Desk,
    actor: Annotated[str, typer.Option(metavar="NAME", help="the person, as the app names them")],
    by: Annotated[str, typer.Option(metavar="NAME", help="who does it, for the record")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count, and list what rests on it")] = False,
) -> None:
    """Erase all that is kept of a person, of every agent.

    Rules and examples that rest on it are listed, with levers to take them out, and stay. Repeating it is harmless.
    """
    from surefoot.engine.erase import erase as erased

    with desk.app() as app, desk.waiting("erasing"):
        done = await erased(app.ports, actor, by=by or ("nobody" if dry_run else ""), dry_run=dry_run)
        store = app.settings.store
    copies = sorted(str(path) for path in store.parent.glob(f"{store.name}.*"))

    desk.give({
        "id": done.id, "dry_run": done.dry_run, "counts": dict(done.counts), "derived": [
            {"agent": one.agent, "block": one.block, "versions": list(one.versions), "live": one.live,
             "draft": one.draft} for one in done.derived
        ], "levers": list(done.levers), "remains": list(done.remains), "copies": copies,
    }, lambda screen: _show(screen, done, copies))  # fmt: skip


def _show(screen: Screen, done: Erased, copies: list[str]) -> None:
    _counts(screen, done.counts, "would go" if done.dry_run else "gone")
    for one in done.derived:
        where = "serves now" if one.live else "is in the draft" if one.draft else "is in an older version"
        screen.line(f"{one.agent}: {one.block} rests on it and {where}", "yellow")
    for lever in done.levers:
        screen.note(f"lever {lever} is open to take it out")
    screen.line("what this does not reach:")
    for text in (*done.remains, *(f"a copy of the store: {path}" for path in copies)):
        screen.note(f"- {text}")


def _counts(screen: Screen, counts: Any, word: str) -> None:
    if not counts:
        screen.line("nothing " + ("would go" if word == "would go" else "was there"))
    for kind, many in sorted(counts.items()):
        screen.line(f"{kind}: {many} {'kept without texts, for the counts' if kind == 'kept' else word}")
