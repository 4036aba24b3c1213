"""A comment for a pull request: the verdict, regressions first, and no more than a reader takes in.

Everything that an agent or a file said is data: it stands in code marks that it cannot close, and nobody is notified
by an @ in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from surefoot.core.exam.contrast import Contrast, Flip
from surefoot.core.exam.report import Report
from surefoot.core.figure import percent, signed

ROWS = 20
_SIGNS = {
    "pass": "✅ pass", "fail": "❌ fail", "too_many_errored": "⚠️ too many errored",
    "inconclusive": "❔ inconclusive", "cancelled": "⏹ cancelled",
}  # fmt: skip


def markdown(report: Report) -> str:
    """Give the comment."""
    lines = [
        f"### Evals: {_SIGNS[report.verdict.word]}", "", f"{_plain(report.verdict.sentence)}", "",
        *_table(("suite", "subject", "passed", "failed", "errored", "undecided", "quarantined"), [_counts(report)]),
    ]  # fmt: skip
    if report.contrast is not None:
        lines += _compared(report.contrast)
    lines += _failing(report)
    spent = report.spent
    money = f", US$ {spent.cost.usd:.4f}" if spent.known else ", cost not fully known"
    lines += ["", f"<sub>run {_code(report.run.id)}: {spent.answers} answers, {spent.cost.calls} calls{money}</sub>"]
    return "\n".join(lines) + "\n"


def _counts(report: Report) -> Sequence[str]:
    tally = report.verdict.counts
    return (
        _code(report.suite.name), _code(report.run.subject), str(tally["passed"]), str(tally["failed"]),
        str(tally["errored"]), str(tally["abstained"]), str(len(report.verdict.quarantined)),
    )  # fmt: skip


def _compared(seen: Contrast) -> Iterator[str]:
    yield ""
    interval = f"95 % interval {signed(seen.low)} to {signed(seen.high)}"
    between = "" if seen.delta is None else f" ({signed(seen.delta)}, {interval})"
    yield f"**Against the baseline: {seen.word}**{between}. {_plain(seen.sentence)}"
    for what in ("regressed", "flaky", "fixed"):
        flips = [flip for flip in seen.flips if flip.change == what]
        if flips:
            yield from ("", f"{what.capitalize()}: {len(flips)}", "")
            yield from _table(("case", "before", "after", "p"), (_flip(flip) for flip in flips[:ROWS]))
            yield from _more(len(flips))
    blocked = [one for one in seen.slices if one.mark != "clear"]
    if blocked:
        yield from ("", "Slices that lost:", "")
        yield from _table(("slice", "cases", "gain", "mark"), (
            (_code(one.name), str(one.tally.n), signed(one.gain), one.mark) for one in blocked[:ROWS]
        ))  # fmt: skip


def _flip(flip: Flip) -> Sequence[str]:
    must = " **must**" if flip.severity == "must" else ""
    return (f"{_code(flip.case)}{must}", _share(flip.before), _share(flip.after), f"{flip.p:.2g}")


def _failing(report: Report) -> Iterator[str]:
    held = set(report.verdict.quarantined)
    musts = {case.id for case in report.suite.cases if case.severity == "must"}
    rows = [one for one in report.results.values() if one.standing != "passed" and one.id not in held]
    rows.sort(key=lambda one: (one.id not in musts, one.standing != "failed", one.id))
    if rows:
        yield from ("", "<details><summary>Cases that did not pass</summary>", "")
        yield from _table(("case", "standing", "why"), (
            (_code(one.id) + (" **must**" if one.id in musts else ""), one.standing,
             _code(one.notes[0]) if one.notes else "") for one in rows[:ROWS]
        ))  # fmt: skip
        yield from _more(len(rows))
        yield from ("", "</details>")


def _more(count: int) -> Iterator[str]:
    if count > ROWS:
        yield from ("", f"… and {count - ROWS} more")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _share(value: float | None) -> str:
    return "-" if value is None else percent(value, 0)


def _code(text: str) -> str:
    """Give a text as code that it cannot leave, also within a table."""
    line = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    line = "".join(char if char.isprintable() else "?" for char in line)
    return f"`{line[:160] or ' '}`"


def _plain(text: str) -> str:
    """Give a sentence of ours that may name cases of somebody's, with nothing in it that Markdown acts on."""
    line = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\`*_[]<>|~#!" else char for char in line).replace("@", "@\u200b")
