"""The gain of the whole loop on the shipped tickets, over seeds: accuracy on untouched cases before and after."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from surefoot.cli.act import Agreeable, improved
from surefoot.cli.narrator import Narrator
from surefoot.config import Settings
from surefoot.core.budget import Budget
from surefoot.rehearsal.stage import staged
from surefoot.rehearsal.story import Story, cast_of
from surefoot.rehearsal.tickets import DESCRIPTIONS, TASK, shipped_tickets
from surefoot.rehearsal.traffic import Weather


async def told(seed: int) -> dict[str, Any]:
    """Play one story and give its numbers."""
    started, narrator = time.perf_counter(), Narrator(quiet=True)
    cast = cast_of(
        "support", shipped_tickets(), seed=seed, task=TASK, model="local-lexical", ticks=5, weather=Weather(),
        descriptions=DESCRIPTIONS,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        async with staged(Path(place) / "bench.db", seed=seed, settings=Settings(), budget=Budget(usd=0)) as stage:
            story = Story(stage, cast, narrator)
            report = await improved(story, narrator, Agreeable())
            report |= await story.tally()
    return report | {"seed": seed, "seconds": time.perf_counter() - started}


def main() -> None:
    """Print a line a seed and the mean gain with its standard error; write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    print("seed  before   after    gain  promoted  accepted/proposals  seconds")
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        row = asyncio.run(told(seed))
        rows.append(row)
        gain = row["accuracy_after"] - row["accuracy_before"]
        line = f"{seed:>4}  {row['accuracy_before']:6.1%}  {row['accuracy_after']:6.1%}  {gain:+6.1%}"
        line += f"  {row['promoted']!s:>8}  {row['accepted']:>8}/{row['proposals']:<9}  {row['seconds']:7.1f}"
        print(line, flush=True)
    gains = [row["accuracy_after"] - row["accuracy_before"] for row in rows]
    error = statistics.stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else float("nan")
    print(f"mean gain {statistics.mean(gains):+.3f} (standard error {error:.3f}), worst {min(gains):+.3f}")
    facts = {
        "mean_gain": statistics.mean(gains),
        "se": None if math.isnan(error) else error,
        "worst": min(gains),
        "rows": rows,
    }
    arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
