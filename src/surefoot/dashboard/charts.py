"""Small pictures drawn on the server: numbers in, SVG out. Colours and widths of lines are the style sheet's.

Every picture says in words what it shows, because not everybody sees it. Only numbers become part of the drawing; the
words are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from markupsafe import Markup

from surefoot.core.dossier import Rate
from surefoot.core.figure import points
from surefoot.dashboard.words import percent

WIDE, HIGH = 132.0, 34.0
ROW, LANE, GUTTER, HANG = 60, 18, 16, 11


def sparkline(rates: Sequence[Rate], said: str) -> Markup:
    """Draw rates in their order with the band of their intervals; one without labels leaves a gap."""
    if not rates or all(one.rate is None for one in rates):
        return Markup('<svg class="spark" viewBox="0 0 132 34" role="img" aria-label="{}">{}</svg>').format(said, _BASE)
    lows = [one.low for one in rates if one.rate is not None]
    highs = [one.high for one in rates if one.rate is not None]
    low, high = max(0.0, min(lows) - 0.02), min(1.0, max(highs) + 0.02)
    step = (WIDE - 8) / max(1, len(rates) - 1)

    def at(index: int, value: float) -> str:
        return f"{4 + index * step:.1f},{HIGH - 3 - (value - low) / max(high - low, 1e-9) * (HIGH - 6):.1f}"

    runs = _runs(rates)
    drawn = _BASE if len(runs) > 1 or len(runs[0]) < len(rates) else Markup("")
    for run in runs:
        if len(run) == 1:  # a day alone has no line; its interval stands upright
            (x, top), (_, end) = (at(run[0], edge).split(",") for edge in (rates[run[0]].high, rates[run[0]].low))
            drawn += Markup('<line class="spark-lone" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(x, top, x, end)
            continue
        top = [at(i, rates[i].high) for i in run]
        bottom = [at(i, rates[i].low) for i in reversed(run)]
        line = " ".join(at(i, rates[i].rate or 0.0) for i in run)
        drawn += Markup('<polygon class="spark-band" points="{}"/><polyline class="spark-line" points="{}"/>').format(
            " ".join(top + bottom), line
        )
    last = max(i for i, one in enumerate(rates) if one.rate is not None)
    x, y = at(last, rates[last].rate or 0.0).split(",")
    drawn += Markup('<circle class="spark-dot" cx="{}" cy="{}" r="2.6"/>').format(x, y)
    return Markup('<svg class="spark" viewBox="0 0 132 34" role="img" aria-label="{}">{}</svg>').format(said, drawn)


_BASE = Markup('<line class="spark-none" x1="2" y1="32" x2="130" y2="32"/>')


def _runs(rates: Sequence[Rate]) -> list[list[int]]:
    """The indexes of neighbours that all have a rate."""
    runs: list[list[int]] = [[]]
    for index, one in enumerate(rates):
        if one.rate is None:
            runs.append([])
        else:
            runs[-1].append(index)
    return [run for run in runs if run]


def interval(rate: Rate, *, most: float, tone: str, name: str) -> Markup:
    """Draw a rate as a point with its interval on a scale from 0 to `most`."""
    if rate.rate is None:
        said = f"{name}: no labels yet"
        return Markup(
            '<svg class="interval" viewBox="0 0 200 14" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
        ).format(said, Markup('<line class="axis" x1="0" y1="7" x2="200" y2="7"/>'))
    low, middle, high = (200 * min(1.0, value / max(most, 1e-9)) for value in (rate.low, rate.rate, rate.high))
    said = f"{name}: {percent(rate.rate)}, 95 % interval {percent(rate.low)} to {percent(rate.high)}, n {rate.labels}"
    return Markup(
        '<svg class="interval {}" viewBox="0 0 200 14" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<line class="axis" x1="0" y1="7" x2="200" y2="7"/>'
        '<rect class="band" x="{:.1f}" y="3" width="{:.1f}" height="8"/>'
        '<line class="point" x1="{:.1f}" x2="{:.1f}" y1="0" y2="14"/></svg>'
    ).format(tone, said, low, max(1.0, high - low), middle, middle)


def difference(low: float, middle: float, high: float, *, most: float, name: str) -> Markup:
    """Draw a difference with its interval around zero, on a scale from -most to most; right of zero is worse."""
    scale = max(most, 1e-9)
    a, b, c = (100 + 100 * max(-1.0, min(1.0, value / scale)) for value in (low, middle, high))
    tone = "worse" if low > 0 else "better" if high < 0 else "open"
    said = f"{name}: difference {points(middle, 1)} points, interval {points(low, 1)} to {points(high, 1)}"
    return Markup(
        '<svg class="interval diff {}" viewBox="0 0 200 14" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<line class="axis" x1="0" y1="7" x2="200" y2="7"/><line class="zero" x1="100" y1="0" x2="100" y2="14"/>'
        '<rect class="band" x="{:.1f}" y="3" width="{:.1f}" height="8"/>'
        '<line class="point" x1="{:.1f}" x2="{:.1f}" y1="0" y2="14"/></svg>'
    ).format(tone, said, a, max(1.0, c - a), b, b)


def contrast(low: float, middle: float, high: float) -> Markup:
    """Draw a paired difference of pass rates with its interval around zero; right of zero is better."""
    most = max(0.1, abs(low), abs(high))
    a, b, c = (100 + 100 * value / most for value in (low, middle, high))
    tone = "better" if low > 0 else "worse" if high < 0 else "open"
    said = (
        f"difference {100 * middle:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}, right is better"
    )
    return Markup(
        '<svg class="interval diff {}" viewBox="0 0 200 14" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<line class="axis" x1="0" y1="7" x2="200" y2="7"/><line class="zero" x1="100" y1="0" x2="100" y2="14"/>'
        '<rect class="band" x="{:.1f}" y="3" width="{:.1f}" height="8" rx="2"/>'
        '<rect class="point" x="{:.1f}" y="0" width="3" height="14" rx="1"/></svg>'
    ).format(tone, said, a, max(1.0, c - a), max(0.0, b - 1.5))


def meter(value: float, limit: float, *, tone: str, said: str) -> Markup:
    """Draw evidence against its threshold, both on a logarithmic scale that begins at 1/10 and ends at the limit."""
    low, top = log10(0.1), log10(max(limit, 1.001))
    share = (log10(max(value, 0.1)) - low) / max(top - low, 1e-9)
    wide = 200 * max(0.0, min(1.0, share))
    one = 200 * (0 - low) / max(top - low, 1e-9)
    return Markup(
        '<svg class="meter {}" viewBox="0 0 200 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="track" x="0" y="0" width="200" height="8"/>'
        '<rect class="fill" x="0" y="0" width="{:.1f}" height="8"/>'
        '<line class="one" x1="{:.1f}" y1="0" x2="{:.1f}" y2="8"/></svg>'
    ).format(tone, said, wide, one, one)


def bar(share: float, *, said: str, tone: str = "") -> Markup:
    """Draw a share of a whole, from 0 to 1."""
    return Markup(
        '<svg class="bar {}" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="track" width="100" height="6"/>'
        '<rect class="fill" width="{:.2f}" height="6"/></svg>'
    ).format(tone, said, 100 * max(0.0, min(1.0, share)))


def columns(counts: Sequence[int], *, said: str) -> Markup:
    """Draw counts in their order, oldest first, beside the largest of them."""
    most, step = max([*counts, 1]), 64 / max(1, len(counts))
    drawn = Markup("").join(
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1"/>').format(
            at * step, 18 - (high := max(1.5, 18 * one / most)), step - 2, high
        )
        for at, one in enumerate(counts)
    )  # fmt: skip
    return Markup('<svg class="columns" viewBox="0 0 64 18" role="img" aria-label="{}">{}</svg>').format(said, drawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A version in the picture of the lineage: its row from the top and its lane (0: the trunk of those that served).

    `bus` is the lane in which the line to its parent goes down, shared by all children of that parent; 0 is straight.
    """

    row: int
    lane: int
    bus: int
    tone: str
    parent_row: int | None
    parent_lane: int
    has_parent: bool


def lineage(nodes: Sequence[Node], rows: int) -> Markup:
    """Draw who came from whom, newest on top: one row each, beside a list with rows of the same height.

    A version beside the trunk hangs at the side of its lane, so that a line that passes it is not taken for its own.
    """
    lanes = max((max(one.lane, one.bus) for one in nodes), default=0)
    wide, high = GUTTER * 2 + LANE * lanes + (HANG if lanes else 0), ROW * rows
    drawn = Markup("")
    for one in nodes:
        if one.has_parent:
            drawn += Markup('<path class="edge {}" d="{}"/>').format(one.tone, _way(one, high))
    for one in nodes:
        x, y = _spot(one.row, one.lane)
        drawn += Markup('<circle class="node {}" cx="{}" cy="{}" r="5.5"/>').format(one.tone, x, y)
    return Markup('<svg class="lineage" width="{}" height="{}" viewBox="0 0 {} {}" aria-hidden="true">{}</svg>').format(
        wide, high, wide, high, drawn
    )


def _spot(row: int, lane: int) -> tuple[int, int]:
    return GUTTER + LANE * lane + (HANG if lane else 0), ROW * row + ROW // 2


def _way(one: Node, bottom: int) -> str:
    """The line from a version to its parent, or down and out of the picture."""
    x, y = _spot(one.row, one.lane)
    bus = GUTTER + LANE * one.bus
    begin = f"M{x},{y}" if bus == x else f"M{x},{y} Q{bus},{y} {bus},{y + 10}"
    if one.parent_row is None:
        return f"{begin} L{bus},{bottom}"
    px, py = _spot(one.parent_row, one.parent_lane)
    if bus == px:
        return f"{begin} L{px},{py}"
    return f"{begin} L{bus},{py - 22} C{bus},{py - 6} {px},{py - 18} {px},{py - 5}"


def mark(name: str) -> Markup:
    """Give one of our signs as a picture without words; the words stand beside it."""
    return Markup('<svg class="mark" viewBox="0 0 16 16" aria-hidden="true">{}</svg>').format(_MARKS[name])


_MARKS = {name: Markup(drawn) for name, drawn in {  # noqa: S704  our own drawings
    "ok": '<circle cx="8" cy="8" r="6.2"/><path d="M5.2 8.3l2 2 3.7-4.2"/>',
    "canary": '<circle cx="8" cy="8" r="6.2"/><path d="M8 1.8a6.2 6.2 0 0 1 6.2 6.2H8z" class="solid"/>',
    "asks": '<circle cx="8" cy="8" r="6.2"/><path d="M6.3 6.3a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.9.7-.9 1.3M8 11.4v.1"/>',
    "frozen": '<path d="M8 1.5v13M2.4 4.8l11.2 6.4M13.6 4.8L2.4 11.2"/>',
    "bad": '<circle cx="8" cy="8" r="6.2"/><path d="M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6"/>',
    "back": '<path d="M6 3.5L2.5 7 6 10.5M2.8 7h6.4a4 4 0 0 1 0 6H7"/>',
    "idle": '<circle cx="8" cy="8" r="6.2"/><path d="M5 8h6"/>',
    "wait": '<circle cx="8" cy="8" r="6.2"/><path d="M8 4.6V8l2.4 1.6"/>',
    "stop": '<rect x="3" y="3" width="10" height="10" rx="1.6"/>',
    "shield": '<path d="M8 1.6l5.2 1.9v4c0 3.2-2.1 5.6-5.2 6.9-3.1-1.3-5.2-3.7-5.2-6.9v-4z"/>',
    "warn": '<path d="M8 2.2l6.2 11H1.8zM8 6.6v3M8 11.5v.1"/>',
    "agents": '<circle cx="8" cy="5" r="2.6"/><path d="M2.8 13.6c.5-3 2.5-4.4 5.2-4.4s4.7 1.4 5.2 4.4"/>',
    "approvals": '<path d="M3 2.8h10v10.4H3zM5.4 7.9l1.8 1.8 3.4-3.7"/>',
    "audit": '<path d="M3.5 2h9v12h-9zM5.8 5h4.4M5.8 7.7h4.4M5.8 10.4h2.6"/>',
    "print": '<path d="M4.5 6V2h7v4M4.5 11.5h-2V6h11v5.5h-2M4.5 9.5h7V14h-7z"/>',
    "runs": '<path d="M2.5 4h7M2.5 8h11M2.5 12h4.5"/><circle class="solid" cx="12.2" cy="4" r="1.4"/>',
    "health": '<path d="M1.8 8.4h3l1.7-4.2 2.8 7.8 1.9-3.6h3"/>',
    "copy": '<rect x="5.2" y="5.2" width="8.3" height="8.3" rx="1.4"/><path d="M10.8 5V2.5H2.5v8.3H5"/>',
}.items()}  # fmt: skip
