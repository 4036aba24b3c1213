"""Commands of `eval`: run, list, cancel, compare, label, import, export.

Exit codes of `run` and `compare`: 0 pass, 1 gate failed or worse, 2 wrong or nothing matched, 3 too many errored,
4 inconclusive, 130 cancelled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command
from surefoot.core.figure import signed

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.core.exam.contrast import Contrast
    from surefoot.core.exam.report import Report
    from surefoot.core.exam.run import EvalRun

RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="the run's id, as `eval list` shows it; its beginning will do")
]
SuiteFile = Annotated[Path, typer.Argument(metavar="SUITE", help="a suite: .yaml, .json, .jsonl or .csv, also .gz")]
LISTED = 30
_REPORT = (
    "run suite subject judge state scope verdict sentence exit_code cases passed failed errored abstained "
    "quarantined[] must_lost[] must_open[] missing spent pass_k[]: k value low high cases; compare; "
    "failing[]: case standing passed failed unknown notes"
)
_COMPARE = (
    "before after word sentence delta low high compared gained lost needs left_out[] "
    "flips[]: case change before after p shown severity; slices[]: slice cases gained lost gain low high mark"
)


def register(group: typer.Typer) -> None:
    """Add these commands."""
    from surefoot.cli import eval_files, eval_labels, eval_words

    command(group, "run", keys=_REPORT)(run)
    command(group, "list", keys="runs[]: run suite subject state scope verdict started_at; "
            "cases[]: case severity tags scorers draft; disabled[]: case kind why; notes[]")(list_)  # fmt: skip
    command(group, "cancel", keys="run state planned")(cancel)
    command(group, "compare", keys=_COMPARE)(compare)
    eval_labels.register(group)
    eval_words.register(group)
    eval_files.register(group)


async def run(
    desk: Desk,
    suite: Annotated[str, typer.Argument(metavar="[SUITE]", help="the suite's file; none with --resume")] = "",
    agent: Annotated[str, typer.Option(metavar="NAME", help="examine an agent of this store")] = "",
    version: Annotated[str, typer.Option(metavar="N", help="which version of it (default: live)")] = "live",
    model: Annotated[str, typer.Option(metavar="NAME", help="on another model than its own")] = "",
    program: Annotated[
        str, typer.Option("--command", metavar="LINE", help="examine a program: JSON in, JSON out")
    ] = "",
    recorded: Annotated[str, typer.Option(metavar="FILE", help="examine answers that were recorded elsewhere")] = "",
    variant: Annotated[str, typer.Option(metavar="NAME", help="which variant of the recording")] = "",
    judge: Annotated[str, typer.Option(metavar="MODEL", help="the model that judges criteria")] = "",
    votes: Annotated[int, typer.Option(min=1, max=9, metavar="K", help="votes where the judge is unsure")] = 3,
    same_author: Annotated[bool, typer.Option("--same-author", help="let a judge judge what it wrote")] = False,
    epochs: Annotated[
        int, typer.Option(min=0, max=1000, metavar="N", help="trials per case (0: as the suite says)")
    ] = 0,
    confirm: Annotated[int, typer.Option(min=0, max=20, metavar="N", help="more trials of a case that flipped")] = 2,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="trials at once")] = 16,
    workers: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="processes that share the run")] = 1,
    shared: Annotated[
        bool, typer.Option("--shared", help="with --resume: other processes carry it out at the same time")
    ] = False,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="only cases with this tag; repeatable")] = None,
    case: Annotated[list[str] | None, typer.Option(metavar="ID", help="only this case; repeatable")] = None,
    max_calls: Annotated[int | None, typer.Option(min=0, metavar="N", help="the most calls")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, metavar="N", help="the most tokens")] = None,
    max_usd: Annotated[float | None, typer.Option(min=0, metavar="USD", help="the most money")] = None,
    min_pass: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="SHARE", help="the share that must pass (default: the suite's)"),
    ] = None,
    cache: Annotated[bool, typer.Option("--cache", help="reuse answers of the same subject, case and epoch")] = False,
    resume: Annotated[str, typer.Option(metavar="RUN", help="go on with a run: just what is missing")] = "",
    rerun_failing: Annotated[str, typer.Option(metavar="RUN", help="run what did not pass there")] = "",
    against: Annotated[str, typer.Option(metavar="RUN", help="compare with another run")] = "",
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="write JUnit XML")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="write a comment for a pull request")] = None,
) -> int:
    """Examine an agent, a program or a recording on a suite.

    Each verdict is kept when it is there: Ctrl-C keeps what finished, and --resume does just the rest.
    """
    from surefoot.cli.eval_run import Wanted, examined
    from surefoot.engine.reported import report

    wanted = Wanted(
        suite=suite, agent=agent, version=version, model=model, program=program, recorded=recorded, variant=variant,
        judge=judge, votes=votes, same_author=same_author, epochs=epochs, confirm=confirm, concurrency=concurrency,
        tags=tuple(tag or ()), ids=tuple(case or ()), calls=max_calls, tokens=max_tokens, usd=max_usd, cache=cache,
        resume=resume, rerun_failing=rerun_failing, workers=workers, shared=shared,
    )  # fmt: skip
    with desk.app(create=not agent) as app:
        done = await examined(app, desk, wanted)
        seen = await report(app.ports, done.id, against=against, min_pass=min_pass)
        for path, form in ((junit, "junit"), (markdown, "markdown")):
            if path is not None:
                path.write_text(app.workshop().report(seen, form), encoding="utf-8")
    document = report_document(seen)
    desk.give(document, lambda screen: shown(screen, seen))
    return seen.verdict.exit_code


def report_document(seen: Report) -> dict[str, Any]:
    """Give the JSON document of a report."""
    run, verdict, cost, notes = seen.run, seen.verdict, seen.spent.cost, _notes(seen)
    return {
        "run": run.id, "suite": run.suite, "subject": run.subject, "judge": run.judge or None, "state": run.state,
        "scope": run.scope, "verdict": verdict.word, "sentence": verdict.sentence, "exit_code": verdict.exit_code,
        "cases": len(seen.suite.cases), **verdict.counts, "quarantined": verdict.quarantined,
        "must_lost": verdict.must_lost, "must_open": verdict.must_open, "missing": verdict.missing,
        "spent": {"answers": seen.spent.answers, "calls": cost.calls, "tokens": cost.tokens, "usd": cost.usd,
                  "known": seen.spent.known},
        "pass_k": [
            {"k": one.k, "value": one.value, "low": one.low, "high": one.high, "cases": one.cases}
            for one in seen.pass_k()
        ],
        "compare": _compare_document(run.id, seen.contrast) if seen.contrast else None,
        "failing": [
            {"case": one.id, "standing": one.standing, "passed": one.passed, "failed": one.failed,
             "unknown": one.unknown, "notes": notes[one.id]}
            for one in seen.results.values() if one.standing != "passed"
        ],
    }  # fmt: skip


def _notes(seen: Report) -> dict[str, tuple[str, ...]]:
    """Give the notes of each case, none of those that are held out: a note may quote the case."""
    from surefoot.core.exam.held import held_out

    held = {case.id for case in seen.suite.cases if held_out(case.split)}
    return {one.id: () if one.id in held else tuple(one.notes) for one in seen.results.values()}


_STYLES = {"pass": "green", "fail": "red", "too_many_errored": "red", "inconclusive": "yellow", "cancelled": "yellow"}


def shown(screen: Screen, seen: Report) -> None:
    """Show a report to a person."""
    from surefoot.cli.screen import percent, short

    run, verdict, cost, notes = seen.run, seen.verdict, seen.spent.cost, _notes(seen)
    tally = verdict.counts
    screen.title(f"{run.suite}: {run.subject}")
    screen.line(f"{verdict.word.replace('_', ' ')}: {verdict.sentence}", _STYLES[verdict.word])
    unclear = "" if seen.spent.known else " (and what was not reported)"
    decided = f"{tally['passed']} passed, {tally['failed']} failed"
    screen.fields((
        ("cases", f"{decided}, {tally['errored']} errored, {tally['abstained']} undecided of {len(seen.suite.cases)}"),
        ("quarantined", ", ".join(verdict.quarantined[:10])),
        ("spent", f"{seen.spent.answers} answers, {cost.calls} calls, US$ {cost.usd:.4f}{unclear}"),
        *((f"pass^{one.k}", f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)}, {one.cases} cases)")
          for one in seen.pass_k() if one.k > 1),
        ("run", run.id),
    ))  # fmt: skip
    if seen.contrast is not None:
        contrasted(screen, seen.contrast)
    rows = [one for one in seen.results.values() if one.standing != "passed"]
    if rows:
        screen.table(("case", "standing", "why"), (
            (short(one.id, 40), one.standing, short(next(iter(notes[one.id]), ""), 100)) for one in rows[:LISTED]
        ), wide="why")  # fmt: skip
    if len(rows) > LISTED:
        screen.note(f"{LISTED} of {len(rows)} that did not pass; --json has all")
    if run.state != "done":
        screen.note(f"the rest: surefoot eval run --resume {run.id}")


async def list_(
    desk: Desk, what: Annotated[str, typer.Argument(metavar="[SUITE|RUN]", help="the cases of a file, or one run")] = ""
) -> None:
    """List the latest runs, the cases of a suite, or one run."""
    from surefoot.engine.reported import report

    path = Path(what)
    if what and path.suffix:
        with desk.app(create=True) as app:
            suite = app.workshop().suite(path)
        cases = [{"case": c.id, "severity": c.severity, "tags": c.tags, "scorers": c.scorers, "draft": c.draft}
                 for c in suite.cases]  # fmt: skip
        off = [{"case": case, "kind": check.kind, "why": check.disabled} for case, check in suite.disabled()]
        document: dict[str, Any] = {"runs": [], "cases": cases, "disabled": off, "notes": suite.notes}
        desk.give(document, lambda screen: _cases(screen, document))
        return
    with desk.app() as app:
        found = await app.store.read(lambda tx: [tx.evals.run(what)] if what else tx.evals.runs(limit=LISTED))
        words = {one.id: (await report(app.ports, one.id)).verdict.word for one in found}
    rows = [_run_document(one, words[one.id]) for one in found]
    desk.give({"runs": rows, "cases": [], "disabled": [], "notes": []}, lambda screen: _runs(screen, rows))


def _run_document(run: EvalRun, word: str) -> dict[str, Any]:
    return {"run": run.id, "suite": run.suite, "subject": run.subject, "state": run.state, "scope": run.scope,
            "verdict": word, "started_at": run.started_at}  # fmt: skip


def _runs(screen: Screen, rows: list[dict[str, Any]]) -> None:
    from surefoot.cli.screen import when

    if not rows:
        screen.note("nothing has run yet: surefoot eval run SUITE --agent NAME")
        return
    heads = ("run", "suite", "subject", "state", "verdict", "started")
    told = ((row[name] for name in ("run", "suite", "subject", "state", "verdict")) for row in rows)
    screen.table(heads, ((*cells, when(row["started_at"])) for cells, row in zip(told, rows, strict=True)))


def _cases(screen: Screen, seen: dict[str, Any]) -> None:
    from surefoot.cli.screen import short

    screen.table(("case", "severity", "tags", "judged by"), (
        (short(row["case"], 40), "draft" if row["draft"] else row["severity"], ", ".join(row["tags"]),
         ", ".join(row["scorers"]) or "nothing: errored in every run") for row in seen["cases"]
    ), wide="judged by")  # fmt: skip
    for row in seen["disabled"]:
        screen.line(f"not carried out: {row['kind']} of {row['case']} ({row['why']})", "yellow")
    for note in seen["notes"]:
        screen.note(note)


async def cancel(
    desk: Desk,
    run: RunId,
    by: Annotated[str, typer.Option(metavar="NAME", help="who cancels it (needed)")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="why (needed); the record keeps both")] = "",
) -> None:
    """Cancel a run that another process carries out; what finished is kept."""
    from surefoot.engine.run import cancel as asked

    with desk.app() as app:
        done = await asked(app.ports, run, by=by, reason=why)
    desk.give({"run": done.id, "state": done.state, "planned": done.planned},
              lambda screen: screen.line(f"{done.id} is cancelled" if done.state == "cancelled"
                                       else f"{done.id} stops when the trials in flight are done"))  # fmt: skip


async def compare(
    desk: Desk,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="the run to compare with")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="the newer run")],
) -> int:
    """Compare two runs: the paired difference, what regressed, what was fixed."""
    with desk.app() as app:
        seen = await _contrast(app, before, after)
    document = _compare_document(after, seen) | {"before": before}
    desk.give(document, lambda screen: contrasted(screen, seen))
    return {"better": 0, "worse": 1, "inconclusive": 4}[seen.word]


async def _contrast(app: App, before: str, after: str) -> Contrast:
    from surefoot.engine.reported import report

    seen = (await report(app.ports, after, against=before)).contrast
    assert seen is not None
    return seen


def _compare_document(after: str, seen: Contrast) -> dict[str, Any]:
    return {
        "before": None, "after": after, "word": seen.word, "sentence": seen.sentence, "delta": seen.delta,
        "low": seen.low, "high": seen.high, "compared": seen.compared, "gained": seen.gained, "lost": seen.lost,
        "needs": seen.needs, "left_out": seen.left_out,
        "flips": [
            {"case": f.case, "change": f.change, "before": f.before, "after": f.after, "p": f.p, "shown": f.shown,
             "severity": f.severity} for f in seen.flips if f.change != "same"
        ],
        "slices": [
            {"slice": s.name, "cases": s.tally.n, "gained": s.tally.gained, "lost": s.tally.lost, "gain": s.gain,
             "low": s.low, "high": s.high, "mark": s.mark} for s in seen.slices
        ],
    }  # fmt: skip


def contrasted(screen: Screen, seen: Contrast) -> None:
    """Show a comparison to a person."""
    from surefoot.cli.screen import percent, short

    screen.line(f"{seen.word}: {seen.sentence}", {"better": "green", "worse": "red"}.get(seen.word, "yellow"))
    if seen.delta is not None:
        screen.note(f"95 % interval {signed(seen.low)} to {signed(seen.high)}; gained {seen.gained}, lost {seen.lost}")
    flips = [flip for flip in seen.flips if flip.change != "same"]
    if flips:
        screen.table(("case", "", "before", "after", "p"), (
            (short(f.case, 60), f.change, percent(f.before), percent(f.after), f"{f.p:.2g}") for f in flips[:LISTED]
        ))  # fmt: skip
    for one in seen.slices:
        if one.mark != "clear":
            screen.line(f"{one.mark}: {one.name} {signed(one.gain)} on {one.tally.n} cases", "red")
    if seen.left_out:
        screen.note(f"{len(seen.left_out)} cases are new or changed and were left out")
