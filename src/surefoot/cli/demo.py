"""`surefoot demo`: the whole loop on the shipped tickets, offline, and a saboteur who is caught twice."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import socket

    from surefoot.rehearsal.story import Person

DEFAULT_SEED = 2
STORE = Path(".surefoot/demo.db")


def demo(
    yes: Annotated[bool, typer.Option("--yes", help="approve in the person's place (for CI)")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report to this file")] = None,
    seed: Annotated[int, typer.Option(help="another seed tells another true story")] = DEFAULT_SEED,
    ticks: Annotated[int, typer.Option(min=1, max=20, help="how many levers to try before the release")] = 5,
    store: Annotated[Path, typer.Option("--store", metavar="PATH", help="where the demo keeps its store")] = STORE,
    model: Annotated[str, typer.Option(help="a model of surefoot.toml instead of the offline one")] = "local-lexical",
    budget: Annotated[float, typer.Option(min=0, help="the most that a paid model may cost, in USD")] = 1.0,
    serve: Annotated[
        bool, typer.Option("--serve", help="then show the whole story in the dashboard, until Ctrl-C")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="with --serve: the port; 0 takes a free one")] = 8420,
) -> None:
    """Run the whole loop on shipped tickets: no key, no server, nothing canned."""
    from surefoot.cli.act import person_or_yes
    from surefoot.cli.desk import hush_the_workflow_engine

    hush_the_workflow_engine()
    listening = _taken(port) if serve else None
    person = person_or_yes(yes)
    report = asyncio.run(_told(person, seed=seed, ticks=ticks, store=store, model=model, budget=budget))
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if listening is not None:
        _served(store, listening)


def _taken(port: int) -> socket.socket:
    """Take the port before the story is told, so that nobody waits for it in vain."""
    from surefoot.cli.serving import listen

    return listen("127.0.0.1", port)


def _served(store: Path, listening: socket.socket) -> None:
    """Serve what the demo left behind: anyone on this machine may look, and nobody can change the story."""
    from surefoot.app import build
    from surefoot.cli.serving import Post, address, served, swift_loop
    from surefoot.config import Settings

    app = build(Settings(store=store))
    told = f"\n  The story is at {address(listening, '127.0.0.1', tls=False)}/ ; Ctrl-C ends it."
    try:
        with asyncio.Runner(loop_factory=swift_loop) as runner:
            post = Post(listening=listening)
            runner.run(served(app, post, ready=lambda: print(told, flush=True), delivers=False))
    finally:
        app.close()


async def _told(person: Person, *, seed: int, ticks: int, store: Path, model: str, budget: float) -> dict[str, Any]:
    from surefoot.cli.act import improved, next_steps, sabotage
    from surefoot.cli.narrator import Narrator
    from surefoot.config import settings
    from surefoot.core.budget import Budget
    from surefoot.rehearsal.stage import staged
    from surefoot.rehearsal.story import Story, cast_of
    from surefoot.rehearsal.tickets import DESCRIPTIONS, TASK, shipped_tickets
    from surefoot.rehearsal.traffic import Weather

    started, narrator = time.monotonic(), Narrator()
    cast = cast_of(
        "support", shipped_tickets(), seed=seed, task=TASK, model=model, ticks=ticks, weather=Weather(),
        descriptions=DESCRIPTIONS,
    )  # fmt: skip
    here = settings(Path.cwd(), os.environ)
    async with staged(store, seed=seed, settings=here, budget=Budget(usd=budget)) as stage:
        story = Story(stage, cast, narrator)
        report = await improved(story, narrator, person)
        report |= await sabotage(story, narrator, promoted=report["promoted"])
        narrator.chapter("8  The record")
        report["audit_verified"] = await story.audited()
    report |= {"seed": seed, "model": model, "seconds": round(time.monotonic() - started, 1)}
    next_steps(narrator, report, store)
    return report
