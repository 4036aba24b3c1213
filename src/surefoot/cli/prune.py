"""The command `prune`: what each learned block still buys, and what may go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command
from surefoot.core.figure import signed

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen

_BLOCK = "block kind verdict sentence n gained lost gain low high overall tokens price needed"


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "prune", section="Improve", keys=f"agent version cases sentence proposal edits[] refusals[] "
            f"blocks[]: {_BLOCK}")(prune)  # fmt: skip


async def prune(
    desk: Desk,
    agent: AgentName,
    apply: Annotated[
        bool, typer.Option("--apply", help="put the retirement into the draft, for the next release to judge")
    ] = False,
) -> None:
    """Measure what each learned block buys, by taking it away.

    Runs the live version with and without it on hidden and val cases. Nothing goes live: what no longer helps is
    proposed as ordinary edits, through the guardrails and the gate.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.prune import prune as pruned

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        with desk.waiting(f"{agent}: each learned block is taken away once"):
            found = await pruned(app.ports, agent, apply=apply)

    def page(screen: Screen) -> None:
        screen.note(f"{agent} v{found.version}, {found.cases} hidden and val cases")
        screen.table(("block", "kind", "verdict", "of its cluster", "cases", "tokens", "more cases needed"), (
            (one.block, one.kind, one.verdict, f"{signed(one.gain)} ({signed(one.low)} to {signed(one.high)})", one.n,
             one.tokens, "" if one.verdict != "cannot tell" else one.needed or "over 20 000")
            for one in found.worths
        ))  # fmt: skip
        for refusal in found.refusals:
            screen.line(f"refused: {refusal}", "yellow")
        screen.line(found.sentence)
        if found.proposal:
            screen.note(f"next: surefoot diff {agent} draft; a release takes it along with the next gain")
        elif found.edits:
            screen.note(f"next: surefoot prune {agent} --apply")

    desk.give({
        "agent": agent, "version": found.version, "cases": found.cases, "sentence": found.sentence,
        "proposal": found.proposal or None, "edits": [edit.document() for edit in found.edits],
        "refusals": list(found.refusals),
        "blocks": [{key: getattr(one, key) for key in _BLOCK.split()} for one in found.worths],
    }, page)  # fmt: skip
