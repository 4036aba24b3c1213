"""Requests: an agent's, newest first, by everything that the search knows; and those of one session in their order.

The address holds the filter and the place in the list. A filter that no index answers is tried on a bounded stretch of
requests, so a page may be short, even empty, and still have a next one; it then says so. New requests move no row: a
page asks how many there are by now, and says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import nan
from typing import cast, get_args
from urllib.parse import quote, urlencode

from surefoot.core.agent import Agent
from surefoot.core.errors import Invalid
from surefoot.core.mask import masked_trace
from surefoot.core.score import Verdict
from surefoot.core.sought import STRETCH, Found, SessionFound, Sought, Spot, moment
from surefoot.core.token import must_may
from surefoot.core.trace import Arm
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.dashboard.texts import Reading, reading
from surefoot.dashboard.trace import STILL, TONES
from surefoot.engine import find

ROWS, TURNS = 100, 50
EXCERPT, TURN_CHARS = 160, 4_000
MOST_FRESH = 99
_VERSION = re.compile("v?[1-9][0-9]{0,8}")
FINISHES = ("stop", "length", "refused", "error", "truncated")
_FIELDS = ("text", "version", "arm", "verdict", "finish", "session", "actor", "slice", "since", "until", "slower_s",
           "costlier_usd")  # fmt: skip
_OPTIONS = {"slower_s": "--slower", "costlier_usd": "--costlier"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request in a list, its texts no longer than they are shown."""

    found: Found
    tone: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """A page of requests; `fields` is the filter as it was written, `after` where the next page begins.

    `looked` says how many requests a page looks at with this filter (0: as many as it takes), `fresh` where the page
    asks whether there are new ones.
    """

    agent: str
    rows: tuple[Line, ...]
    fields: Mapping[str, str]
    filtered: bool
    newest: bool
    after: str
    looked: int
    any_at_all: bool
    fresh: str
    query: str
    reading: Reading
    finishes: tuple[str, ...]
    copies: Copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """How many requests have come since a page was made, at most `MOST_FRESH` and one more."""

    agent: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation: how each agent served it, and a page of its requests, the oldest first."""

    name: str
    agents: tuple[SessionFound, ...]
    rows: tuple[Line, ...]
    newest: bool
    after: str
    here: str
    readings: Mapping[str, Reading]
    copies: Copies


async def screen(asking: Asking) -> Page:
    """Show an agent's requests as filtered; `after` turns the page."""
    agent = await asking.agent()
    fields = _fields(asking)
    sought, read = sought_of(asking, agent, fields), reading(asking, agent.name)
    at = asking.query("after")
    page = await find.traces(
        asking.ports, sought, sees=asking.visitor.sees, after=Spot.read(at) if at else None, limit=ROWS
    )
    query = urlencode(fields)
    rows = tuple(_line(one, read, EXCERPT) for one in page.found)
    known = bool(rows) or await asking.ports.store.read(lambda tx: tx.traces.last_at(agent.name) is not None)
    model = Traces(
        agent=agent.name, rows=rows, fields={name: fields.get(name, "") for name in _FIELDS},
        filtered=bool(fields), newest=not at, after=str(page.next) if page.next else "", any_at_all=known,
        looked=STRETCH[sought.scan], fresh="" if at else _fresh_address(agent.name, rows, query), query=query,
        reading=read, finishes=FINISHES, copies=_copies(sought, fields),
    )  # fmt: skip
    return Page(template="traces.html", model=model, title=f"Traces of {agent.name}", place="agents",
                agent=agent.name, tab="traces", live=STILL)  # fmt: skip


async def fresh(asking: Asking) -> Page:
    """Say how many requests of this filter have come after the newest one of a page."""
    agent, spot = await asking.agent(), Spot.read(asking.query("newest"))
    sought = sought_of(asking, agent, _fields(asking))
    since = max(spot.at, sought.since) if sought.since else spot.at
    count = 0
    if sought.until is None or since < sought.until:
        page = await find.traces(
            asking.ports, replace(sought, since=since), sees=asking.visitor.sees, limit=MOST_FRESH + 2
        )
        count = sum(Spot(one.trace.at, one.trace.id) > spot for one in page.found)
    return Page(template="fresh.html", model=Fresh(agent=agent.name, count=min(count, MOST_FRESH + 1)),
                title="New requests", place="agents", agent=agent.name)  # fmt: skip


async def session(asking: Asking) -> Page:
    """Show a session, its newest requests in the order in which they came; `after` goes back in time."""
    name, at = asking.part("session"), asking.query("after")
    known, page = await find.session(
        asking.ports, name, sees=asking.visitor.sees, after=Spot.read(at) if at else None, limit=TURNS
    )
    readings = {one.agent: reading(asking, one.agent) for one in known}
    path = quote(name, safe="")
    model = Session(
        name=name, agents=tuple(known), here=f"/sessions/{path}", readings=readings,
        rows=tuple(_line(one, readings[one.trace.agent], TURN_CHARS) for one in reversed(page.found)), newest=not at,
        after=str(page.next) if page.next else "",
        copies=copies(("traces", known[0].agent, "--session", name), "GET", f"/api/v1/sessions/{path}"),
    )  # fmt: skip
    return Page(template="session.html", model=model, title=f"Session {name[:60]}", place="agents",
                agent=known[0].agent, tab="traces", live=STILL)  # fmt: skip


def sought_of(asking: Asking, agent: Agent, fields: Mapping[str, str]) -> Sought:
    """Read the filter; Invalid for what is none, Forbidden to search texts for who may not read them."""
    if fields.get("text") and not asking.visitor.reads(agent.name):
        must_may(asking.visitor.token, "read", agent=agent.name)
    return Sought(
        agent=agent.name, text=fields.get("text", ""), version=_version(fields),
        arm=cast("Arm | None", _one_of("arm", fields, get_args(Arm))),
        verdict=cast("Verdict | None", _one_of("verdict", fields, get_args(Verdict))),
        finish=fields.get("finish", ""), session=fields.get("session", ""), actor=fields.get("actor", ""),
        slices=_slices(fields.get("slice", "")), since=moment(fields.get("since", ""), asking.now),
        until=moment(fields.get("until", ""), asking.now), slower_s=_number("slower_s", fields),
        costlier_usd=_number("costlier_usd", fields),
    )  # fmt: skip


def _fields(asking: Asking) -> dict[str, str]:
    return {name: value for name in _FIELDS if (value := asking.query(name).strip())}


def _number(name: str, fields: Mapping[str, str]) -> float | None:
    """A number that is not below 0; Invalid for anything else."""
    text = fields.get(name, "")
    try:
        value = float(text) if text else None
    except ValueError:
        value = nan
    if value is not None and not 0 <= value <= 1e9:
        raise Invalid(f"{name} is {text[:40]!r}, which is no number from 0 on", hint="write it as 0.5")
    return value


def _version(fields: Mapping[str, str]) -> int | None:
    """A version, such as 3 or v3."""
    text = fields.get("version", "")
    if text and not _VERSION.fullmatch(text):
        raise Invalid(f"version is {text[:40]!r}, which is no version", hint="write it as 3 or v3")
    return int(text.removeprefix("v")) if text else None


def _one_of(name: str, fields: Mapping[str, str], known: tuple[str, ...]) -> str | None:
    text = fields.get(name, "")
    if text and text not in known:
        raise Invalid(f"{name} is {text[:40]!r}, which there is not", hint=f"there are {', '.join(known)}")
    return text or None


def _slices(text: str) -> dict[str, str]:
    """Traits as `name=value`, more than one with a comma between; Invalid for what names no value."""
    found: dict[str, str] = {}
    for pair in filter(None, (one.strip() for one in text.split(","))):
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals):
            raise Invalid(f"slice {pair[:60]!r} names no value", hint="write it as name=value")
        found[name.strip()] = value.strip()
    return found


def _line(found: Found, read: Reading, most: int) -> Line:
    trace = found.trace
    shown = replace(trace, input=trace.input[:most], output=trace.output[:most]) if read.shown else masked_trace(trace)
    return Line(
        found=replace(found, trace=shown), tone=TONES[found.verdict], href=f"/traces/{quote(trace.id, safe='')}"
    )


def _fresh_address(agent: str, rows: tuple[Line, ...], query: str) -> str:
    if not rows:
        return ""
    newest = rows[0].found.trace
    told = urlencode({"newest": str(Spot(newest.at, newest.id))})
    return f"/agents/{agent}/traces/fresh.json?{told}{'&' if query else ''}{query}"


def _copies(sought: Sought, fields: Mapping[str, str]) -> Copies:
    """The same search on the command line and by the API, which takes moments in full."""
    pairs = [(name, value) for name, value in fields.items() if name != "slice"]
    traits = [("slice", f"{name}={value}") for name, value in sought.slices.items()]
    words = [word for name, value in [*pairs, *traits] for word in (_OPTIONS.get(name, f"--{name}"), value)]
    exact = {"version": str(sought.version), "since": _written(sought.since), "until": _written(sought.until)}
    query = urlencode([(name, exact.get(name, value)) for name, value in [*pairs, *traits]])
    path = f"/api/v1/agents/{sought.agent}/traces"
    return copies(("traces", sought.agent, *words), "GET", f"{path}?{query}" if query else path)


def _written(at: datetime | None) -> str:
    return at.isoformat() if at else ""
