"""`surefoot rollout plan`: what traffic can decide, before a rollout starts; and the metrics one may watch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command
from surefoot.core.figure import percent

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.engine.plan import Watched

_WATCH = re.compile(r"(?P<name>[a-z_]+)=(?P<margin>\d*\.?\d+)(:(?P<clip>\d*\.?\d+))?")


def register(group: typer.Typer) -> None:
    """Add the command."""
    keys = "agent labels_a_day baseline_rate assumed win_at sentence plans[]: relative_risk labels days"
    command(group, "plan", keys=keys)(plan)


def watched(asked: Iterable[str]) -> tuple[Watched, ...]:
    """Read `--watch` options: METRIC=MARGIN or METRIC=MARGIN:CLIP; Invalid for anything else."""
    from surefoot.core.errors import Invalid
    from surefoot.engine.plan import Watched

    found: list[Watched] = []
    for text in asked:
        match = _WATCH.fullmatch(text.strip())
        if match is None:
            raise Invalid(f"cannot watch {text!r}", hint="write METRIC=MARGIN or METRIC=MARGIN:CLIP: latency_s=0.5:30")
        clip = float(match["clip"]) if match["clip"] else None
        found.append(Watched(name=match["name"], margin=float(match["margin"]), clip=clip))
    return tuple(found)


async def plan(
    desk: Desk,
    agent: AgentName,
    daily: Annotated[
        float | None, typer.Option(metavar="N", help="labelled requests a day (default: what the live version sees)")
    ] = None,
) -> None:
    """Say, before a rollout starts, what this traffic can prove and in how many days."""
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.plan import planned

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        found = await planned(app.ports, agent, labels_a_day=daily)

    def page(screen: Screen) -> None:
        screen.title(f"{agent}: what a canary can prove (a win takes e >= {found.settings.win_at:g})")
        screen.table(("fewer failures", "labels", "days"), (
            (percent(1 - one.relative_risk, 0), one.labels if one.labels is not None else "-",
             "-" if one.days is None else f"{one.days:.1f}")
            for one in found.plans
        ))  # fmt: skip
        rate = percent(found.baseline_rate)
        screen.line(f"failure rate now: {rate}{' (assumed: too few labels)' if found.assumed else ''}")
        screen.line(found.sentence)

    desk.give({
        "agent": agent, "labels_a_day": found.labels_a_day, "baseline_rate": found.baseline_rate,
        "assumed": found.assumed, "win_at": found.settings.win_at, "sentence": found.sentence,
        "plans": [{"relative_risk": one.relative_risk, "labels": one.labels, "days": one.days} for one in found.plans],
    }, page)  # fmt: skip
