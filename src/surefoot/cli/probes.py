"""`probes`: write questions that test what an agent's instructions promise, keep them as a suite, and ask them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command
from surefoot.core.errors import Invalid

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.core.exam.report import Report
    from surefoot.core.probe import ProbeSet
    from surefoot.engine.probe import Broken, Probed

_KEYS = (
    "agent version writer note cost_usd promises[]: number kind text probes; uncovered[]: number kind text; "
    "probes[]: id kind promise input expects checks criteria; dropped[]: id promise why; file; "
    "run; broken[]: probe promise standing cause notes"
)


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "probes", section="Improve", keys=_KEYS)(probes)


async def probes(
    desk: Desk,
    agent: AgentName,
    version: Annotated[int, typer.Option(min=0, metavar="N", help="which version (0: the live one)")] = 0,
    most: Annotated[int, typer.Option(min=1, max=200, metavar="N", help="the most probes")] = 12,
    tool: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a tool that the agent's program has; repeatable")
    ] = None,
    with_model: Annotated[bool, typer.Option("--with-model", help="let the improver's model write them too")] = False,
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="write them as a suite: .yaml or .jsonl")] = None,
    over: Annotated[bool, typer.Option("--over", help="write over a file that is there")] = False,
    run: Annotated[bool, typer.Option("--run", help="ask them now")] = False,
    program: Annotated[
        str, typer.Option("--command", metavar="LINE", help="ask this program instead of the agent's model")
    ] = "",
    judge: Annotated[str, typer.Option(metavar="MODEL", help="the model that judges criteria")] = "",
) -> int:
    """Write probes of what an agent's instructions promise; ask them.

    Each names the promise it tests; promises that no probe tests are listed. --run asks them. The instructions are
    the oracle: what they do not say is not tested.
    """
    from surefoot.engine.probe import probe

    if (program or judge) and not run:
        raise Invalid("--command and --judge say how probes are asked", hint="add --run")
    seen, broken = None, ()
    with desk.app() as app:
        writer = app.probe_writer() if with_model else None
        with desk.waiting("writing probes"):
            made = await probe(app.ports, agent, version=version, tools=tool or (), most=most, writer=writer)
        if write is not None:
            _written(app, made.found, write, over)
        if run:
            seen, broken = await _asked(app, desk, made, program, judge)
    document = _document(made, write, seen, broken)
    desk.give(document, lambda screen: _page(screen, made, write, seen, broken))
    return 0 if seen is None else seen.verdict.exit_code


def _written(app: App, found: ProbeSet, path: Path, over: bool) -> None:
    from surefoot.core.probe import suite_from_probes

    app.workshop().write_suite(suite_from_probes(found), path, over=over)


async def _asked(
    app: App, desk: Desk, made: Probed, program: str, judge: str
) -> tuple[Report, tuple[Broken, ...]]:  # fmt: skip
    from surefoot.engine.probe import run_probes
    from surefoot.engine.run import Terms
    from surefoot.engine.serve import question

    workshop, habits = app.workshop(), made.agent.habits
    if program:
        subject = workshop.command(shlex.split(program), Path.cwd())
    else:
        pinned = await app.store.read(lambda tx: tx.versions.get(made.agent.name, made.version))
        own = app.settings.improver_model
        subject = workshop.version(
            lambda case: question(made.genome, case.text, case.slice, case_id=case.id), model=habits.model,
            name=f"{made.agent.name} v{made.version}", pin=made.genome.digest,
            authors=[pinned.author, *([own] if own else [])],
        )  # fmt: skip
    terms = Terms(concurrency=habits.concurrency, agent=made.agent.name, day_budget=habits.day_budget)
    how = {"agent": made.agent.name, "version": str(made.version), "program": program, "judge": judge}
    kept = {name: value for name, value in how.items() if value and not (program and name in ("agent", "version"))}
    with desk.waiting(f"asking {len(made.found.probes)} probes"):
        return await run_probes(app.ports, workshop.exams(judge=judge), made.found, subject, terms, how=kept)


def _document(made: Probed, path: Path | None, seen: Report | None, broken: tuple[Broken, ...]) -> dict[str, Any]:
    from surefoot.core.clauses import promises

    found = made.found
    tested: dict[int, list[str]] = {}
    for one in found.probes:
        tested.setdefault(one.promise, []).append(one.id)
    return {
        "agent": made.agent.name, "version": made.version, "writer": found.writer, "note": made.note or None,
        "cost_usd": made.cost.usd, "file": path,
        "promises": [{"number": c.number, "kind": c.kind, "text": c.text, "probes": tested.get(c.number, [])}
                     for c in promises(found.clauses)],
        "uncovered": [{"number": c.number, "kind": c.kind, "text": c.text} for c in found.uncovered],
        "probes": [
            {"id": p.id, "kind": p.kind, "promise": p.promise, "expects": p.expects,
             "input": [{"role": m.role, "content": m.content} for m in p.input],
             "checks": [check.document() for check in p.checks], "criteria": list(p.criteria)}
            for p in found.probes
        ],
        "dropped": [{"id": d.id, "promise": d.promise, "why": d.why} for d in found.dropped],
        "run": None if seen is None else {
            "id": seen.run.id, "verdict": seen.verdict.word, "sentence": seen.verdict.sentence,
            "exit_code": seen.verdict.exit_code, **seen.verdict.counts,
        },
        "broken": [{"probe": b.probe, "promise": b.promise, "standing": b.standing, "cause": b.cause,
                    "notes": list(b.notes)} for b in broken],
    }  # fmt: skip


def _page(screen: Screen, made: Probed, path: Path | None, seen: Report | None, broken: tuple[Broken, ...]) -> None:
    from surefoot.cli.screen import short

    found = made.found
    screen.title(f"{made.agent.name} v{made.version}: {len(found.probes)} probes by {found.writer}")
    screen.table(("probe", "asks", "expected"), (
        (p.id, short(" ".join(p.text.split()), 70), short(p.expects, 60)) for p in found.probes
    ), wide="asks")  # fmt: skip
    for one in found.uncovered:
        screen.line(f"no probe tests promise {one.number}: {short(one.text, 100)}", "yellow")
    for gone in found.dropped:
        screen.note(f"dropped {gone.id} (promise {gone.promise}): {gone.why}")
    if made.note:
        screen.note(made.note)
    if path is not None:
        screen.line(f"{path} is a suite now: surefoot eval run {path} --agent {made.agent.name}", "green")
    if seen is None:
        return
    tone = {"pass": "green", "fail": "red"}.get(seen.verdict.word, "yellow")
    screen.line(f"{seen.verdict.word.replace('_', ' ')}: {seen.verdict.sentence}", tone)
    if broken:
        screen.table(("probe", "standing", "points at", "why"), (
            (b.probe, b.standing, b.cause, short(b.notes[0] if b.notes else "", 80)) for b in broken
        ), wide="why")  # fmt: skip
    waiting = [p.id for p in found.probes if p.criteria]
    if waiting and not seen.run.judge:
        screen.line(f"not asked, because only a judge can tell: {', '.join(waiting)} (--judge MODEL)", "yellow")
