"""One request: who answered it, what became of it, and its steps as a tree beside their time.

The address holds what is open: the step, how texts are laid out, whether they are hidden, and which of many steps are
on the page. Of a request with thousands of steps a page shows `ROWS`, and its bars lie within the time of those; the
bar of the step that is open lies within the whole request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from surefoot.core.backlog import trait
from surefoot.core.calls import Call
from surefoot.core.errors import Invalid
from surefoot.core.otel import written
from surefoot.core.outline import Extent
from surefoot.core.score import Outcome
from surefoot.core.span import Span
from surefoot.core.trace import Trace
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.dashboard.texts import LAYOUTS, Layout, Reading, Shown, laid_out, layout_of, reading
from surefoot.engine.unfold import ROWS, Judgement, Part, Unfolded, unfold

LEAST = 0.002  # of the whole time, so that a bar can be seen
MOST_ATTRIBUTES, MOST_CHARS = 80, 400
MOST_CALLS_SHOWN, CALL_CHARS = 12, 240
STILL = ("chip:traces",)  # these pages are told when the connection is lost, and do not move by themselves
TONES: Mapping[str, str] = {"success": "ok", "failure": "bad", "unknown": "idle"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A step as a line: `left` and `wide` are where its bar lies, in thousandths of the time that is shown.

    `href` opens it, and keeps how the page is looked at.
    """

    id: str
    href: str
    name: str
    kind: str
    status: str
    agent: str
    model: str
    depth: int
    below: int
    left: float
    wide: float
    latency_s: float | None
    cost_usd: float
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The step that is open: its place in time, its texts, its attributes, its events, and the calls below it."""

    row: Row
    starts_s: float
    message: str
    asked: Shown
    answered: Shown
    attributes: tuple[tuple[str, str], ...]
    resource: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePage:
    """A request as it is shown; `here` is its address, `kept` what links to its steps carry on.

    `scale` says in seconds after the first step where the time that the bars are within begins, is half over, and ends.
    """

    trace: Trace
    verdict: str
    tone: str
    version_state: str
    outcomes: tuple[Outcome, ...]
    counts: int
    judgements: tuple[Judgement, ...]
    reading: Reading
    layout: Layout | None
    asked: Shown
    answered: Shown
    rows: tuple[Row, ...]
    total: int
    first: int
    earlier: int | None
    later: int | None
    errors: int
    broken: tuple[str, ...]
    took_s: float
    scale: tuple[float, ...]
    more: bool
    chosen: Open | None
    calls: tuple[Call, ...]
    calls_left: int
    before: str
    after: str
    symptom: str
    trait: str
    lever: str
    lever_title: str
    here: str
    kept: str
    links: Mapping[str, str]
    copies: Copies
    case_copies: Copies


async def screen(asking: Asking) -> Page:
    """Show a request; `span` opens a step, `as` lays texts out, `from` turns the page, `texts=hidden` hides them."""
    trace_id, layout = asking.part("trace"), layout_of(asking)
    if asking.query("as") and layout is None:
        raise Invalid(f"there is no layout {asking.query('as')[:40]!r}", hint=f"there are {', '.join(LAYOUTS)}")
    whole = await unfold(
        asking.ports, trace_id, sees=asking.visitor.sees, reads=lambda agent: reading(asking, agent).shown,
        span_id=asking.query("span"), first=asking.number("from"),
    )  # fmt: skip
    model = page_of(whole, reading(asking, whole.found.trace.agent), layout, state=_state(asking))
    agent = whole.found.trace.agent
    return Page(template="trace.html", model=model, title=f"Trace of {agent}", place="agents", agent=agent,
                tab="traces", live=STILL)  # fmt: skip


def page_of(whole: Unfolded, read: Reading, layout: Layout | None, *, state: Mapping[str, str]) -> TracePage:
    """Give the page of what was gathered; `state` is what the address says."""
    trace = whole.found.trace
    following = whole.first + ROWS
    chosen = next((one for one in whole.parts if whole.chosen and one.span.span_id == whole.chosen), None)
    here = f"/traces/{quote(trace.id, safe='')}"
    kept = "".join(f"&{urlencode({name: state[name]})}" for name in ("as", "texts") if name in state)
    lane, opens = _lane(whole.parts), f"{here}?span="
    calls = tuple(_short(one) for one in whole.calls[:MOST_CALLS_SHOWN])
    return TracePage(
        trace=trace, verdict=whole.found.verdict, tone=TONES[whole.found.verdict],
        version_state=whole.version.state if whole.version else "", outcomes=whole.outcomes,
        counts=whole.counts, judgements=whole.judgements,
        reading=read, layout=layout, asked=laid_out(trace.input, layout), answered=laid_out(trace.output, layout),
        rows=tuple(_row(one, lane, f"{opens}{one.span.span_id}{kept}") for one in whole.parts),
        total=whole.total, first=whole.first,
        earlier=max(0, whole.first - ROWS) if whole.first else None,
        later=following if following < whole.total else None, errors=whole.errors, broken=whole.broken,
        took_s=(whole.extent.ended - whole.extent.began) / 1e9, scale=_scale(lane, whole.extent), more=whole.more,
        chosen=_open(chosen, whole.extent, layout, f"{opens}{whole.chosen}{kept}") if chosen else None, calls=calls,
        calls_left=len(whole.calls) - len(calls), before=whole.before, after=whole.after, symptom=whole.symptom,
        trait=trait(whole.symptom),
        lever=whole.lever.id if whole.lever else "",
        lever_title=(whole.lever.title or whole.lever.gap) if whole.lever else "",
        here=here, kept=kept, links=_links(here, state, whole),
        copies=copies(("trace", trace.id), "GET", f"/api/v1/traces/{quote(trace.id, safe='')}"),
        case_copies=copies(("failures", trace.agent, "--add-case", trace.id, "--expected", "ANSWER", "--by", "NAME"),
                           "POST", f"/api/v1/agents/{trace.agent}/cases",
                           {"trace_id": trace.id, "expected": "what is right"}),
    )  # fmt: skip


def _state(asking: Asking) -> dict[str, str]:
    return {name: value for name in ("span", "as", "from", "texts") if (value := asking.query(name))}


def _links(here: str, state: Mapping[str, str], whole: Unfolded) -> dict[str, str]:
    """Where the page's own links lead: each changes one thing of the address and keeps the others."""
    turned = {name: value for name, value in state.items() if name != "span"}
    made = {f"as_{one}": {**state, "as": one} for one in LAYOUTS} | {
        "as_it_fits": {name: value for name, value in state.items() if name != "as"}, "close": turned,
        "hide": {**state, "texts": "hidden"}, "show": {**state, "texts": "shown"},
        "earlier": {**turned, "from": str(max(0, whole.first - ROWS))},
        "later": {**turned, "from": str(whole.first + ROWS)},
    }  # fmt: skip
    return {name: f"{here}?{urlencode(one)}" if one else here for name, one in made.items()}


def _lane(parts: Sequence[Part]) -> Extent:
    """From when to when what is on the page went on."""
    if not parts:
        return Extent(0, 0)
    return Extent(
        min(one.span.started_ns for one in parts), max(max(one.span.started_ns, one.span.ended_ns) for one in parts)
    )


def _scale(lane: Extent, whole: Extent) -> tuple[float, ...]:
    return tuple((at - whole.began) / 1e9 for at in (lane.began, (lane.began + lane.ended) // 2, lane.ended))


def _row(part: Part, whole: Extent, href: str) -> Row:
    span = part.span
    begins = whole.share(span.started_ns)
    left = min(begins, 1 - LEAST)
    wide = max(LEAST, whole.share(max(span.ended_ns, span.started_ns)) - begins)
    return Row(
        id=span.span_id, href=href, name=span.name, kind=span.kind, status=span.status, agent=span.agent,
        model=span.model, depth=part.depth, below=part.below, left=round(1000 * left, 1), wide=round(1000 * wide, 1),
        latency_s=span.latency_s if span.ended_ns else None, cost_usd=span.cost_usd, tokens_in=span.tokens_in,
        tokens_out=span.tokens_out,
    )  # fmt: skip


def _open(part: Part, whole: Extent, layout: Layout | None, href: str) -> Open:
    span = part.span
    return Open(
        row=_row(part, whole, href), starts_s=(span.started_ns - whole.began) / 1e9, message=span.message[:2_000],
        asked=laid_out(span.input, layout), answered=laid_out(span.output, layout),
        attributes=_table(_others(span)), resource=_table(span.resource),
        events=tuple((one.name, (one.at_ns - span.started_ns) / 1e9) for one in span.events[:MOST_ATTRIBUTES]),
    )  # fmt: skip


def _others(span: Span) -> Mapping[str, Any]:
    """The attributes, without those that are the input or the output word for word: they stand above."""
    return {
        name: value for name, value in span.attributes.items() if not value or value not in (span.input, span.output)
    }


def _table(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    listed = sorted(attributes.items())[:MOST_ATTRIBUTES]
    return tuple((name[:MOST_CHARS], _cut(written(value), MOST_CHARS)) for name, value in listed)


def _short(call: Call) -> Call:
    return replace(call, arguments=_cut(call.arguments, CALL_CHARS), result=_cut(call.result, CALL_CHARS))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"
