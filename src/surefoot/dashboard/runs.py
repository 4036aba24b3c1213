"""Runs: all long work, in progress and done, in the order in which it began.

No row moves: work that ends stays where it stands. What began after the page was opened is counted at the top, and
shown when somebody asks for it; until then a live page looks again only at what it shows.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlencode

from surefoot.core.errors import Invalid
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.compare import cancelling
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.dashboard.words import money, plain
from surefoot.engine.cancel import cancel_tick
from surefoot.engine.survey import KINDS, Undertaking, found, newest, place, shown, spot_of, survey
from surefoot.engine.work import cancel_job
from surefoot.ports.undertakings import WorkKind

ROWS, MOST_NEW = 50, 100
TONES = {
    "running": "canary", "cancelling": "warn", "stale": "bad", "done": "ok", "failed": "bad", "cancelled": "idle",
    "stopped": "warn", "lost": "bad",
}  # fmt: skip
SAID: dict[WorkKind, str] = {"eval": "evals", "tick": "ticks", "job": "other work"}
JOBS = {"evaluate": "gate", "eval": "eval", "tick": "tick"}
COPIES = {"": copies(("work",), "GET", "/api/v1/work")} | {
    one: copies(("work", "--kind", one), "GET", f"/api/v1/work?kind={one}") for one in KINDS
}  # fmt: skip


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
    copies: Copies
    again: str


async def screen(asking: Asking) -> Page:
    """Show long work; `kind` keeps one kind, `most` leaves out what began later, `run` opens one."""
    kinds, agents = _kinds(asking), asking.visitor.token.agents
    after, most = spot_of(asking.query("after")), spot_of(asking.query("most"))
    top = await newest(asking.ports, kinds=kinds, agents=agents, limit=MOST_NEW)
    page, rest = await survey(asking.ports, limit=ROWS, kinds=kinds, agents=agents, after=after, most=most)
    rows = tuple(_line(asking, one) for one in page)
    most = most or (top[0] if top else None)
    kept = {"kind": asking.query("kind"), "after": asking.query("after"), "run": asking.query("run"),
            "most": place(most) if most else ""}  # fmt: skip
    model = RunsPage(
        rows=rows, kinds=tuple((one, SAID[one]) for one in KINDS), kind=asking.query("kind"),
        shown=next((one for one in rows if one.cursor == asking.query("run")), None), most=kept["most"],
        fresh=sum(one > most for one in top) if most else 0, older=place(rest) if rest else "", first=after is None,
        open=sum(one.work.open for one in rows), stale=sum(one.work.state == "stale" for one in rows),
        copies=COPIES[asking.query("kind")],
        again=f"/runs?{urlencode({name: value for name, value in kept.items() if value})}",
    )  # fmt: skip
    return Page(template="runs.html", model=model, title="Runs", place="runs", live=("work", "audit"))


def _kinds(asking: Asking) -> Collection[WorkKind]:
    named = asking.query("kind")
    if named and named not in KINDS:
        raise Invalid(f"there is no kind {named[:40]!r} of work", hint=f"there are {', '.join(KINDS)}")
    return [one for one in KINDS if one == named] or KINDS


def _line(asking: Asking, one: Undertaking) -> RunLine:
    run = one.spot.id if one.spot.kind == "eval" else ""
    one = shown(one, reads=asking.visitor.reads(one.agent))
    said, share = _budget(one)
    going = one.state in ("running", "cancelling", "stale")
    return RunLine(
        work=one, cursor=place(one.spot),
        kind=JOBS.get(one.what, one.what) if one.spot.kind == "job" else one.spot.kind,
        title=one.what, detail=_detail(one), tone=TONES[one.state],
        share=min(1.0, one.done / one.planned) if one.planned else None,
        left=one.pace.sentence if one.state == "running" else "", per_minute=one.pace.per_minute, budget=said,
        of_budget=share, href=f"/evals/{run}" if run else "", links=tuple(_links(one)),
        may_cancel=going and asking.visitor.may("operate", one.agent), cancel=_cancelling(one) if going else None,
        resume=shlex.join(("surefoot", "eval", "run", "--resume", run))
        if run and one.state in ("stale", "stopped", "cancelled") else "",
    )  # fmt: skip


def _cancelling(one: Undertaking) -> Copies:
    """Give cancelling a piece of work as a command and as a request."""
    if one.spot.kind == "eval":
        return cancelling(one.spot.id)
    agent, _, number = one.spot.id.partition("/tick-")
    path = f"/api/v1/agents/{agent}/ticks/{number}" if one.spot.kind == "tick" else f"/api/v1/jobs/{one.spot.id}"
    return copies(("cancel", one.spot.id, "--by", "NAME", "--why", "TEXT"), "POST", f"{path}/cancel", {"reason": "why"})


async def call_off(asking: Asking, fields: dict[str, str]) -> str:
    """Cancel a tick or a job, with a reason; the role is that of asking for it."""
    kind, reason = fields.get("kind", ""), fields.get("reason", "").strip()[:2000]
    if kind not in ("tick", "job"):
        raise Invalid("this names no work that can be cancelled here", hint="reload the page and cancel it there")
    one = await found(asking.ports, kind, fields.get("id", ""), sees=asking.visitor.sees)
    asking.visitor.must("operate", one.agent)
    if not reason:
        raise Invalid("to cancel work takes a reason", hint="say in a few words why; it is kept")
    if one.spot.kind == "tick":
        number = int(one.spot.id.rpartition("-")[2])
        await cancel_tick(asking.ports, one.agent, number, by=asking.visitor.name, reason=reason)
    else:
        await cancel_job(asking.ports, asking.house.launcher, one.spot.id, by=asking.visitor.name, reason=reason)
    return "/runs?done=cancelled"


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
