"""Commands that make versions better: propose, evaluate, tick, loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName, change_document, read_genome
from surefoot.cli.desk import Desk, command
from surefoot.cli.ticks import TICK_KEYS, TONES, show_tick, tick_document

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen

Target = Annotated[str, typer.Argument(metavar="[AGENT|DIR]", help="the agent's name; with --repo: where (here)")]
WithRepo = Annotated[bool, typer.Option("--repo", help="work on the git repository in DIR")]
_VERDICT_CODES = {"pass": 0, "fail": 1}
INCONCLUSIVE = 4


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "propose", section="Improve", keys="agent version parent genome by why changes[]")(propose)
    command(app, "evaluate", section="Improve", keys="agent version verdict sentence evidence")(evaluate)
    command(app, "tick", section="Improve", keys=f"agent {TICK_KEYS}")(tick)
    command(app, "loop", section="Improve", keys=f"agent ended ticks[]: {TICK_KEYS}")(loop)


async def propose(
    desk: Desk,
    agent: AgentName,
    files: Annotated[
        Path, typer.Option(metavar="DIR", help="the new genome, as `show --files DIR` wrote it and you edited it")
    ],
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who proposes, and so cannot approve")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="the reason, for whoever decides")],
) -> None:
    """Offer a version by hand, from a directory.

    It takes no traffic before it has been put before the gate and rolled out.
    """
    from surefoot.core.diff import changes
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, picture
    from surefoot.engine.register import offer_version

    genome = read_genome(files)
    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        live = await picture(app.ports, agent, "live")
        version = await offer_version(app.ports, agent, genome, by=by, rationale=why)
    found = changes(live.genome, genome)

    def page(screen: Screen) -> None:
        screen.line(f"{agent} {version.label} is a candidate, proposed by {by}", "green")
        screen.changes(found)
        screen.note(
            f"next: surefoot evaluate {agent} {version.number}, then surefoot rollout start {agent} {version.number}"
        )

    desk.give({
        "agent": agent, "version": version.number, "parent": version.parent, "genome": version.genome, "by": by,
        "why": why, "changes": [change_document(one) for one in found],
    }, page)  # fmt: skip


async def evaluate(
    desk: Desk,
    agent: AgentName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="the candidate's number")],
) -> int:
    """Put a candidate before the gate: pass, fail or inconclusive.

    Exit codes 0, 1 and 4. Open cases come first; only a version that does no harm there
    gets one of the counted looks at the sealed cases.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, number_of
    from surefoot.engine.vet import vet

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        with desk.waiting(f"{agent} v{number_of(version)} is put before the gate"):
            found = await vet(app.ports, agent, number_of(version))

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import percent

        seen: dict[str, Any] = found.evidence
        screen.line(f"{found.verdict}: {found.sentence}", TONES.get(found.verdict, ""))
        screen.fields((
            ("cases", seen.get("cases")), ("gained", seen.get("gained")), ("lost", seen.get("lost")),
            ("p-value", _number(seen.get("p_value"))), ("e-value", _number(seen.get("e_value"))),
            ("alpha", _number(seen.get("alpha"))),
            ("power", ", ".join(f"{percent(p['power'])} for {percent(p['gain'])}" for p in seen.get("power", []))),
            ("slices", ", ".join(f"{one['name']} (+{one['gained']} -{one['lost']})" for one in seen.get("slices", []))),
        ))  # fmt: skip
        if found.verdict == "pass":
            screen.note(f"next: surefoot rollout start {agent} {found.version} --by NAME")

    desk.give({"agent": agent, "version": found.version, "verdict": found.verdict, "sentence": found.sentence,
               "evidence": found.evidence}, page)  # fmt: skip
    return _VERDICT_CODES.get(found.verdict, INCONCLUSIVE)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


async def tick(
    desk: Desk,
    agent: Target = "",
    repo: WithRepo = False,
    release: Annotated[bool, typer.Option("--release", help="put the draft before the sealed cases now")] = False,
) -> int:
    """Run one cycle on one lever.

    Finds what fails, asks for edits, tests them, and adds to the draft what helped. A tick that was killed is
    finished first. With --repo a coding agent works on the top open lever, behind the repository's gates.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    if repo:
        from surefoot.cli.repo_ticks import tick_repo

        return await tick_repo(desk, Path(agent or "."))
    agent = named_agent(agent)
    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        async with app.worker() as worker:
            with desk.waiting(f"{agent}: one tick"):
                report = await worker.tick(agent, ask_release=release)
    desk.give({"agent": agent, **tick_document(report)}, lambda screen: show_tick(screen, agent, report))
    return 0


def named_agent(name: str) -> str:
    """Give the name of an agent, which may be missing only beside --repo."""
    from surefoot.core.errors import Invalid

    if not name:
        raise Invalid(
            "this needs an agent's name",
            hint="name an agent, or add --repo for the repository here; --help shows how it is used",
        )
    return name


async def loop(
    desk: Desk,
    agent: Target = "",
    repo: WithRepo = False,
    every: Annotated[
        str, typer.Option(metavar="TIME", help="between two looks, such as 30s, 5m or 1h (default: 60s)")
    ] = "",
    ticks: Annotated[int | None, typer.Option(min=1, help="end after this many ticks")] = None,
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle", help="end when there is nothing to do, or when a round of all levers brought no version"
        ),
    ] = False,
) -> int:
    """Work on an agent until Ctrl-C.

    Ticks, watches the rollout, and takes over what a killed process left behind. A rollout that waits for a
    person keeps waiting; approve it from anywhere. Ends with 130 on Ctrl-C, 0 on SIGTERM. With --repo it ticks on a
    repository by the schedule in its surefoot.toml.
    """
    from surefoot.cli.worker import Shift
    from surefoot.core.duration import duration

    pause_s = duration(every or "60s").total_seconds()
    if repo:
        from surefoot.cli.repo_ticks import loop_repo

        return await loop_repo(
            desk, Path(agent or "."), every_s=pause_s if every else None, ticks=ticks, until_idle=until_idle
        )
    agent = named_agent(agent)
    with desk.app() as app:
        shift = Shift(desk, app, agent, pause_s=pause_s, ticks=ticks, until_idle=until_idle)
        return await shift.work()
