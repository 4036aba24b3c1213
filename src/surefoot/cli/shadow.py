"""Commands on what is asked out of users' sight: shadow (two versions, one request) and sentinel (the live version)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.rollout.shadow import Reply, Shared
    from surefoot.engine.sentinel import Night

LISTED = 20
WAITS = {
    "not_in_shadow": "the rollout is not in its shadow (any more), so nothing was asked",
    "stopped": "the agent is stopped, so nothing was asked",
    "no_requests": "no recorded request is left that both could answer; label more traffic",
    "unjudged": "requests wait behind one that nobody has judged yet; it holds them up for a day at most",
    "lopsided": "the right answer was said mostly for wrong answers, or mostly for right ones: such a sample proves "
    "nothing; say it for both, or take the canary road",
    "no_answers": "the model gave no answer; look again later",
}
_PAIR = "case at trace input expected incumbent challenger difference"
_NIGHT = (
    "agent window version model banked asked unanswered compared before after evidence limit alarm moved looked_at_by"
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "shadow", section="Look", keys="agent rollout challenger incumbent road state verdict cases gained "
            "lost e_win win e_harm harm cap cost_usd latency_s added waits "
            f"pairs[]: {_PAIR}")(shadow)  # fmt: skip
    command(app, "sentinel", section="Look", keys=_NIGHT)(sentinel)


async def shadow(
    desk: Desk,
    agent: AgentName,
    rollout: Annotated[str, typer.Option(metavar="ID", help="its id (default: the one in progress)")] = "",
    ask: Annotated[int, typer.Option("--ask", min=0, metavar="N", help="first ask up to N more requests")] = 0,
) -> None:
    """Show two versions side by side on the same recorded requests.

    These belong to a rollout on the paired road; no user saw the challenger's answers, and no tool was carried out.
    """
    from surefoot.core.rollout.shadow import paired_evidence, shadow_verdict, shares_of_work
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, rollout_of
    from surefoot.engine.shadow import shadow as asked

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        one = await rollout_of(app.ports, agent, rollout)
        done = None
        if ask:
            with desk.waiting("both versions answer"):
                done = await asked(app.ports, one.id, limit=ask)
        one, pairs = await app.store.read(lambda tx: (tx.rollouts.get(one.id), tx.pairs.all(one.id)))
    terms, differences = one.settings, [pair.difference for pair in pairs]
    seen = paired_evidence(differences, terms)
    verdict, work = shadow_verdict(seen, terms), shares_of_work(pairs)
    counted = differences[: seen.cases]
    document: dict[str, Any] = {
        "agent": agent, "rollout": one.id, "challenger": one.challenger, "incumbent": one.incumbent,
        "road": terms.road, "state": one.state, "verdict": verdict, "cases": seen.cases,
        "gained": sum(d > 0 for d in counted), "lost": sum(d < 0 for d in counted), "e_win": seen.e_win,
        "win": terms.paired_win_at, "e_harm": seen.e_harm, "harm": terms.paired_harm, "cap": terms.paired_cap,
        "cost_usd": {side: both["cost_usd"] for side, both in work.items()},
        "latency_s": {side: both["latency_s"] for side, both in work.items()},
        "added": done.added if done else 0, "waits": (done.waits or None) if done else None,
        "pairs": [_pair(pair) for pair in pairs],
    }  # fmt: skip
    desk.give(document, lambda screen: _side_by_side(screen, document, pairs))


def _pair(pair: Shared) -> dict[str, Any]:
    return {
        "case": pair.case, "at": pair.at, "trace": pair.trace or None, "input": pair.input, "expected": pair.expected,
        "incumbent": _reply(pair.incumbent), "challenger": _reply(pair.challenger), "difference": pair.difference,
    }  # fmt: skip


def _reply(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "score": reply.score, "cost_usd": reply.cost_usd, "latency_s": reply.latency_s}


def _side_by_side(screen: Screen, seen: dict[str, Any], pairs: list[Shared]) -> None:
    from surefoot.cli.screen import short

    screen.title(f"{seen['agent']} v{seen['challenger']} against v{seen['incumbent']}: {seen['verdict']}")
    if seen["road"] != "paired":
        screen.note("this rollout takes the canary road: its versions share no requests")
        return
    screen.fields((
        ("requests", f"{seen['cases']} of at most {seen['cap']}: gained {seen['gained']}, lost {seen['lost']}"),
        ("win", f"{seen['e_win']:.3g} of {seen['win']:g}"),
        ("harm", f"{seen['e_harm']:.3g} of {seen['harm']:g}"),
        ("median cost", _medians(seen["cost_usd"], "US$ {:.6f}")),
        ("median time", _medians(seen["latency_s"], "{:.3f} s")),
    ))  # fmt: skip
    differing = [pair for pair in pairs if pair.difference]
    if differing:
        screen.table(("", "expected", f"v{seen['incumbent']}", f"v{seen['challenger']}", "request"), (
            ("gained" if pair.difference > 0 else "lost", short(pair.expected, 24), short(pair.incumbent.text, 24),
             short(pair.challenger.text, 24), short(pair.input, 60))
            for pair in differing[-LISTED:]
        ), wide="request")  # fmt: skip
    if len(differing) > LISTED:
        screen.note(f"the last {LISTED} of {len(differing)} on which they differ; --json has all")
    if seen["waits"]:
        screen.note(WAITS[seen["waits"]])
    elif not pairs:
        screen.note(f"nothing is answered yet: surefoot shadow {seen['agent']} --ask 100, or surefoot loop")


def _medians(work: dict[str, float | None], form: str) -> str:
    said = {side: "not measured" if value is None else form.format(value) for side, value in work.items()}
    return f"{said['incumbent']} incumbent, {said['challenger']} challenger"


async def sentinel(
    desk: Desk,
    agent: AgentName,
    looked: Annotated[bool, typer.Option("--seen", help="close the alarm: a person has looked (with --by)")] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who has looked")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="what they found; it is kept")] = "",
) -> None:
    """Ask the live version tonight's banked cases, and say if it moved.

    An alarm freezes the agent's rollouts until a person has looked. Asking again the same day asks nothing twice.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.sentinel import seen
    from surefoot.engine.sentinel import sentinel as watch

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        if looked:
            closed = await seen(app.ports, agent, by=by, why=why)
            document = dict.fromkeys(_NIGHT.split()) | {"agent": agent, "alarm": "", "looked_at_by": by}
            desk.give(document, lambda screen: _closed(screen, by, closed))
            return
        with desk.waiting(f"{agent} answers its banked cases"):
            night = await watch(app.ports, agent)
    desk.give(_night(night), lambda screen: _shown(screen, night))


def _closed(screen: Screen, by: str, sentence: str) -> None:
    screen.line(f"{by} has looked; what is answered now is the new history", "green")
    screen.note(sentence)


def _night(night: Night) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(night), "looked_at_by": None}


def _shown(screen: Screen, night: Night) -> None:
    from surefoot.cli.screen import percent

    screen.title(f"{night.agent} v{night.version} on {night.model}, {night.window}")
    screen.fields((
        ("banked", f"{night.banked} cases ({night.asked} asked now"
         + (f", {night.unanswered} without an answer)" if night.unanswered else ")")),
        ("right", f"{percent(night.before)} before, {percent(night.after)} now" if night.after is not None else ""),
        ("moved", f"{night.evidence:.3g} of {night.limit:g}, over {night.compared} comparisons"),
    ))  # fmt: skip
    if not night.compared:
        screen.note("these cases have no history yet; it is compared from the next time on")
    if night.alarm:
        screen.line(night.alarm, "red")
        screen.note(f"rollouts are frozen until a person has looked: surefoot sentinel {night.agent} --seen --by NAME")
    for case, usual, now in night.moved.answers if night.moved else ():
        screen.line(f"  case {case}: {usual} → {now}")
