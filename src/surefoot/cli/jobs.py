"""The command `jobs`: long work that was asked for over the API, and the process that does it."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command
from surefoot.cli.stopping import stoppable

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.job import Job
    from surefoot.engine.work import Seen

LONGEST = 1_000_000
_JOB = "id kind agent state by at ended_at exit_code result"


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "jobs", section="Look", keys=f"jobs[]: {_JOB}")(jobs)


def jobs(
    desk: Desk,
    which: Annotated[str, typer.Argument(metavar="[ID]", help="one of them, with what it answered")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="how many, newest first")] = 20,
    do: Annotated[str, typer.Option("--do", metavar="ID", help="do this one here, as the server's own process")] = "",
) -> None:
    """Show the long work that was asked for over the API."""
    import asyncio  # here, since `surefoot --help` has no use for it

    if do:
        _done(desk, do)
    found = asyncio.run(_found(desk, which or do, limit))
    desk.give({"jobs": [_document(one) for one in found]}, lambda screen: _page(screen, found, bool(which)))


async def _found(desk: Desk, which: str, limit: int) -> list[Seen]:
    from surefoot.core.token import EVERY_AGENT
    from surefoot.engine.work import listed, shown

    with desk.app() as app:
        return [await shown(app.ports, which)] if which else await listed(app.ports, limit=limit, agents=EVERY_AGENT)


def _done(desk: Desk, job_id: str) -> None:
    """Take a job, run its command, and leave what it answered; whatever happens, the job ends."""
    import asyncio

    from surefoot.engine.work import ended, taken

    async def begun() -> tuple[Job, Path]:
        with desk.app() as app:
            return await taken(app.ports, job_id), app.settings.store

    job, store = asyncio.run(begun())
    code: int | None = None
    result: Mapping[str, Any] = {"error": {"code": "internal", "message": "the command broke off", "hint": ""}}
    try:
        with stoppable(desk, job_id):
            code, result = _ran(job, store)
    finally:

        async def over() -> None:
            with desk.app() as app:
                await ended(app.ports, job_id, exit_code=code, result=result)

        asyncio.run(over())


def _ran(job: Job, store: Path) -> tuple[int, Mapping[str, Any]]:
    """Run a job's command in this process, with its files in a directory that goes away."""
    from surefoot.cli import main

    with tempfile.TemporaryDirectory(prefix="surefoot-job-") as folder:
        for name, text in job.files.items():
            (Path(folder) / Path(name).name).write_text(text, encoding="utf-8")
        places = {f"{{{name}}}": str(Path(folder) / Path(name).name) for name in job.files}
        words = [places.get(word, word) for word in job.words]
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = main(["--store", str(store), "--json", *words])
    text = said.getvalue()
    if len(text) > LONGEST:
        told = f"the answer has {len(text)} characters; {LONGEST} are kept of one"
        return code, {"error": {"code": "invalid", "message": told, "hint": "run the command itself"}}
    return code, json.loads(text) if text.strip() else {}


def _document(one: Seen) -> dict[str, Any]:
    job = one.job
    return {"id": job.id, "kind": job.kind, "agent": job.agent or None, "state": one.state, "by": job.by, "at": job.at,
            "ended_at": job.ended_at, "exit_code": job.exit_code, "result": dict(job.result)}  # fmt: skip


def _page(screen: Screen, found: list[Seen], alone: bool) -> None:
    from surefoot.cli.desk import json_text
    from surefoot.cli.screen import when

    if not found:
        screen.note("nothing long was asked for over the API yet")
        return
    screen.table(("job", "kind", "agent", "state", "asked by", "at", "ended", "exit"), (
        (job.id, job.kind, job.agent or "-", state, job.by, when(job.at), when(job.ended_at),
         "-" if job.exit_code is None else job.exit_code) for job, state in ((one.job, one.state) for one in found)
    ))  # fmt: skip
    if alone and found[0].job.result:
        screen.line(json_text(found[0].job.result))
