"""Commands of `pauses`: what agents' programs wait for, and deciding on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.pause import Pause

AgentOption = Annotated[str, typer.Option(metavar="AGENT", help="of this agent alone")]
_PAUSE = "agent name state reason url feedback requested_by requested_at expires_at decided_by decided_at execution"


class PauseCommands(TyperGroup):
    """The commands of the group; without any of them it lists what waits."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let `pauses` be `pauses list`."""
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def register(group: typer.Typer) -> None:
    """Add these commands."""
    command(group, "list", keys=f"pauses[]: {_PAUSE}")(list_)
    command(group, "decide", keys=_PAUSE)(decide)


async def list_(
    desk: Desk, agent: AgentOption = "",
    every: Annotated[bool, typer.Option("--all", help="also those that were decided or have expired")] = False,
) -> None:  # fmt: skip
    """Show what agents' programs wait for, oldest first."""
    from surefoot.core.token import EVERY_AGENT, any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.pause import pauses

    with desk.app() as app:
        if agent:
            await agent_named(app.ports, agent, sees=any_agent)
        found = await pauses(app.ports, agent or None, waiting_only=not every, agents=EVERY_AGENT)

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        if not found:
            screen.note("no program waits for anybody")
            return
        screen.table(("agent", "pause", "state", "expires", "reason"), (
            (one.agent, one.name, one.state, when(one.expires_at), one.reason or one.url or "-") for one in found
        ))  # fmt: skip
        screen.note("surefoot pauses decide NAME --yes --by YOU (or --no, or --changes --feedback TEXT)")

    desk.give({"pauses": [pause_document(one) for one in found]}, page)


async def decide(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="NAME", help="the pause, as the list shows it")],
    yes: Annotated[bool, typer.Option("--yes", help="approve")] = False,
    no: Annotated[bool, typer.Option("--no", help="reject")] = False,
    changes: Annotated[bool, typer.Option("--changes", help="ask for changes; --feedback says which")] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who decides")] = "",
    feedback: Annotated[str, typer.Option(metavar="TEXT", help="what the program is told")] = "",
    agent: AgentOption = "",
) -> None:
    """Decide on what a program waits for; it goes on with the decision and the feedback."""
    from surefoot.core.errors import Invalid
    from surefoot.core.pause import PauseDecision
    from surefoot.engine.pause import decide_pause, pause_anywhere

    wanted: dict[PauseDecision, bool] = {"approved": yes, "rejected": no, "request_changes": changes}
    chosen: list[PauseDecision] = [word for word, said in wanted.items() if said]
    if len(chosen) != 1:
        raise Invalid("this decides nothing", hint="say one of --yes, --no and --changes")
    with desk.app() as app:
        found = await pause_anywhere(app.ports, name, agent)
        after = await decide_pause(
            app.ports, found.agent, found.name, chosen[0], by=by, feedback=feedback, door="command line"
        )  # fmt: skip
    words = after.state.replace("_", " ")
    desk.give(pause_document(after), lambda screen: screen.line(f"{after.agent}: {after.name} is {words}"))


def pause_document(one: Pause) -> dict[str, Any]:
    """Give a wait as its JSON document shows it."""
    return {
        "agent": one.agent, "name": one.name, "state": one.state, "reason": one.reason, "url": one.url,
        "feedback": one.feedback, "requested_by": one.requested_by, "requested_at": one.requested_at,
        "expires_at": one.expires_at, "decided_by": one.decided_by, "decided_at": one.decided_at,
        "execution": one.execution,
    }  # fmt: skip
