"""`eval label`: judge blind what a judge judged, one answer a call, and see what the judge is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.exam.calibration import Share
    from surefoot.engine.labelled import Blind, Worth

_KEYS = "run next worth left"


def register(group: typer.Typer) -> None:
    """Add this command."""
    command(group, "label", keys=_KEYS)(label)


async def label(
    desk: Desk,
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's id")],
    by: Annotated[str, typer.Option(metavar="NAME", help="who judges")] = "",
    verdict: Annotated[str, typer.Option(metavar="pass|fail", help="your word on the answer that is shown next")] = "",
    case: Annotated[str, typer.Option(metavar="ID", help="the case you judge, as it was shown")] = "",
    queue: Annotated[
        bool, typer.Option("--queue", help="what the judge could not decide, instead of a sample")
    ] = False,
    note: Annotated[str, typer.Option(metavar="TEXT", help="why; it is kept")] = "",
) -> None:
    """Judge blind what a judge judged; without --by, show its worth.

    Answers are drawn by lot. You see case, criterion and answer, never what the judge said.
    """
    from surefoot.core.errors import Conflict, Invalid
    from surefoot.engine.labelled import label as kept
    from surefoot.engine.labelled import next_blind, worth

    drawn: Literal["sample", "queue"] = "queue" if queue else "sample"
    if verdict not in ("", "pass", "fail"):
        raise Invalid(f"the verdict is {verdict!r}", hint="say --verdict pass or --verdict fail")
    with desk.app() as app:
        shown = await next_blind(app.ports, run, by=by, drawn=drawn) if by else None
        if verdict:
            if shown is None:
                raise Conflict("nothing waits for this label", hint="say who you are with --by NAME")
            if case != shown.case.id:
                raise Conflict(f"next is {shown.case.id!r}", hint=f"look at it, then say --case {shown.case.id}")
            await kept(app.ports, run, shown.case.id, shown.epoch, shown.scorer, passed=verdict == "pass", by=by,
                       drawn=drawn, note=note)  # fmt: skip
            shown = await next_blind(app.ports, run, by=by, drawn=drawn)
        seen = None if by else await worth(app.ports, run)
    document: dict[str, Any] = {
        "run": run, "next": _blind(shown) if shown else None, "worth": _worth(seen) if seen else None,
        "left": shown.left if shown else 0,
    }  # fmt: skip
    desk.give(document, lambda screen: _page(screen, shown, seen, run, by))


def _blind(shown: Blind) -> dict[str, Any]:
    return {
        "case": shown.case.id, "epoch": shown.epoch + 1, "scorer": shown.scorer, "criterion": shown.criterion,
        "input": shown.case.text, "expected": shown.case.expected, "answer": shown.observed.transcript(),
    }  # fmt: skip


def _worth(seen: Worth) -> dict[str, Any]:
    found, rate = seen.calibration, seen.corrected
    return {
        "judge": seen.judge, "pin": seen.pin, "labels": seen.labels, "n": found.n, "abstained": found.abstained,
        "queue": seen.queue, "tpr": _share(found.tpr), "tnr": _share(found.tnr),
        "kappa": {"value": found.kappa, "low": found.kappa_low, "high": found.kappa_high},
        "rate": rate and {"observed": rate.observed, "corrected": rate.value, "low": rate.low, "high": rate.high,
                          "why": rate.why},
    }  # fmt: skip


def _share(one: Share) -> dict[str, Any]:
    return {"value": one.value, "n": one.n, "low": one.low, "high": one.high}


def _page(screen: Screen, shown: Blind | None, seen: Worth | None, run: str, by: str) -> None:
    from surefoot.cli.screen import percent

    if seen is not None:
        found, rate = seen.calibration, seen.corrected
        screen.title(f"{seen.judge or 'no judge'}, against {seen.labels} labels of people")
        screen.fields((
            *((name, f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)}, n = {one.n})")
              for name, one in (("TPR", found.tpr), ("TNR", found.tnr))),
            ("kappa", "-" if found.kappa is None else
             f"{found.kappa:.2f} ({found.kappa_low:.2f} to {found.kappa_high:.2f}, n = {found.n})"),
            ("pass rate", "" if rate is None else f"{percent(rate.observed)} as judged, " + (
                rate.why if rate.value is None
                else f"{percent(rate.value)} corrected ({percent(rate.low)} to {percent(rate.high)})")),
            ("undecided", f"{seen.queue} wait for people: --queue" if seen.queue else ""),
        ))  # fmt: skip
    elif shown is None:
        screen.note("nothing waits for your label")
    else:
        screen.title(f"{shown.case.id}, one of {shown.left}")
        screen.fields((("asked", shown.case.text), ("expected", shown.case.expected or ""),
                       ("answer", shown.observed.transcript()), ("criterion", shown.criterion)))  # fmt: skip
        screen.note(f"surefoot eval label {run} --by {by} --case {shown.case.id} --verdict pass|fail")
