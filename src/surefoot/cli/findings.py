"""Commands on what was found: failures, levers, lessons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.core.backlog import Lever
    from surefoot.core.lesson import Lesson


REPO_VERBS = ("add", "rank", "close", "reopen")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "failures", section="Look", keys="agent requests successes failures unknown standing sources hold "
            "added causes[]: key title status sentence failures impact older newer trend lever versions; "
            "shown[]: trace version input predicted expected source slices")(failures)  # fmt: skip
    command(app, "levers", section="Look", keys="agent levers[]: id gap title state impact worth failures tries note "
            "log[]")(levers)  # fmt: skip
    command(app, "lessons", section="Look", keys="agent lessons[]: text evidence tick at; added")(lessons)


async def failures(
    desk: Desk,
    agent: AgentName,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many, newest first")] = 20,
    add_case: Annotated[str, typer.Option(metavar="TRACE", help="make this request a case now, with --by")] = "",
    expected: Annotated[str, typer.Option(metavar="ANSWER", help="add-case: what is right, if nobody said it")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="add-case: who adds it")] = "",
) -> None:
    """List the wrong answers that stand, and what they have in common.

    Causes are told first, the largest first: which way each goes, and what became of it.

    Each request whose right answer was said becomes a case at the next tick; --add-case does it for one of them now.
    Which side it is tested on is decided by hash.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.explain import explain
    from surefoot.engine.inspect import agent_named, failing

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        added = await _added(app, agent, add_case, expected, by) if add_case else ""
        found, causes = await failing(app.ports, agent, limit=limit), (await explain(app.ports, agent)).causes
    seen = found.verdicts

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import percent, short

        known = seen.success + seen.failure
        share = percent(seen.failure / known if known else None)
        if added:
            screen.line(f"{add_case} is case {added} now", "green")
        screen.line(f"{seen.failure} of {known} labelled requests failed ({share}); {seen.unknown} have no label")
        if found.hold:
            screen.line(f"the loop holds: {found.hold}", "yellow")
        if causes:
            screen.table(("cause", "status", "failures", "share", "trend"), (
                (short(one.title), one.became.words, str(one.failures), percent(one.impact), one.trend.way)
                for one in causes
            ), wide="cause")  # fmt: skip
        screen.table(("trace", "version", "expected", "predicted", "input"), (
            (one.trace_id, f"v{one.version}", one.expected or "-", short(one.predicted, 30) or "-", short(one.input))
            for one in found.failures
        ), wide="input")  # fmt: skip

    desk.give({
        "agent": agent, "requests": seen.success + seen.failure + seen.unknown, "successes": seen.success,
        "failures": seen.failure, "unknown": seen.unknown, "standing": found.standing, "sources": found.sources,
        "hold": found.hold, "added": added or None,
        "causes": [
            {"key": one.key, "title": one.title, "status": one.became.words, "sentence": one.became.sentence,
             "failures": one.failures, "impact": one.impact, "older": one.older, "newer": one.newer,
             "trend": one.trend.way, "lever": one.lever.id if one.lever else None, "versions": list(one.versions)}
            for one in causes
        ],
        "shown": [
            {"trace": one.trace_id, "version": one.version, "input": one.input, "predicted": one.predicted,
             "expected": one.expected, "source": one.source, "slices": dict(one.slices)}
            for one in found.failures
        ],
    }, page)  # fmt: skip


async def _added(app: App, agent: str, trace: str, expected: str, by: str) -> str:
    from surefoot.engine.enlist import enlist

    return (await enlist(app.ports, agent, trace, expected=expected, by=by)).id


async def levers(
    desk: Desk,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[AGENT|VERB]",
            help="an agent; or add TITLE, rank [L-001], close L-001, reopen L-001 [DIR], for a repository",
        ),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="with the history of each lever")] = False,
    value: Annotated[float | None, typer.Option(min=0, help="add, rank: what it is worth, on any scale")] = None,
    cost: Annotated[float | None, typer.Option(min=0, help="add, rank: what it costs, on any scale")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(metavar="GLOBS", help='add: what it may change, such as "src/**,tests/**"')
    ] = None,
    text: Annotated[str, typer.Option(metavar="TEXT", help="add: more words for whoever does it")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="add, rank, close, reopen: who decides (default: you)")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="close, reopen: the reason")] = "",
    repo: Annotated[bool, typer.Option("--repo", help="the levers of the repository in DIR (default: here)")] = False,
    close: Annotated[str, typer.Option(metavar="ID", help="close this one of an agent's, with --by and --why")] = "",
    reopen: Annotated[str, typer.Option(metavar="ID", help="open this one of an agent's again")] = "",
    make: Annotated[
        str, typer.Option(metavar="TRACE", help="make one of a failure of an agent's: its trace, or its cluster")
    ] = "",
) -> None:
    """List, make or change the moves that could help, best first.

    An agent's lever answers one gap; its worth is its impact, halved for each try in vain. A repository's levers stand
    in levers.md, with value, cost and scope; `add`, `rank`, `close` and `reopen` write there.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    said = words or []
    if repo or (said and said[0] in REPO_VERBS):
        from surefoot.cli.repo_files import repo_levers

        await repo_levers(desk, said, value=value, cost=cost, scope=scope or (), text=text, by=by, why=why, log=log)
        return
    agent = one_agent(said)

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        if close or reopen:
            from surefoot.engine.shelve import shelve

            await shelve(app.ports, agent, close or reopen, closed=bool(close), by=by, reason=why)
        if make:
            from surefoot.engine.shelve import lever_by_hand

            await lever_by_hand(app.ports, agent, make, by=by, reason=why)
        found = await app.store.read(
            lambda tx: [(lever, tx.levers.log(agent, lever.id) if log else []) for lever in tx.levers.all(agent)]
        )
    ranked = sorted(found, key=lambda pair: (pair[0].state != "open", -pair[0].worth, pair[0].gap))

    desk.give({"agent": agent, "levers": [
        {"id": one.id, "gap": one.gap, "title": one.title, "state": one.state, "impact": one.impact, "worth": one.worth,
         "failures": one.failures, "tries": one.tries, "note": one.note,
         "log": [{"at": at, "text": text} for at, text in entries]}
        for one, entries in ranked
    ]}, lambda screen: _levers_page(screen, ranked))  # fmt: skip


def _levers_page(screen: Screen, ranked: Sequence[tuple[Lever, Sequence[tuple[datetime, str]]]]) -> None:
    from surefoot.cli.screen import percent, short, when

    if not ranked:
        screen.note("no lever yet: surefoot tick looks for them once there are enough failures")
        return
    screen.table(("lever", "state", "worth", "failures", "tries", "gap"), (
        (one.id, one.state, percent(one.worth), one.failures, one.tries, short(one.title, 100)) for one, _ in ranked
    ), wide="gap")  # fmt: skip
    for one, entries in ranked:
        if entries:
            screen.line()
            screen.title(one.id)
        for at, text in entries:
            screen.line(f"{when(at)}  {text}")


def one_agent(words: list[str]) -> str:
    """Give the one name that was said."""
    from surefoot.core.errors import Invalid

    if len(words) != 1:
        raise Invalid(
            "this needs one agent's name",
            hint="name an agent, or add --repo for the repository here; --help shows how it is used",
        )
    return words[0]


async def lessons(
    desk: Desk,
    agent: Annotated[str, typer.Argument(metavar="[AGENT|DIR]", help="the agent's name; with --repo: where")] = "",
    repo: Annotated[bool, typer.Option("--repo", help="the lessons of the repository in DIR")] = False,
    add: Annotated[str, typer.Option(metavar="TEXT", help="teach the loop this sentence")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="who teaches it")] = "",
) -> None:
    """List what the loop learned about its work, or teach it more."""
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    if repo:
        from surefoot.cli.repo_files import repo_lessons

        await repo_lessons(desk, Path(agent or "."), add=add, by=by)
        return
    agent = one_agent([agent] if agent else [])

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        if add or by:
            from surefoot.engine.shelve import taught

            await taught(app.ports, agent, add, by=by)
        found = await app.store.read(lambda tx: tx.lessons.all(agent))

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        screen.table(("at", "tick", "lesson", "evidence"), (
            (when(one.at), one.tick or "-", one.text, one.evidence) for one in found
        ), wide="lesson")  # fmt: skip

    desk.give({"agent": agent, "lessons": [_lesson(one) for one in found], "added": add or None}, page)


def _lesson(one: Lesson) -> dict[str, Any]:
    return {"text": one.text, "evidence": one.evidence, "tick": one.tick, "at": one.at}
