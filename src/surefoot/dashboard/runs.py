"""Runs: all long work, in progress and done, in the order in which it began.

No row moves: work that ends stays where it stands. What began after the page was opened is counted at the top, and
shown when somebody asks for it; until then a live page looks again only at what it shows.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast, get_args
from urllib.parse import urlencode

from surefoot.core.errors import Invalid
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.compare import cancelling
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.dashboard.words import money, plain
from surefoot.engine.survey import KINDS, Undertaking, newest, survey
from surefoot.ports.trends import WorkKind, WorkSpot

ROWS, MOST_NEW = 50, 100
TONES = {
    "running": "canary", "cancelling": "warn", "stale": "bad", "done": "ok", "failed": "bad", "cancelled": "idle",
    "stopped": "warn", "lost": "bad",
}  # fmt: skip
SAID: dict[WorkKind, str] = {"eval": "evals", "tick": "ticks", "job": "other work"}
JOBS = {"evaluate": "gate", "eval": "eval", "tick": "tick"}
COPIES = {  # only where a command and a request list the same; nothing else lists all kinds, or the ticks of all agents
    "eval": copies(("eval", "list"), "GET", "/api/v1/evals"), "job": copies(("jobs",), "GET", "/api/v1/jobs"),
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One piece of work; `share` is how far it is, `of_budget` how much of the tightest limit is spent."""

    work: Undertaking
    cursor: str
    kind: str
    title: str
    detail: str
    tone: str
    share: float | None
    left: str
    per_minute: float | None
    budget: str
    of_budget: float | None
    href: str
    links: tuple[tuple[str, str], ...]
    may_cancel: bool
    cancel: Copies | None
    resume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """A page of the work; `most` is the newest that it shows, `fresh` counts what began since."""

    rows: tuple[RunLine, ...]
    kinds: tuple[tuple[str, str], ...]
    kind: str
    shown: RunLine | None
    most: str
    fresh: int
    older: str
    first: bool
    open: int
    stale: int
    copies: Copies | None
    again: str


async def screen(asking: Asking) -> Page:
    """Show long work; `kind` keeps one kind, `most` leaves out what began later, `run` opens one."""
    kinds, agents = _kinds(asking), asking.visitor.token.agents
    after, most = spot_of(asking.query("after")), spot_of(asking.query("most"))
    top = await newest(asking.ports, kinds=kinds, agents=agents, limit=MOST_NEW)
    found, rest = await survey(asking.ports, limit=ROWS, kinds=kinds, agents=agents, after=after, most=most)
    rows = tuple(_line(asking, one) for one in found)
    most = most or (top[0] if top else None)
    kept = {"kind": asking.query("kind"), "after": asking.query("after"), "run": asking.query("run"),
            "most": _said(most) if most else ""}  # fmt: skip
    model = RunsPage(
        rows=rows, kinds=tuple((one, SAID[one]) for one in KINDS), kind=asking.query("kind"),
        shown=next((one for one in rows if one.cursor == asking.query("run")), None), most=kept["most"],
        fresh=sum(one > most for one in top) if most else 0, older=_said(rest) if rest else "", first=after is None,
        open=sum(one.work.open for one in rows), stale=sum(one.work.state == "stale" for one in rows),
        copies=COPIES.get(asking.query("kind")),
        again=f"/runs?{urlencode({name: value for name, value in kept.items() if value})}",
    )  # fmt: skip
    return Page(template="runs.html", model=model, title="Runs", place="runs", live=("work", "audit"))


def spot_of(text: str) -> WorkSpot | None:
    """Read where a page of the list begins; Invalid for what no page ever said."""
    if not text:
        return None
    moment, _, rest = text.partition(".")
    kind, _, name = rest.partition(".")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 17 and kind in get_args(WorkKind) and name):
        raise Invalid(f"{text[:40]!r} is no place in this list", hint="begin at its first page")
    return WorkSpot(at=_EPOCH + timedelta(microseconds=int(moment)), kind=cast("WorkKind", kind), id=name)


def _said(spot: WorkSpot) -> str:
    return f"{(spot.at - _EPOCH) // timedelta(microseconds=1)}.{spot.kind}.{spot.id}"


def _kinds(asking: Asking) -> Collection[WorkKind]:
    named = asking.query("kind")
    if named and named not in KINDS:
        raise Invalid(f"there is no kind {named[:40]!r} of work", hint=f"there are {', '.join(KINDS)}")
    return [one for one in KINDS if one == named] or KINDS


def _line(asking: Asking, one: Undertaking) -> RunLine:
    run = one.spot.id if one.spot.kind == "eval" else ""
    if one.spot.kind == "tick" and not asking.visitor.reads(one.agent):
        one = replace(one, about="")  # the title of its lever, which names answers
    said, share = _budget(one)
    going = one.state in ("running", "cancelling", "stale")
    return RunLine(
        work=one, cursor=_said(one.spot),
        kind=JOBS.get(one.what, one.what) if one.spot.kind == "job" else one.spot.kind,
        title=one.what, detail=_detail(one), tone=TONES[one.state],
        share=min(1.0, one.done / one.planned) if one.planned else None,
        left=one.pace.sentence if one.state == "running" else "", per_minute=one.pace.per_minute, budget=said,
        of_budget=share, href=f"/evals/{run}" if run else "", links=tuple(_links(one)),
        may_cancel=bool(run) and going and asking.visitor.may("operate", one.agent),
        cancel=cancelling(run) if run and going else None,
        resume=shlex.join(("surefoot", "eval", "run", "--resume", run))
        if run and one.state in ("stale", "stopped", "cancelled") else "",
    )  # fmt: skip


def _detail(one: Undertaking) -> str:
    """Say whom and what it is about, each once."""
    if one.spot.kind == "job":
        more = one.about.removeprefix(f"{one.what} {one.agent}").strip()
        return ", ".join(part for part in (more, f"asked for by {one.by}") if part)
    return one.about if one.about.startswith(one.agent) and one.about else f"{one.agent}, {one.about}".strip(", ")


def _links(one: Undertaking) -> list[tuple[str, str]]:
    """Give what it makes, by name and address."""
    addresses = {
        "eval": "/evals/{}", "rollout": "/rollouts/{}", "version": f"/agents/{one.agent}/versions?head={{}}",
        "lever": f"/agents/{one.agent}/levers?lever={{}}",
    }  # fmt: skip
    return [(f"the {kind}" if kind != "version" else f"v{name}", addresses[kind].format(name))
            for kind, name in one.made]  # fmt: skip


def _budget(one: Undertaking) -> tuple[str, float | None]:
    """Say what was spent of the tightest limit, with its share; nothing where there is no limit."""
    if one.spent is None:
        return "", None
    limits = {side: getattr(one.limits, side) for side in ("usd", "calls", "tokens")} if one.limits else {}
    shares = {side: getattr(one.spent, side) / limit if limit else 1.0
              for side, limit in limits.items() if limit is not None}  # fmt: skip
    if not shares:
        return "", None
    side = max(shares, key=lambda name: shares[name])
    if side == "usd":
        return f"{money(one.spent.usd)} of ${limits[side]:.2f}", shares[side]
    return f"{plain(getattr(one.spent, side))} of {plain(limits[side])} {side}", shares[side]
