"""`surefoot try`: the whole loop on anyone's labelled file, in a store of its own."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

TASK = "Read the user's message and decide which label fits it best."
FEW = 400


def try_file(
    file: Annotated[Path, typer.Argument(help="JSON Lines: `input` and `expected`, perhaps `slice`; .gz too")],
    labels: Annotated[str, typer.Option(help="only rows with these labels, separated by commas")] = "",
    ticks: Annotated[int, typer.Option(min=1, max=50, help="how many levers to try before the release")] = 5,
    model: Annotated[str, typer.Option(help="a model of surefoot.toml instead of the offline one")] = "local-lexical",
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report to this file")] = None,
    seed: Annotated[int, typer.Option(help="seed of the split and of the traffic")] = 0,
    rows: Annotated[int, typer.Option(min=2, help="take at most this many rows, drawn by the seed")] = 4000,
    budget: Annotated[float, typer.Option(min=0, help="the most that a paid model may cost, in USD")] = 1.0,
    store: Annotated[
        Path | None, typer.Option("--store", metavar="PATH", help="keep the store here (default: it is removed)")
    ] = None,
) -> None:
    """Run the whole loop on a labelled file, from a prompt that only names the labels.

    `text` and `label` are read too. A part of the rows is set aside that nothing in the loop sees, and scored before
    and after. The person's approval is given by you, who run this: nothing outside this run's own store is touched.
    """
    from surefoot.cli.desk import hush_the_workflow_engine

    hush_the_workflow_engine()
    with tempfile.TemporaryDirectory(prefix="surefoot-try-") as place:
        report = asyncio.run(_told(
            file, _named(labels), most=rows, ticks=ticks, model=model, seed=seed, budget=budget,
            store=store or Path(place) / "try.db",
        ))  # fmt: skip
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _named(labels: str) -> list[str]:
    return [label.strip() for label in labels.split(",") if label.strip()]


async def _told(
    file: Path, labels: list[str], *, most: int, ticks: int, model: str, seed: int, budget: float, store: Path
) -> dict[str, Any]:
    from surefoot.cli.act import Agreeable, improved
    from surefoot.cli.narrator import Narrator
    from surefoot.config import settings
    from surefoot.core.budget import Budget
    from surefoot.rehearsal.rows import drawn, load_rows
    from surefoot.rehearsal.stage import staged
    from surefoot.rehearsal.story import Story, cast_of
    from surefoot.rehearsal.traffic import Weather

    started, narrator = time.monotonic(), Narrator()
    every = load_rows(file, labels=labels)
    rows = drawn(every, most, seed=seed)
    if len(rows) < len(every):
        narrator.say(f"{len(every)} rows in {file.name}; {len(rows)} of them are drawn (--rows takes more)")
    cast = cast_of("try", rows, seed=seed, task=TASK, model=model, ticks=ticks, weather=Weather(labelled=1.0))
    here = settings(Path.cwd(), os.environ)
    async with staged(store, seed=seed, settings=here, budget=Budget(usd=budget)) as stage:
        story = Story(stage, cast, narrator)
        report = await improved(story, narrator, Agreeable())
        report |= await story.tally()
        report["audit_verified"] = await story.audited()
    report |= {"rows": len(rows), "labels": len(cast.labels), "untouched": len(cast.parts["untouched"])}
    report |= {"seed": seed, "model": model, "seconds": round(time.monotonic() - started, 1)}
    narrator.say(_verdict(report), "bold")
    return report


def _verdict(report: dict[str, Any]) -> str:
    """Say in one sentence what came of it, and why."""
    if report["promoted"]:
        return f"A better version was found, proven and promoted ({report['seconds']} s)."
    if report["nothing_to_fix"]:
        return f"Nothing to fix: {report['reason']} ({report['seconds']} s)."
    few = f" {report['rows']} rows are few: gains can rarely be proven below {FEW}." if report["rows"] < FEW else ""
    return f"Nothing was promoted: {report['reason']}.{few} ({report['seconds']} s)"
