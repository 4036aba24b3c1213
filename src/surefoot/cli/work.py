"""The commands `work` and `cancel`: all long work in one list, whoever began it, and telling a piece of it to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command
from surefoot.core.token import any_agent

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.engine.survey import Undertaking, WorkState
    from surefoot.ports.undertakings import WorkKind

_WORK = "kind id agent what about state sentence by at ended_at done planned per_minute rest_s spent limits made[]"
TONES = {"running": "cyan", "cancelling": "yellow", "stale": "red", "done": "green", "failed": "red", "lost": "red",
         "cancelled": "yellow", "stopped": "yellow"}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "work", section="Look", keys=f"work[]: {_WORK}")(work)
    command(app, "cancel", section="Decide", keys="kind id state")(cancel)


async def work(
    desk: Desk,
    which: Annotated[str, typer.Argument(metavar="[ID]", help="one piece, by its whole id")] = "",
    kind: Annotated[str, typer.Option(metavar="KIND", help="only this kind: eval, tick or job")] = "",
    agent: Annotated[str, typer.Option(metavar="AGENT", help="only what concerns this agent")] = "",
    state: Annotated[str, typer.Option(metavar="STATE", help="only what is in this state now")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="how many, newest first")] = 20,
) -> None:
    """Show all long work: evals, ticks, and what the API was asked for."""
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.survey import KINDS, STATES, found_anywhere, survey

    kinds: list[WorkKind] = [one for one in KINDS if kind in ("", one)]
    states: list[WorkState] = [one for one in STATES if state in ("", one)]
    _must_be_one("kind", kind, kinds, KINDS)
    _must_be_one("state", state, states, STATES)
    with desk.app() as app:
        if agent:
            await agent_named(app.ports, agent, sees=any_agent)
        if which:
            found = [await found_anywhere(app.ports, which, sees=any_agent)]
        else:
            agents = [agent] if agent else []
            found, _ = await survey(app.ports, limit=limit, kinds=kinds, agents=agents, states=states)
    desk.give({"work": [_document(one) for one in found]}, lambda screen: _page(screen, found, bool(which)))


async def cancel(
    desk: Desk,
    which: Annotated[str, typer.Argument(metavar="ID", help="what to stop, by the id that surefoot work shows")],
    by: Annotated[str, typer.Option(metavar="NAME", help="who cancels it (needed)")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="why (needed); the record keeps both")] = "",
) -> None:
    """Cancel an eval, a tick or a job; what finished is kept."""
    from surefoot.engine.survey import found_anywhere

    with desk.app() as app:
        one = await found_anywhere(app.ports, which, sees=any_agent)
        await _asked(app, one, by=by, why=why)
        after = await found_anywhere(app.ports, which, sees=any_agent)
    said = "is cancelled" if after.state == "cancelled" else f"is {after.state}: {after.sentence}"
    desk.give({"kind": after.spot.kind, "id": after.spot.id, "state": after.state},
              lambda screen: screen.line(f"{after.spot.id} {said}"))  # fmt: skip


async def _asked(app: App, one: Undertaking, *, by: str, why: str) -> None:
    from surefoot.engine.cancel import cancel_tick
    from surefoot.engine.run import cancel as cancel_run
    from surefoot.engine.work import cancel_job

    match one.spot.kind:
        case "eval":
            await cancel_run(app.ports, one.spot.id, by=by, reason=why)
        case "tick":
            number = int(one.spot.id.rpartition("-")[2])
            await cancel_tick(app.ports, one.agent, number, by=by, reason=why)
        case "job":
            await cancel_job(app.ports, app.launcher(), one.spot.id, by=by, reason=why)


def _must_be_one(name: str, said: str, chosen: Sequence[str], known: Sequence[str]) -> None:
    from surefoot.core.errors import Invalid

    if not chosen:
        raise Invalid(f"there is no {name} {said[:40]!r} of work", hint=f"there are {', '.join(known)}")


def _document(one: Undertaking) -> dict[str, Any]:
    return {
        "kind": one.spot.kind, "id": one.spot.id, "agent": one.agent or None, "what": one.what, "about": one.about,
        "state": one.state, "sentence": one.sentence, "by": one.by or None, "at": one.spot.at,
        "ended_at": one.ended_at, "done": one.done, "planned": one.planned, "per_minute": one.pace.per_minute,
        "rest_s": one.pace.rest_s, "spent": _amounts(one.spent), "limits": _amounts(one.limits),
        "made": [{"kind": kind, "id": name} for kind, name in one.made],
    }  # fmt: skip


def _amounts(given: Any) -> dict[str, Any] | None:
    return None if given is None else {"calls": given.calls, "tokens": given.tokens, "usd": given.usd}


def _page(screen: Screen, found: list[Undertaking], alone: bool) -> None:
    from surefoot.cli.screen import when

    if not found:
        screen.note("no such long work: surefoot tick AGENT or surefoot eval run SUITE begins some")
        return
    screen.table(("kind", "what", "agent", "state", "how far", "began", "id"), (
        (one.spot.kind, one.what, one.agent or "-", one.state, f"{one.done}/{one.planned}" if one.planned else "-",
         when(one.spot.at), one.spot.id) for one in found
    ), wide="what")  # fmt: skip
    if alone:
        one = found[0]
        for said in (
            one.about,
            one.sentence,
            one.pace.sentence,
            f"asked for by {one.by}" if one.spot.kind == "job" else "",
        ):
            if said:
                screen.line(said, TONES[one.state] if said == one.sentence else "")
