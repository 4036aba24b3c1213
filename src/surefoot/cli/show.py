"""The command `show`: where an agent stands, what each learned block bought, and whether to stop improving it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName, rolling, summary_document, version_document, write_genome
from surefoot.cli.desk import Desk, command
from surefoot.core.figure import signed

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.genome import Block
    from surefoot.engine.inspect import Overview

WORTH_KEYS = "verdict gain low high n gained lost overall price needed version at"


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "show", section="Look", keys="agent name version blocks[] digest locked_digest prompt live tick "
            f"stopped model improver labels draft rollout cases files advice; bought: by block, {WORTH_KEYS}"
            )(show)  # fmt: skip


async def show(
    desk: Desk,
    agent: AgentName,
    version: Annotated[str, typer.Argument(metavar="[VERSION]", help="3, v3, live or draft")] = "live",
    files: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write the genome there, to edit it and `surefoot propose` it")
    ] = None,
) -> None:
    """Show where an agent stands, and the blocks of a version.

    With each learned block what it was last measured to buy (`prune`), and whether to stop improving the agent.
    """
    from surefoot.core.genome import render
    from surefoot.core.token import any_agent
    from surefoot.engine.advise import advised
    from surefoot.engine.inspect import agent_named, glance, picture
    from surefoot.engine.worth import bought

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        seen, one = await picture(app.ports, agent, version), await glance(app.ports, agent)
        worths, advice = await app.store.read(
            lambda tx: (bought(tx, agent, seen.genome), advised(tx, app.ports, agent))
        )
    written = write_genome(files, seen.genome) if files is not None else []

    def page(screen: Screen) -> None:
        _standing(screen, one)
        if advice is not None:
            screen.line(advice.sentence, "yellow")
        screen.line()
        screen.title(f"{agent} {seen.name}" + (f" ({seen.version.state})" if seen.version else ""))
        for block in seen.genome.blocks:
            screen.line(f"[{block.id}] {', '.join(_traits(block))}", "yellow" if block.locked else "cyan")
            screen.line(f"{block.text}\n-> {block.answer}" if block.answer else block.text)
            if block.id in worths:
                screen.note(worth_line(worths[block.id]))
        for path in written:
            screen.note(f"wrote {path}")

    summary = summary_document(one)
    desk.give({
        "agent": agent, "name": seen.name, "version": version_document(seen.version) if seen.version else None,
        "blocks": seen.genome.document(), "digest": seen.genome.digest, "locked_digest": seen.genome.locked_digest,
        "prompt": render(seen.genome), "stopped": one.agent.stopped, "files": written,
        "bought": {name: {key: worth[key] for key in WORTH_KEYS.split()} for name, worth in worths.items()},
        "advice": advice.document() if advice else None,
        **{key: summary[key] for key in ("live", "tick", "model", "improver", "labels", "draft", "rollout", "cases")},
    }, page)  # fmt: skip


def worth_line(worth: Mapping[str, Any]) -> str:
    """Give on one line what a block bought, how surely, when and on how many cases."""
    more = f"; about {worth['needed']} more cases would tell" if worth["needed"] else ""
    return (
        f"   {worth['verdict']}: {signed(worth['gain'])} ({signed(worth['low'])} to {signed(worth['high'])}) of the "
        f"{worth['n']} cases of its cluster, measured on v{worth['version']} at {worth['at'][:10]}{more}"
    )


def _traits(block: Block) -> list[str]:
    traits = [block.kind, "locked" if block.locked else "editable", *(["pinned"] if block.pinned else [])]
    return traits + [f"where {name} = {value}" for name, value in block.applies_to]


def _standing(screen: Screen, one: Overview) -> None:
    agent = one.agent
    screen.fields((
        ("agent", f"{agent.name}{' (stopped)' if agent.stopped else ''}"), ("live", f"v{agent.live}"),
        ("model", agent.habits.model), ("improver", agent.habits.improver), ("labels", ", ".join(agent.labels)),
        ("ticks", agent.tick),
        ("draft", f"{len(one.draft.accepted)} lever(s), {len(one.draft.edits)} edit(s)"),
        ("rollout", rolling(one)), ("waits", ", ".join(one.waits)),
        ("cases", ", ".join(f"{split} {count}" for split, count in one.cases.items())),
    ))  # fmt: skip
