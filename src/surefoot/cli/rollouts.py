"""Commands on rollouts: list, show, start, step, accept, override, hold, thaw, abort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli import plan
from surefoot.cli.agents import AgentName
from surefoot.cli.decide import By, carried_out
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.core.rollout.standing import Reconcile, Rollout

RolloutId = Annotated[
    str, typer.Argument(metavar="[ROLLOUT]", help="its id (default: the one in progress, else the last)")
]
Why = Annotated[str, typer.Option(metavar="TEXT", help="the reason; it is kept")]
_ROLLOUT = (
    "id challenger incumbent state weight_percent epoch steps reason started_at closed_at forced_by guarantee approval "
    "queued holdback_percent promoted_at alarms"
)
_STEP = (
    "agent rollout action reason sentence state weight_before weight_after e_win e_guard labels failure_rates guarantee"
)


def register(group: typer.Typer) -> None:
    """Add these commands."""
    command(group, "list", keys=f"agent rollouts[]: {_ROLLOUT}")(list_rollouts)
    command(group, "show", keys=f"agent {_ROLLOUT} settings history[]: seq at action reason sentence weight_before "
            "weight_after evidence")(show)  # fmt: skip
    for name, work in (("start", start), ("step", step), ("accept", accept), ("override", override),
                       ("hold", hold), ("thaw", thaw), ("abort", abort)):  # fmt: skip
        command(group, name, keys=_STEP)(work)  # pyright: ignore[reportArgumentType]
    plan.register(group)


async def list_rollouts(desk: Desk, agent: AgentName) -> None:
    """List an agent's rollouts, oldest first.

    Those in the queue begin one after the other, as long as the version they are compared with is live.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        found = await app.store.read(lambda tx: tx.rollouts.all(agent))

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        if not found:
            screen.note(f"{agent} had no rollout yet")
            return
        screen.table(("rollout", "versions", "state", "share", "steps", "started", "ended", "reason"), (
            (one.id, f"v{one.challenger} against v{one.incumbent}", _state(one),
             _share(one), one.steps, when(one.started_at), when(one.closed_at), one.reason or "-")
            for one in found
        ))  # fmt: skip

    desk.give({"agent": agent, "rollouts": [_rollout(one) for one in found]}, page)


async def show(desk: Desk, agent: AgentName, rollout: RolloutId = "") -> None:
    """Show a rollout: where it stands, and one line of evidence for every look that was taken."""
    from dataclasses import asdict

    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, history, rollout_of

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        one = await rollout_of(app.ports, agent, rollout)
        rows = await history(app.ports, one.id)

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        screen.title(f"{agent} v{one.challenger} against v{one.incumbent}: {one.state.replace('_', ' ')}")
        screen.fields((
            ("rollout", one.id),
            ("share", f"{_now(one):g} % challenger, {100 - _now(one):g} % incumbent"),
            ("holdback", f"since {when(one.promoted_at)} UTC" if one.watched else ""),
            ("called", ", ".join(one.alarms)),
            ("started", f"{when(one.started_at)} UTC"),
            ("ended", f"{when(one.closed_at)} UTC" if one.closed_at else ""),
            ("waits for", f"{one.approval} (surefoot approvals {agent})" if one.state == "awaiting_approval" else ""),
        ))  # fmt: skip
        if one.forced_by:
            screen.line(f"no guarantee: {one.forced_by} forced it past the gate", "yellow")
        for row in rows:
            step_line(screen, row)
        if not rows:
            screen.note("no look was taken yet: surefoot rollout step, or surefoot loop")

    desk.give({
        "agent": agent, **_rollout(one), "settings": asdict(one.settings),
        "history": [
            {"seq": row.seq, "at": row.at, "action": row.action, "reason": row.reason, "sentence": row.sentence,
             "weight_before": row.weight_before, "weight_after": row.weight_after, "evidence": dict(row.evidence)}
            for row in rows
        ],
    }, page)  # fmt: skip


def step_line(screen: Screen, row: Reconcile) -> None:
    """Print one look at a rollout on one line."""
    from surefoot.cli.screen import percent, when

    seen: dict[str, Any] = dict(row.evidence)
    limits, rates = seen.get("thresholds", {}), seen.get("failure_rates", {})
    share = (
        f"{row.weight_before:g} → {row.weight_after:g} %"
        if row.weight_before != row.weight_after
        else f"{row.weight_after:g} %"
    )
    tone = {"promote": "green", "roll_back": "red", "abort": "red", "freeze": "red", "await_approval": "yellow"}
    screen.line(
        f"#{row.seq} {when(row.at)}  {row.action.replace('_', ' ')}  {share}  win {seen.get('e_win', 0):.3g}/"
        f"{limits.get('win', 0):g}  harm {seen.get('e_guard', 0):.3g}/{limits.get('hard_guard', 0):g}  "
        f"labels {seen.get('labels', 0)}  failing {percent(rates.get('challenger'))} against "
        f"{percent(rates.get('incumbent'))}  {row.sentence}",
        tone.get(row.action, ""),
    )


async def start(
    desk: Desk,
    agent: AgentName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="the candidate's number")],
    by: By,
    force: Annotated[
        bool, typer.Option("--force", help="offer a version that the gate or a rollout turned down")
    ] = False,
    road: Annotated[
        Literal["canary", "paired"] | None,
        typer.Option(metavar="canary|paired", help="paired: recorded requests first (default: the agent's)"),
    ] = None,
    queue: Annotated[bool, typer.Option("--queue", help="wait for the rollout in progress to end")] = False,
    watch: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=MARGIN[:CLIP]", help="hold when it gets worse: latency_s=0.5, cost_usd, score"),
    ] = None,
) -> None:
    """Give a candidate its first share of live traffic.

    On the paired road it must first win on recorded requests, which no user sees.
    """
    from surefoot.cli.plan import watched
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, number_of
    from surefoot.engine.operate import start_rollout
    from surefoot.engine.plan import metric_terms

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        metrics = await metric_terms(app.ports, agent, watched(watch or ()))
        rollout = await start_rollout(
            app.ports, agent, number_of(version), by=by, forced_by=by if force else "", road=road, queue=queue,
            metrics=metrics,
        )  # fmt: skip
        row = await carried_out(app, rollout.id)
    _give_step(desk, agent, rollout, row)


async def step(desk: Desk, agent: AgentName) -> None:
    """Take the next step of the rollout in progress, whatever it is.

    Without one, of the first in the queue, else of the holdback after a promotion.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        rollout = await _due(app, agent)
        row = await carried_out(app, rollout.id)
    _give_step(desk, agent, rollout, row)


async def accept(
    desk: Desk,
    agent: AgentName,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="the slice or metric, such as label=refund")],
    by: By,
    why: Why = "",
) -> None:
    """Let the rollout go on although these watched slices or metrics look worse."""
    from surefoot.core.token import any_agent
    from surefoot.engine.accept import accept_guards
    from surefoot.engine.inspect import agent_named

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        rollout = await _active(app, agent)
        await accept_guards(app.ports, rollout.id, names, by=by, why=why)
        row = await carried_out(app, rollout.id)
    _give_step(desk, agent, rollout, row)


async def override(desk: Desk, agent: AgentName, by: By, why: Why = "") -> None:
    """Promote the challenger now, against whatever the evidence says; the record says "no guarantee"."""
    await _wished(desk, agent, "promote", by, why)


async def hold(desk: Desk, agent: AgentName, by: By, why: Why = "") -> None:
    """Take the challenger's share away until a person has looked: the rollout in progress is frozen."""
    from surefoot.engine.rollback import hold as held

    await _handled(desk, agent, lambda app, rollout: held(app.ports, rollout.id, by=by, reason=why))


async def thaw(desk: Desk, agent: AgentName, by: By, why: Why = "") -> None:
    """Let a frozen rollout go on at its floor, because you looked."""
    from surefoot.engine.rollback import thaw as thawed

    await _handled(desk, agent, lambda app, rollout: thawed(app.ports, rollout.id, by=by, reason=why))


async def abort(
    desk: Desk,
    agent: AgentName,
    by: By,
    why: Why = "",
    rollout: Annotated[str, typer.Option(metavar="ID", help="one in the queue (default: the one in progress)")] = "",
) -> None:
    """End the rollout in progress; the incumbent serves everything."""
    await _wished(desk, agent, "abort", by, why, rollout)


async def _wished(desk: Desk, agent: str, wanted: str, by: str, why: str, named: str = "") -> None:
    from surefoot.core.errors import Invalid
    from surefoot.engine.rollback import wish

    if not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")

    async def wished(app: App, rollout: Rollout) -> None:
        await app.store.write(lambda tx: wish(tx, app.ports, rollout.id, wanted, by, why))

    await _handled(desk, agent, wished, named)


async def _handled(
    desk: Desk, agent: str, work: Callable[[App, Rollout], Awaitable[object]], named: str = ""
) -> None:  # fmt: skip
    """Do something to the named rollout, else the one in progress, and show the step that follows."""
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, rollout_of

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        rollout = await rollout_of(app.ports, agent, named) if named else await _active(app, agent)
        await work(app, rollout)
        row = await carried_out(app, rollout.id)
    _give_step(desk, agent, rollout, row)


async def _due(app: App, agent: str) -> Rollout:
    """The rollout in progress, else the first in the queue, else the one whose holdback is watched."""
    from surefoot.engine.watch import due

    found = await app.store.read(lambda tx: due(tx, agent))
    return found[0] if found else await _active(app, agent)


async def _active(app: App, agent: str) -> Rollout:
    from surefoot.core.errors import Conflict

    rollout = await app.store.read(lambda tx: tx.rollouts.active(agent))
    if rollout is None:
        raise Conflict(
            f"agent {agent!r} has no rollout in progress",
            hint=f"surefoot rollout start {agent} VERSION --by NAME opens one",
        )
    return rollout


def _state(one: Rollout) -> str:
    word = "queued" if one.queued else "promoted, holdback" if one.watched else one.state
    return f"{word} (forced)" if one.forced_by else word


def _now(one: Rollout) -> float:
    """The challenger's share of all units: after a promotion everything but the holdback."""
    return 100 - one.holdback_percent if one.watched else one.weight_percent


def _share(one: Rollout) -> str:
    return f"{_now(one):g} %"


def _rollout(one: Rollout) -> dict[str, Any]:
    return {
        "id": one.id, "challenger": one.challenger, "incumbent": one.incumbent, "state": one.state,
        "weight_percent": one.weight_percent, "epoch": one.epoch, "steps": one.steps, "reason": one.reason,
        "started_at": one.started_at, "closed_at": one.closed_at, "forced_by": one.forced_by or None,
        "guarantee": not one.forced_by and one.reason != "override", "approval": one.approval or None,
        "queued": one.queued, "holdback_percent": one.holdback_percent, "promoted_at": one.promoted_at,
        "alarms": list(one.alarms),
    }  # fmt: skip


def _give_step(desk: Desk, agent: str, rollout: Rollout, row: dict[str, Any]) -> None:
    def page(screen: Screen) -> None:
        action, state = (str(row[key]).replace("_", " ") for key in ("action", "state"))
        screen.line(f"{agent} v{rollout.challenger}: {action}, {row['weight_after']:g} % of traffic, {state}")
        screen.line(row["sentence"])
        if not row["guarantee"]:
            screen.line("no guarantee: a person overrode the evidence", "yellow")
        if row["state"] == "awaiting_approval":
            screen.note(f"next: surefoot approvals {agent}")

    keys = ("action", "reason", "sentence", "state", "weight_before", "weight_after", "e_win", "e_guard", "labels",
            "failure_rates", "guarantee")  # fmt: skip
    desk.give({"agent": agent, "rollout": rollout.id, **{key: row[key] for key in keys}}, page)
