"""Commands for after a promotion: incidents (what went wrong), and bisect (which version and edit began it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.incident import Incident

_INCIDENT = "id agent kind state at version rollout sentence facts closed_by closed_at note"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "incidents", section="Decide", keys=f"incidents[]: {_INCIDENT}")(incidents)
    command(app, "bisect", section="Look", keys="agent good bad verdict first_bad after edit sentence p cases calls "
            "probes[]: name right cases standing")(bisect)  # fmt: skip


async def incidents(
    desk: Desk,
    agent: Annotated[str, typer.Argument(metavar="[AGENT]", help="only those of this agent")] = "",
    close: Annotated[str, typer.Option("--close", metavar="ID", help="close this one, because you looked")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who closes it")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="what it was; it is kept")] = "",
    every: Annotated[bool, typer.Option("--all", help="also those that were closed")] = False,
) -> None:
    """Show what went wrong with what serves, and close it."""
    from surefoot.core.token import any_agent
    from surefoot.engine.incident import close as closed
    from surefoot.engine.incident import listed
    from surefoot.engine.inspect import agent_named

    with desk.app() as app:
        if agent:
            await agent_named(app.ports, agent, sees=any_agent)
        if close:
            found = [await closed(app.ports, close, by=by, note=note)]
        else:
            found = await listed(app.ports, agent or None, all_of_them=every)

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        if not found:
            screen.note("no incident is open")
        for one in found:
            screen.title(f"{one.id}: {one.kind.replace('_', ' ')}, {one.agent} v{one.version} ({one.state})")
            screen.line(one.sentence)
            screen.fields((
                ("at", f"{when(one.at)} UTC"), ("rollout", one.rollout),
                ("closed", f"{one.closed_by}, {when(one.closed_at)} UTC" if one.closed_by else ""), ("note", one.note),
            ))  # fmt: skip
            if one.state == "open":
                screen.note(f"step back: surefoot rollback {one.agent} --by NAME")
                screen.note(f"find out: surefoot bisect {one.agent}")
                screen.note(f"close: surefoot incidents --close {one.id} --by NAME --note TEXT")

    desk.give({"incidents": [_document(one) for one in found]}, page)


def _document(one: Incident) -> dict[str, Any]:
    return {
        "id": one.id, "agent": one.agent, "kind": one.kind, "state": one.state, "at": one.at, "version": one.version,
        "rollout": one.rollout or None, "sentence": one.sentence, "facts": dict(one.facts),
        "closed_by": one.closed_by or None, "closed_at": one.closed_at, "note": one.note or None,
    }  # fmt: skip


async def bisect(
    desk: Desk,
    agent: AgentName,
    good: Annotated[str, typer.Option(metavar="VERSION", help="one that was good (default: the first ancestor)")] = "",
    bad: Annotated[
        str, typer.Option(metavar="VERSION", help="one that is bad (default: that of an open incident, else the live)")
    ] = "",
    cases: Annotated[
        Literal["all", "held", "failing"],
        typer.Option(metavar="all|held|failing", help="random cases prove; known failures help to locate"),
    ] = "all",
    calls: Annotated[
        int, typer.Option(min=1, metavar="N", help="the most model calls; known answers cost none")
    ] = 5000,
) -> int:
    """Find the version, and in it the edit, since which it is worse.

    Exit code 4 when it cannot be told.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.bisect import bisect as searched
    from surefoot.engine.inspect import agent_named, number_of

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        with desk.waiting("versions answer"):
            found = await searched(
                app.ports, agent, good=number_of(good) if good else None, bad=number_of(bad) if bad else None,
                among=cases, calls=calls,
            )  # fmt: skip

    def page(screen: Screen) -> None:
        screen.line(found.sentence, "yellow" if found.first_bad is None else "green")
        screen.table(("asked", "right", "stands"), (
            (one.name, f"{one.right} of {one.cases}", one.standing) for one in found.probes
        ))  # fmt: skip
        screen.note(f"v{found.good} against v{found.bad}: p {found.p:.3g} on {found.cases} cases; {found.calls} calls")

    desk.give({
        "agent": agent, "good": found.good, "bad": found.bad,
        "verdict": "inconclusive" if found.first_bad is None else "found", "first_bad": found.first_bad,
        "after": found.after, "edit": found.edit.document() if found.edit else None, "sentence": found.sentence,
        "p": found.p, "cases": found.cases, "calls": found.calls,
        "probes": [{"name": one.name, "right": one.right, "cases": one.cases, "standing": one.standing}
                   for one in found.probes],
    }, page)  # fmt: skip
    return 4 if found.first_bad is None else 0
