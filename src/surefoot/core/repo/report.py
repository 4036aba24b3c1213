"""Report: what a person reads in the morning: what shipped, failed, was learned, what it cost, what needs them.

Made of the lever logs, the lessons and the record; nothing in it is remembered apart. Markdown is for a file or a
ticket, HTML for a browser and safe whatever the texts are; both say the same as the terminal.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from surefoot.core.repo.lessons import RepoLesson, conflicts
from surefoot.core.repo.levers import RepoLever
from surefoot.core.repo.outcome import Entry
from surefoot.core.repo.paper import one_line

Heading = Literal["Shipped", "Failed", "Learned", "Cost", "Needs you"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a report, with the lever it is about, if it is about one."""

    text: str
    lever: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Morning:
    """The report of a span of time; `open` is how many levers are left."""

    name: str
    since: datetime
    until: datetime
    genome: str
    ticks: int
    open: int
    shipped: tuple[Row, ...] = ()
    failed: tuple[Row, ...] = ()
    learned: tuple[Row, ...] = ()
    cost: tuple[Row, ...] = ()
    needs_you: tuple[Row, ...] = ()

    @property
    def sections(self) -> tuple[tuple[Heading, tuple[Row, ...]], ...]:
        """Give the sections in the order in which they are read."""
        return (("Shipped", self.shipped), ("Failed", self.failed), ("Learned", self.learned), ("Cost", self.cost),
                ("Needs you", self.needs_you))  # fmt: skip


def morning(
    *, name: str, genome: str, levers: Sequence[RepoLever], lessons: Sequence[RepoLesson], since: datetime,
    until: datetime, usd: float, unknown_costs: int = 0, waits: Iterable[str] = (),
) -> Morning:  # fmt: skip
    """Put a report together; `usd` is what was settled in the span, `waits` is what else asks for a person."""
    noted = [(lever, one) for lever in levers for one in lever.log if since <= one.at < until]
    noted.sort(key=lambda pair: (pair[1].at, pair[1].tick))
    ticks = {one.tick for _, one in noted if one.tick}
    calls = f"; {unknown_costs} runs did not say what they cost" if unknown_costs else ""
    return Morning(
        name=name, since=since, until=until, genome=genome, ticks=len(ticks),
        open=sum(lever.status == "open" for lever in levers),
        shipped=tuple(_row(lever, one) for lever, one in noted if one.outcome == "shipped"),
        failed=tuple(_row(lever, one) for lever, one in noted if one.in_vain or one.outcome == "rolled_back"),
        learned=tuple(Row(text=f"{one.text} ({one.who})") for one in lessons if one.tick in ticks and one.tick),
        cost=(Row(text=f"{usd:.2f} USD in {len(ticks)} ticks{calls}"),),
        needs_you=(*(Row(text=text) for text in waits), *_needs(levers), *_clashes(lessons)),
    )  # fmt: skip


def _row(lever: RepoLever, one: Entry) -> Row:
    what = f" ({one.what})" if one.what else ""
    words = "" if one.outcome == "shipped" else f": {one.outcome.replace('_', ' ')}{what}"
    detail = f", {one.detail}" if one.detail else ""
    return Row(text=f"{lever.title}{words}{detail}" + (what if one.outcome == "shipped" else ""), lever=lever.id)


def _needs(levers: Sequence[RepoLever]) -> tuple[Row, ...]:
    found: list[Row] = []
    for lever in levers:
        if lever.status == "failed":
            last = lever.log[-1] if lever.log else None
            why = f"{last.outcome.replace('_', ' ')}: {last.detail}" if last else "it failed"
            found.append(Row(text=f"{lever.title}: {why}. Change it and set status: open, or close it", lever=lever.id))
    if levers and not any(lever.status == "open" for lever in levers):
        found.append(Row(text="no lever is open: add some, or let the loop rest"))
    return tuple(found)


def _clashes(lessons: Sequence[RepoLesson]) -> tuple[Row, ...]:
    return tuple(
        Row(text=f"two lessons contradict each other: “{a.text}” and “{b.text}”") for a, b in conflicts(lessons)
    )


def markdown(report: Morning) -> str:
    """Give the report as Markdown."""
    lines = [f"# {_flat(report.name)}: {_span(report)}", "", _summary(report), ""]
    for heading, rows in report.sections:
        lines += [f"## {heading}", "", *(f"- {_marked(row)}" for row in rows), *([] if rows else ["Nothing."]), ""]
    return "\n".join(lines)


def web_page(report: Morning) -> str:
    """Give the report as one HTML page that loads nothing from elsewhere."""
    style = "body{font:16px/1.5 system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}h2{margin-bottom:.2rem}"
    parts = [f"<h1>{html.escape(report.name)}</h1><p>{html.escape(_span(report))}. {html.escape(_summary(report))}</p>"]
    for heading, rows in report.sections:
        items = "".join(f"<li>{_tag(row)}</li>" for row in rows)
        parts.append(f"<h2>{heading}</h2>" + (f"<ul>{items}</ul>" if rows else "<p>Nothing.</p>"))
    head = f'<meta charset="utf-8"><title>{html.escape(report.name)}</title><style>{style}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _span(report: Morning) -> str:
    return f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC"


def _summary(report: Morning) -> str:
    return f"{report.ticks} ticks, genome {report.genome}, {report.open} levers open"


def _marked(row: Row) -> str:
    return f"**{row.lever}** {_flat(row.text)}" if row.lever else _flat(row.text)


def _tag(row: Row) -> str:
    lever = f"<b>{html.escape(row.lever)}</b> " if row.lever else ""
    return lever + html.escape(row.text)


def _flat(text: str) -> str:
    """A text on one line in which neither markup nor a link of a stranger comes alive."""
    line = one_line(text, 600)
    return "".join(f"\\{char}" if char in "\\`*_[]<>|" else char for char in line)
