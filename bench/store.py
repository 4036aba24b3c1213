"""What the store costs: a served request, an outcome, and a reconcile with many labels behind it.

`--stored N` puts N labelled requests of the same rollout into the store first.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import sqlalchemy as sa

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.edit import Edit, apply_edits
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent
from surefoot.engine.observe import observe
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve

LABELS = ("left", "right")


async def timed(work: Callable[[], Awaitable[object]], times: int) -> float:
    """Give the median of some runs, in milliseconds."""
    spans: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        spans.append((time.perf_counter() - started) * 1000)
    return statistics.median(spans)


# Constants of this file only; ids and sizes are bound.
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :stored)"
_ARM = "CASE WHEN i % 20 = 0 THEN 'challenger' ELSE 'incumbent' END"
_FILL = (
    f"INSERT INTO pins {_NUMBERS} SELECT :rollout, 'old-' || i, {_ARM}, 5.0, 1 FROM n",
    f"""INSERT INTO traces (id, agent, version, rollout, unit, arm, weight_percent, epoch, input, output, finish,
    source, slices, latency_s, cost_usd, at, cased) {_NUMBERS}
    SELECT 'old-' || i, 'bench', 1 + (i % 20 = 0), :rollout, 'old-' || i, {_ARM}, 5.0, 1, 'alpha ' || i, 'left', 'stop',
           '', '{{}}', 0.0, 0.0, i, 0 FROM n""",
    f"""INSERT INTO outcomes (trace_id, verdict, expected, feedback, source, at) {_NUMBERS}
    SELECT 'old-' || i, CASE WHEN i % 3 = 0 THEN 'failure' ELSE 'success' END, 'left', '', 'bench', i FROM n""",
    "DELETE FROM unit_counts",
    "DELETE FROM unit_labels",
    "DELETE FROM label_counts",
    "DELETE FROM verdict_counts",
)


def filled(app: App, rollout: str, stored: int) -> None:
    """Store labelled requests of a rollout in bulk, then count them as the migration of an older store does."""
    counting = importlib.import_module("surefoot.adapters.store.migrations.versions.0003_operator")
    with app.store.engine.begin() as connection:
        for statement in (*_FILL, *counting.COUNTING):
            connection.execute(sa.text(statement), {"rollout": rollout, "stored": stored})


async def measured(app: App, requests: int, stored: int) -> dict[str, float]:
    """Serve requests in a rollout, label them, and time the verbs."""
    settings = RolloutSettings(ledger_slots=None, horizon_labels=10**9, holdback_percent=0)
    base = starting_genome(LABELS)
    await create_agent(app.ports, "bench", base, by="bench", labels=LABELS, habits=Habits(rollout=settings))
    rule = Edit(kind="add", target="rule-1", text="If the message mentions alpha, answer left.")
    version = await offer_version(app.ports, "bench", apply_edits(base, [rule]), by="bench", rationale="bench")
    rollout = (await start_rollout(app.ports, "bench", version.number, by="bench", forced_by="bench")).id
    await reconcile(app.ports, rollout)
    if stored:
        filled(app, rollout, stored)
    serving: list[float] = []
    observing: list[float] = []
    for number in range(requests):
        started = time.perf_counter()
        served = await serve(app.ports, "bench", f"alpha {number}", unit=f"u{number}")
        between = time.perf_counter()
        await observe(app.ports, served.trace_id, verdict="success" if number % 3 else "failure", sees=any_agent)
        serving.append(between - started)
        observing.append(time.perf_counter() - between)
    return {
        "requests": requests,
        "stored": stored,
        "serve_p50_ms": statistics.median(serving) * 1000,
        "observe_p50_ms": statistics.median(observing) * 1000,
        "reconcile_p50_ms": await timed(lambda: reconcile(app.ports, rollout), 9),
    }


def main() -> None:
    """Print the table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--stored", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        app = build(Settings(store=Path(place) / "bench.db"), environ={})
        facts = asyncio.run(measured(app, arguments.requests, arguments.stored))
        app.close()
    for name, value in facts.items():
        print(f"{name:<18} {value:10.2f}")
    arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
