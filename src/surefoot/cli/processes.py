"""Commands on versions that are processes: processes (which run), execute (ask one), executions (what was asked)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command
from surefoot.core.token import any_agent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from surefoot.cli.screen import Screen
    from surefoot.core.execution import Execution
    from surefoot.core.pause import Pause
    from surefoot.core.process import Process

_PROCESS = "id version number base_url state health status because tags lease_until seen_at let_in"
_VERSION = "version number content_hash reasoners[] skills[] weight_percent"
_EXECUTION = "id agent reasoner version status waits_for arm stood_in_for error at ended_at pauses"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "processes", section="Traffic", keys=f"agent versions[]: {_VERSION} processes[]: {_PROCESS}")(
        processes
    )
    command(app, "execute", section="Traffic",
            keys="execution_id result version number status stood_in_for error duration_ms")(execute)  # fmt: skip
    command(app, "executions", section="Traffic", keys=f"agent ends_with hidden executions[]: {_EXECUTION}")(executions)


async def processes(
    desk: Desk,
    agent: AgentName,
    admit: Annotated[str, typer.Option(metavar="ID", help="let this process in, and later ones of the agent")] = "",
    end: Annotated[str, typer.Option(metavar="ID", help="forget this process")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who does that")] = "",
) -> None:
    """Show the processes of an agent, how each is, and the shares."""
    from surefoot.core.errors import Invalid
    from surefoot.engine.enrol import admit as let_in
    from surefoot.engine.enrol import leave
    from surefoot.engine.enrol import processes as there
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.weigh import shares

    if (admit or end) and not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")
    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        if admit:
            await let_in(app.ports, agent, admit, by=by)
        if end:
            await leave(app.ports, agent, end, by=by)
        _, builds, found = await there(app.ports, agent)
        share, now = await app.store.read(lambda tx: shares(tx, agent)), app.ports.clock()
    rows = [_process(one, now) for one in found]

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        if not builds:
            screen.note(f"{agent} has no version that is a process")
            return
        screen.table(("version", "number", "share", "processes"), (
            (build.version, f"v{build.number}", f"{share.get(build.number, 0.0):g} %",
             sum(one.number == build.number for one in found)) for build in builds
        ))  # fmt: skip
        screen.table(("process", "version", "address", "status", "lease until", "because"), (
            (row["id"], row["version"], row["base_url"], row["status"], when(row["lease_until"]), row["because"] or "-")
            for row in rows
        ))  # fmt: skip

    desk.give({
        "agent": agent, "processes": rows, "versions": [
            {"version": build.version, "number": build.number, "content_hash": build.content_hash,
             "reasoners": [one.name for one in build.reasoners], "skills": [one.name for one in build.skills],
             "weight_percent": share.get(build.number, 0.0)} for build in builds
        ],
    }, page)  # fmt: skip


async def execute(
    desk: Desk,
    target: Annotated[str, typer.Argument(metavar="AGENT.REASONER", help="whom to ask")],
    given: Annotated[
        str, typer.Option("--input", metavar="JSON", help="the input; what is no JSON is a text")
    ] = "null",
    session: Annotated[str, typer.Option(metavar="ID", help="the conversation; it keeps its version")] = "",
    seconds: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=86_400, help="the time to its end")
    ] = None,
) -> int:
    """Ask a reasoner of a process, and show its answer.

    It is asked from here, as the server would. Exit code 1 when it gave no result.
    """
    from datetime import timedelta

    from surefoot.engine.execute import Request

    with desk.app() as app, desk.waiting(f"asking {target}"):
        dispatching = app.dispatching(loopback=True)
        asked = Request(target=target, input=_read(given), by="cli", session=session)
        deadline = None if seconds is None else timedelta(seconds=seconds)
        async with dispatching.running():
            one, result = await dispatching.execute(asked, deadline=deadline)
    took_ms = round(((one.ended_at or one.at) - one.at).total_seconds() * 1000, 1)

    def page(screen: Screen) -> None:
        import json

        screen.line(json.dumps(result, ensure_ascii=False, indent=2) if one.state == "succeeded" else one.error)
        stood = f", in place of {one.stood_in_for}" if one.stood_in_for else ""
        screen.note(f"{one.state} by {one.agent} {one.version}{stood} in {took_ms:g} ms; trace {one.id}")

    desk.give({
        "execution_id": one.id, "result": result, "version": one.version, "number": one.number, "status": one.state,
        "stood_in_for": one.stood_in_for or None, "error": one.error or None, "duration_ms": took_ms,
    }, page)  # fmt: skip
    return 0 if one.state == "succeeded" else 1


async def executions(
    desk: Desk,
    agent: AgentName,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many at most")] = 50,
    chain: Annotated[str, typer.Option(metavar="ID", help="only this one, what it waits for, and so on")] = "",
) -> None:
    """Show what an agent's processes were asked, newest first.

    With --chain also the pauses that each waits for, and with whom it ends: a person, a process, or over.
    """
    from surefoot.engine.inspect import agent_named

    if chain:
        await _chained(desk, agent, chain)
        return
    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        found = await app.store.read(lambda tx: tx.executions.of(agent, limit=limit))

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        if not found:
            screen.note(f"nothing was asked of {agent} yet")
            return
        screen.table(("execution", "asked", "reasoner", "version", "status", "waits for", "error"), (
            (one.id, when(one.at), one.reasoner, one.version, one.state, one.waits_for or "-", one.error or "-")
            for one in found
        ))  # fmt: skip

    rows = [_execution(one) for one in found]
    desk.give({"agent": agent, "ends_with": None, "hidden": 0, "executions": rows}, page)


async def _chained(desk: Desk, agent: str, name: str) -> None:
    """Show an execution of this agent, what it waits for, of whichever agent, and so on to the end."""
    from surefoot.core.errors import NotFound
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.wait import chain

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        found = await chain(app.ports, name, sees=any_agent)
    if found.links[0].execution.agent != agent:
        raise NotFound(f"there is no execution {name!r} of {agent}", hint=f"surefoot executions {agent} lists them")

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        screen.table(("execution", "agent", "asked", "reasoner", "version", "status", "waits for"), (
            (one.id, one.agent, when(one.at), one.reasoner, one.version, one.state, _awaited(one, link.pauses))
            for link in found.links for one in (link.execution,)
        ))  # fmt: skip
        screen.note({"person": "it ends with a person: surefoot pauses", "process": "it ends with a process that works",
                     "over": "what it ends with is over"}[found.end])  # fmt: skip

    rows = [_execution(one.execution, one.pauses) for one in found.links]
    desk.give({"agent": agent, "ends_with": found.end, "hidden": found.hidden, "executions": rows}, page)


def _read(text: str) -> object:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _process(one: Process, now: Any) -> dict[str, Any]:
    from surefoot.core.process import standing

    status, because = standing(one, now)
    return {
        "id": one.id, "version": one.version, "number": one.number, "base_url": one.base_url, "state": one.state,
        "health": one.health, "status": status, "because": because, "tags": list(one.tags),
        "lease_until": one.lease_until, "seen_at": one.seen_at, "let_in": one.let_in,
    }  # fmt: skip


def _awaited(one: Execution, pauses: Sequence[Pause]) -> str:
    return ", ".join([*filter(None, [one.waits_for]), *(f"a person ({wait.name})" for wait in pauses)]) or "-"


def _execution(one: Execution, pauses: Sequence[Pause] | None = None) -> dict[str, Any]:
    from surefoot.cli.pauses import pause_document

    return {
        "id": one.id, "agent": one.agent, "reasoner": one.reasoner, "version": one.version, "status": one.state,
        "waits_for": one.waits_for or None, "arm": one.arm,
        "stood_in_for": one.stood_in_for or None, "error": one.error or None, "at": one.at, "ended_at": one.ended_at,
        "pauses": None if pauses is None else [pause_document(wait) for wait in pauses],
    }  # fmt: skip
