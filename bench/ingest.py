"""What ingesting spans costs, beside a bare OTLP → SQLite writer in the same run, and what counting failures costs.

Sixteen clients send batches of a hundred spans of about 1 kB, ours and the floor's in turns; each answer comes after
the commit. Ours redacts, finds out whose each span is, keeps each once and makes a trace of every fifth. Then a store
is filled with a million traces by SQL, and the failures of each version are asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from bench._ingest_parts import load

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.token import hashed
from surefoot.engine.register import create_agent

TOKEN = "sf_a-token-for-the-benchmark"  # noqa: S105  it opens nothing
ROOT = Path(__file__).parents[1]
SHARED_FLOOR = ROOT.parent / "shared" / "bench" / "ingest_floor.py"


def ours(processes: list[subprocess.Popen[str]], folder: Path) -> int:
    """`surefoot serve` as a user runs it, on a store with one agent."""
    folder.mkdir()
    (folder / "surefoot.toml").write_text(
        f'[tokens.bench]\nsha256 = "{hashed(TOKEN)}"\nrole = "agent"\n', encoding="utf-8"
    )
    app = build(Settings(store=folder / ".surefoot" / "surefoot.db"))
    genome = Genome((Block(id="role", kind="section", text="Support.", locked=True),))
    asyncio.run(create_agent(app.ports, "bench", genome, by="bench", habits=Habits(model="local-lexical")))
    app.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"},
    )  # fmt: skip
    processes.append(process)
    assert process.stderr is not None
    for line in process.stderr:
        if "listening on http://127.0.0.1:" in line:
            port = int(line.split("listening on http://127.0.0.1:")[1].split(";")[0])
            return ready(port)
        print(line, end="", file=sys.stderr)
    raise SystemExit("the server did not start")


def ready(port: int) -> int:
    """Wait until the server can serve, and give its port."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
                return port
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not get ready")


def floor(processes: list[subprocess.Popen[str]], path: Path, shared: bool) -> int:
    """The bare writer: the one that everybody shares where it is there, else our own."""
    if not shared:
        words = [sys.executable, "-m", "bench._ingest_parts", str(path)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = [sys.executable, str(SHARED_FLOOR), "--port", str(port), "--db", str(path)]
    processes.append(subprocess.Popen(words, text=True))
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.05)
    raise SystemExit("the floor did not start")


def filled(app: App, count: int) -> None:
    """Put so many traces into the store by SQL, with failures of 10, 5 and 2 percent in three versions."""
    now = int(datetime.now(UTC).timestamp() * 1e6)
    columns = (
        "id, agent, version, rollout, unit, arm, weight_percent, epoch, input, output, finish, source, slices,"
        "latency_s, cost_usd, at, cased"
    )

    def work(connection) -> None:  # type: ignore[no-untyped-def]
        run = connection.exec_driver_sql
        run("CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM c WHERE i < "
            f"{count - 1}) SELECT i, 1 + (i % 4) % 3 AS v FROM c")  # fmt: skip
        run(f"INSERT INTO traces ({columns}) SELECT printf('t%09d', i), 'many', v, '', printf('u%d', i), 'incumbent',"
            "0, 0, 'May I send it back after nineteen days?', 'Yes, within thirty days.', 'stop', '', '{}', 0.4,"
            f"0.0001, {now} - i * 1000, 0 FROM n")  # fmt: skip
        bad = "(v = 1 AND i % 10 = 0) OR (v = 2 AND i % 20 = 1) OR (v = 3 AND i % 50 = 2)"
        run("INSERT INTO outcomes (trace_id, verdict, expected, feedback, source, at) SELECT printf('t%09d', i),"
            f"'failure', 'no', '', 'bench', {now} FROM n WHERE {bad}")  # fmt: skip
        run("INSERT INTO failures (agent, version, trace_id, input, predicted, expected, source, slices, at) SELECT"
            f"'many', v, printf('t%09d', i), 'May I', 'yes', 'no', '', '{{}}', {now} FROM n WHERE {bad}")  # fmt: skip
        run(f"INSERT INTO verdict_counts SELECT 'many', v, 'failure', count(*) FROM n WHERE {bad} GROUP BY v")
        run(f"INSERT INTO verdict_counts SELECT 'many', v, 'unknown', count(*) FROM n WHERE NOT ({bad}) GROUP BY v")

    with app.store.engine.begin() as connection:
        work(connection)


def failures_query_ms(folder: Path, count: int) -> tuple[float, float]:
    """Give how long it takes to count the failures of each version, and to list the last hundred; medians of 20."""
    app = build(Settings(store=folder / "many.db"))
    genome = Genome((Block(id="role", kind="section", text="Support.", locked=True),))
    asyncio.run(create_agent(app.ports, "many", genome, by="bench", habits=Habits(model="local-lexical")))
    filled(app, count)
    counts, lists = list[float](), list[float]()
    for _ in range(20):
        began = time.perf_counter()
        app.store.read_now(lambda tx: [tx.outcomes.labelled("many", version=one).failure for one in (1, 2, 3)])
        counts.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        app.store.read_now(lambda tx: tx.outcomes.failures("many", limit=100))
        lists.append((time.perf_counter() - began) * 1e3)
    app.close()
    return statistics.median(counts), statistics.median(lists)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--own-floor", action="store_true", help="never the shared floor")
    given = parser.parse_args()
    seen: dict[str, list[dict[str, float]]] = {"ours": [], "floor": []}
    shared = SHARED_FLOOR.exists() and not given.own_floor
    processes: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            ports = {"ours": ours(processes, folder / "ours"), "floor": floor(processes, folder / "floor.db", shared)}
            for number in range(given.rounds):
                for which in ("ours", "floor") if number % 2 == 0 else ("floor", "ours"):
                    got = asyncio.run(load(ports[which], TOKEN, given.clients, given.seconds, "bench"))
                    seen[which].append(got)
                    print(f"  {number} {which:6} " + " ".join(f"{k}={v:.1f}" for k, v in got.items()), file=sys.stderr)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(20)
        count_ms, list_ms = failures_query_ms(folder, given.traces) if given.traces else (0.0, 0.0)
    print(f"\n{'':8}{'spans/s':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for which, rows in seen.items():
        cells = [statistics.median(one[what] for one in rows) for what in ("spans_per_s", "p50_ms", "p99_ms")]
        print(f"{which:8}{cells[0]:10.0f}{cells[1]:9.1f}{cells[2]:9.1f}")
    pairs = zip(seen["ours"], seen["floor"], strict=True)
    numbers = {
        "spans_per_s": statistics.median(one["spans_per_s"] for one in seen["ours"]),
        "ack_p99_ms": statistics.median(one["p99_ms"] for one in seen["ours"]),
        "failures_query_ms": count_ms, "failures_list_ms": list_ms,
        "floor_ratio": statistics.median(a["spans_per_s"] / b["spans_per_s"] for a, b in pairs),
        "floor_spans_per_s": statistics.median(one["spans_per_s"] for one in seen["floor"]),
        "refused": sum(one["refused"] for one in seen["ours"]), "traces": float(given.traces),
        "shared_floor": float(shared),
    }  # fmt: skip
    print("\n" + "\n".join(f"{name:24}{value:12.3f}" for name, value in numbers.items()))
    if given.json:
        Path(given.json).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
