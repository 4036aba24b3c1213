"""Commands on how an agent is run: weight (shares of traffic), settings, proposals, budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen

_PROPOSAL = "id tick lever on state at rationale edits[]"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "weight", section="Improve", keys="agent weights[]: version weight; rollout previous_weight "
            "sentence")(weight)  # fmt: skip
    command(app, "settings", section="Start", keys="agent settings changed[]")(settings)
    command(app, "proposals", section="Look", keys=f"agent proposals[]: {_PROPOSAL}")(proposals)
    command(app, "budget", section="Look", keys="agent day calls tokens usd reserved_usd budget")(budget)


async def weight(
    desk: Desk,
    agent: AgentName,
    version: Annotated[str, typer.Argument(metavar="[VERSION]", help="the version whose share is set")] = "",
    percent: Annotated[float | None, typer.Argument(metavar="[PERCENT]", help="its share; 0 is never")] = None,
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who sets it")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="the reason; it is kept")] = "",
) -> None:
    """Show the shares of traffic, or give a version one.

    The incumbent loses it; shares sum to 100. A version without a rollout begins one. Half of the traffic or more
    takes evidence and an approval.
    """
    from surefoot.core.errors import Invalid
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, number_of
    from surefoot.engine.weigh import shares, weigh

    done = None
    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        if version:
            if percent is None:
                raise Invalid("a share is missing", hint=f"surefoot weight {agent} {version} 5 --by NAME")
            done = await weigh(app.ports, agent, number_of(version), percent, by=by, reason=why)
        found, active = await app.store.read(lambda tx: (shares(tx, agent), tx.rollouts.active(agent)))

    def page(screen: Screen) -> None:
        if done is not None:
            screen.line(done.sentence)
        for number, share in sorted(found.items()):
            screen.line(f"v{number}: {share:g} % of traffic")

    desk.give({
        "agent": agent, "weights": [{"version": number, "weight": share} for number, share in sorted(found.items())],
        "rollout": active.id if active else None, "previous_weight": done.previous_percent if done else None,
        "sentence": done.sentence if done else None,
    }, page)  # fmt: skip


async def settings(
    desk: Desk,
    agent: AgentName,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="such as arms=2 or rollout.hard_guard=8")
    ] = None,
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who changes them")] = "",
) -> None:
    """Show what can be set on an agent, or set it.

    What is not named stays as it is. Terms of rollouts hold for those that begin later.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.adjust import adjust, settings_of
    from surefoot.engine.inspect import agent_named

    wanted = _wanted(set_ or [])
    with desk.app() as app:
        record = await agent_named(app.ports, agent, sees=any_agent)
        if wanted:
            record = await adjust(app.ports, agent, wanted, by=by)
    found = settings_of(record)

    def page(screen: Screen) -> None:
        for name, value in found.items():
            if isinstance(value, dict):
                screen.fields((f"{name}.{key}", "-" if one is None else one) for key, one in _items(value))
            else:
                screen.fields(((name, "-" if value is None else value),))

    desk.give({"agent": agent, "settings": found, "changed": list(wanted)}, page)


def _items(value: Any) -> list[tuple[str, object]]:
    return list(value.items())


def _wanted(pairs: list[str]) -> dict[str, Any]:
    """Read KEY=VALUE: a value is JSON where it can be, else text; `a.b=c` goes into the part `a`."""
    import json

    from surefoot.core.errors import Invalid

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name.strip() and equals):
            raise Invalid(f"--set {pair!r} names no value", hint="write it as name=value")
        try:
            value: object = json.loads(text)
        except ValueError:
            value = text
        part, dot, key = name.strip().partition(".")
        if dot:
            found.setdefault(part, {})[key] = value
        else:
            found[part] = value
    return found


async def proposals(desk: Desk, agent: AgentName) -> None:
    """List what was proposed for an agent, and what became of it."""
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        found = await app.store.read(lambda tx: tx.proposals.all(agent))

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import short, when

        if not found:
            screen.note(f"nothing was proposed for {agent} yet: surefoot tick {agent}")
            return
        screen.table(("proposal", "tick", "lever", "state", "at", "why"), (
            (one.id, one.tick, one.lever, one.state, when(one.at), short(one.proposal.rationale, 80)) for one in found
        ), wide="why")  # fmt: skip

    desk.give({"agent": agent, "proposals": [
        {"id": one.id, "tick": one.tick, "lever": one.lever, "on": one.on, "state": one.state, "at": one.at,
         "rationale": one.proposal.rationale, "edits": [edit.document() for edit in one.proposal.edits]}
        for one in found
    ]}, page)  # fmt: skip


async def budget(desk: Desk, agent: AgentName) -> None:
    """Show what today (UTC) has cost an agent, and the most it may."""
    from surefoot.core.token import any_agent
    from surefoot.engine.evaluate import spent
    from surefoot.engine.inspect import agent_named

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        day, ledger = await spent(app.ports, agent)
    cost, limit = ledger.settled, ledger.budget

    def page(screen: Screen) -> None:
        most = "no limit" if limit.usd is None else f"of US$ {limit.usd:g}"
        screen.line(f"{agent} on {day}: US$ {cost.usd:.4f} {most}, {cost.calls} calls, {cost.tokens} tokens")

    desk.give({
        "agent": agent, "day": day, "calls": cost.calls, "tokens": cost.tokens, "usd": cost.usd,
        "reserved_usd": ledger.committed.usd - cost.usd,
        "budget": {"calls": limit.calls, "tokens": limit.tokens, "usd": limit.usd},
    }, page)  # fmt: skip
