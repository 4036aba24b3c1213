"""Commands that find what was recorded: traces, trace, sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command
from surefoot.core.token import any_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from surefoot.cli.screen import Screen
    from surefoot.core.sought import Found, SessionFound, Sought, Spot
    from surefoot.core.tree import Branch
    from surefoot.engine.find import WholeTrace
    from surefoot.ports import Ports

Word = Literal["success", "failure", "unknown"]
ArmName = Literal["incumbent", "challenger"]
_TRACE = "id version verdict finish at input output session actor external_id arm slices latency_s cost_usd"
_SPAN = "id name kind status message model latency_s cost_usd spans"
_SESSION = "session actor requests failures cost_usd first_at last_at versions"
WIDTH = 24
MOST_PAGES = 200


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "traces", section="Look", keys=f"agent traces[]: {_TRACE}; whole")(traces)
    keys = f"trace: {_TRACE}; outcomes[]: verdict score expected feedback source at; spans[]: {_SPAN}"
    command(app, "trace", section="Look", keys=keys)(trace)
    command(app, "sessions", section="Look", keys=f"agent sessions[]: {_SESSION}")(sessions)


async def traces(
    desk: Desk,
    agent: AgentName,
    text: Annotated[str, typer.Option(metavar="TEXT", help="found in inputs and answers")] = "",
    version: Annotated[int | None, typer.Option(min=1, help="answered by this version")] = None,
    arm: Annotated[ArmName | None, typer.Option(metavar="incumbent|challenger", help="the arm of a rollout")] = None,
    verdict: Annotated[Word | None, typer.Option(metavar="success|failure|unknown", help="how it went")] = None,
    finish: Annotated[str, typer.Option(metavar="WORD", help="how the answer ended, such as length")] = "",
    session: Annotated[str, typer.Option(metavar="ID", help="of this conversation")] = "",
    actor: Annotated[str, typer.Option(metavar="ID", help="of this person")] = "",
    slices: Annotated[
        list[str] | None, typer.Option("--slice", metavar="K=V", help="with this trait; repeatable")
    ] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="such as 7d, 12h or 2026-01-05")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="before this moment")] = "",
    slower: Annotated[float | None, typer.Option(min=0, metavar="S", help="took at least so many seconds")] = None,
    costlier: Annotated[float | None, typer.Option(min=0, metavar="USD", help="cost at least so much")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many")] = 20,
) -> None:
    """Find requests, newest first.

    What no index answers is looked for among the last million requests or so; --since and --session make it fast.
    """
    from surefoot.cli.traffic import pairs
    from surefoot.core.sought import Sought, moment

    with desk.app() as app:
        now = app.ports.clock()
        sought = Sought(
            agent=agent, text=text, version=version, arm=arm, verdict=verdict, finish=finish, session=session,
            actor=actor, slices=pairs(slices or []), since=moment(since, now), until=moment(until, now),
            slower_s=slower, costlier_usd=costlier,
        )  # fmt: skip
        with desk.waiting("looking"):
            found, rest = await _found(app.ports, sought, limit)

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import short, when

        screen.table(("trace", "at", "v", "verdict", "asked", "answered"), (
            (one.trace.id, when(one.trace.at), f"v{one.trace.version}", one.verdict, short(one.trace.input, 60),
             short(one.trace.output, 40)) for one in found
        ), wide="asked")  # fmt: skip
        if not found:
            screen.note("nothing was found")
        if rest:
            screen.note("there may be more: --limit, --since and --until")

    desk.give({"agent": agent, "traces": [_document(one) for one in found], "whole": rest is None}, page)


async def _found(ports: Ports, sought: Sought, limit: int) -> tuple[list[Found], Spot | None]:
    """Follow the pages until there are enough, or they end."""
    from surefoot.engine import find

    rows: list[Found] = []
    after = None
    for _ in range(MOST_PAGES):
        page = await find.traces(ports, sought, sees=any_agent, after=after, limit=limit - len(rows))
        rows, after = [*rows, *page.found], page.next
        if after is None or len(rows) >= limit:
            break
    return rows, after


async def trace(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="ID", help="the trace, or with --agent what its app calls it")],
    agent: Annotated[str, typer.Option(metavar="AGENT", help="ID is the app's own, of a request of this agent")] = "",
) -> None:
    """Show one request: what was said of it, its steps, time and cost."""
    from surefoot.engine import find

    with desk.app() as app:
        trace_id = await find.trace_called(app.ports, agent, name) if agent else name
        whole = await find.whole_trace(app.ports, trace_id, sees=any_agent)

    said = [
        {"verdict": one.verdict, "score": one.score, "expected": one.expected, "feedback": one.feedback,
         "source": one.source, "at": one.at} for one in whole.outcomes
    ]  # fmt: skip
    desk.give(
        {"trace": _document(whole.found), "outcomes": said, "spans": [_branch(one) for one in whole.spans]},
        lambda screen: _show(screen, whole),
    )


def _show(screen: Screen, whole: WholeTrace) -> None:
    from surefoot.cli.screen import when

    one = whole.found.trace
    screen.title(f"{one.agent} v{one.version}, {whole.found.verdict}")
    screen.fields((
        ("trace", one.id), ("at", when(one.at)), ("asked", one.input), ("answered", one.output),
        ("ended", "" if one.finish == "stop" else one.finish), ("session", one.session), ("actor", one.actor),
        ("called", one.external_id), ("slices", ", ".join(f"{k}={v}" for k, v in sorted(one.slices.items()))),
        ("rollout", f"{one.rollout} as {one.arm} at {one.weight_percent:g} %" if one.rollout else ""),
        ("took", f"{one.latency_s:.3f} s"), ("cost", f"{one.cost_usd:.6f} USD" if one.cost_usd else ""),
    ))  # fmt: skip
    for said in whole.outcomes:
        wanted = f", expected {said.expected}" if said.expected else ""
        screen.line(f"{when(said.at)}  {said.verdict}{wanted}  by {said.source}  {said.feedback}".rstrip())
    if whole.spans:
        screen.line()
        screen.table(("step", "time", "", "cost", "s"), bars(whole.spans))


def bars(spans: Sequence[Branch]) -> list[tuple[str, ...]]:
    """Give the steps as lines: name, bar from its beginning to its end, status, cost, seconds."""
    flat: list[tuple[int, Branch]] = []

    def walk(branches: Sequence[Branch], depth: int) -> None:
        for one in branches:
            flat.append((depth, one))
            walk(one.below, depth + 1)

    walk(spans, 0)
    began = min(one.span.started_ns for _, one in flat)
    ended = max(max(one.span.ended_ns, one.span.started_ns) for _, one in flat)

    def scale(ns: int) -> int:
        return round((ns - began) / max(1, ended - began) * WIDTH)

    return [_line(depth, one, scale) for depth, one in flat]


def _line(depth: int, one: Branch, scale: Callable[[int], int]) -> tuple[str, ...]:
    span = one.span
    start, end = scale(span.started_ns), scale(max(span.ended_ns, span.started_ns))
    bar = (" " * start + "█" * max(1, end - start)).ljust(WIDTH)
    cost = f"{span.cost_usd:.6f}" if span.cost_usd else ""
    return (f"{'  ' * depth}{span.name}", bar, "" if span.status == "unset" else span.status, cost,
            f"{span.latency_s:.3f}")  # fmt: skip


async def sessions(
    desk: Desk,
    agent: AgentName,
    actor: Annotated[str, typer.Option(metavar="ID", help="of this person")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many")] = 20,
) -> None:
    """List conversations, newest first.

    Counted are the last 1 000 requests of each.
    """
    from surefoot.engine import find

    rows: list[SessionFound] = []
    after = None
    with desk.app() as app:
        for _ in range(MOST_PAGES):
            page, after = await find.sessions(
                app.ports, agent, sees=any_agent, actor=actor, after=after, limit=limit - len(rows)
            )
            rows += page
            if after is None or len(rows) >= limit:
                break

    def page_of(screen: Screen) -> None:
        from surefoot.cli.screen import when

        screen.table(("session", "actor", "requests", "failures", "last", "versions"), (
            (one.session, one.actor, one.requests, one.failures, when(one.last_at),
             ", ".join(f"v{n}" for n in one.versions)) for one in rows
        ), wide="session")  # fmt: skip

    desk.give({"agent": agent, "sessions": [
        {"session": one.session, "actor": one.actor, "requests": one.requests, "failures": one.failures,
         "cost_usd": one.cost_usd, "first_at": one.first_at, "last_at": one.last_at, "versions": list(one.versions)}
        for one in rows
    ]}, page_of)  # fmt: skip


def _document(found: Found) -> dict[str, Any]:
    one = found.trace
    return {
        "id": one.id, "version": one.version, "verdict": found.verdict, "finish": one.finish, "at": one.at,
        "input": one.input, "output": one.output, "session": one.session, "actor": one.actor,
        "external_id": one.external_id, "arm": one.arm, "slices": dict(one.slices), "latency_s": one.latency_s,
        "cost_usd": one.cost_usd,
    }  # fmt: skip


def _branch(branch: Branch) -> dict[str, Any]:
    span = branch.span
    return {
        "id": span.span_id, "name": span.name, "kind": span.kind, "status": span.status, "message": span.message,
        "model": span.model, "latency_s": span.latency_s, "cost_usd": span.cost_usd,
        "spans": [_branch(one) for one in branch.below],
    }  # fmt: skip
