"""What the pages of the dashboard cost a server whose store is full, screen by screen.

The store holds a million requests with their outcomes, 500 versions, 10 000 each of failures, levers and approvals, an
audit record of a million entries, and one trace of 10 000 spans. Each screen is asked for again and again in the
process that measures; the wall clock says what a person waits for, the processor's what it costs where others are at
work too. The goal is 100 ms at the 99th percentile.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from surefoot.app import App, build
from surefoot.config import Settings, TokenSettings
from surefoot.core.agent import Habits
from surefoot.core.approval import Approval
from surefoot.core.audit import Checked, sealed
from surefoot.core.backlog import Lever
from surefoot.core.genome import Block, Genome
from surefoot.core.incident import Incident
from surefoot.core.lesson import Lesson
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent, hashed
from surefoot.core.version import Version
from surefoot.dashboard import Dashboard
from surefoot.dashboard.application import SCREENS
from surefoot.engine.look import evidence_digest
from surefoot.engine.observe import Said, observe_all
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.engine.verify import remember
from surefoot.ports import Tx

GOAL_MS, LABELS, NAME, TOKEN = 100.0, ("left", "right", "up", "down"), "bench", "sf_bench"
TRACE = "0af7651916cd43dd8448eb211c80319c"
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :many)"
# Times go back from now, evenly over eight days; one request in a hundred failed.
_AT = ":now - CAST(691200000000.0 * (:many - i) / :many AS INTEGER)"
_FAILED = "i % (:many / :some) = 0"
_ANSWERS = "CASE i % 5 WHEN 0 THEN 'left' WHEN 1 THEN 'right' WHEN 2 THEN 'up' WHEN 3 THEN 'down' ELSE 'none' END"
# Constants of this file only; ids and sizes are bound.
FILL = (
    f"""INSERT INTO traces (id, agent, version, rollout, unit, arm, weight_percent, epoch, input, output, finish,
    source, slices, latency_s, cost_usd, at, cased, session) {_NUMBERS}
    SELECT 'old-' || i, 'bench', 1 + i * 500 / :many, '', 'u-' || i, 'incumbent', 0.0, 0, 'which way is it for ' || i,
           {_ANSWERS}, 'stop', 'user-' || (i % 9999), '{{"channel":"mail"}}', 0.4, 0.002, {_AT}, 1,
           CASE WHEN i % 100 = 0 THEN 'call-' || (i / 100 % 500) ELSE '' END FROM n""",
    f"""INSERT INTO outcomes (trace_id, verdict, expected, feedback, source, at) {_NUMBERS}
    SELECT 'old-' || i, CASE WHEN {_FAILED} THEN 'failure' ELSE 'success' END, 'left', '', 'bench', {_AT} FROM n""",
    f"""INSERT INTO failures (agent, version, trace_id, input, predicted, expected, source, slices, at) {_NUMBERS}
    SELECT 'bench', 1 + i * 500 / :many, 'old-' || i, 'which way is it for ' || i, {_ANSWERS},
           CASE i / 100 % 4 WHEN 0 THEN 'left' WHEN 1 THEN 'right' WHEN 2 THEN 'up' ELSE 'down' END,
           'user-' || (i % 9999), '{{"channel":"mail"}}', {_AT} FROM n WHERE {_FAILED}""",
    f"""INSERT INTO verdict_counts (agent, version, verdict, n) {_NUMBERS}
    SELECT 'bench', 1 + i * 500 / :many, CASE WHEN {_FAILED} THEN 'failure' ELSE 'success' END, COUNT(*) FROM n
    WHERE 1 GROUP BY 2, 3 ON CONFLICT DO UPDATE SET n = n + excluded.n""",
    f"""INSERT INTO audit (seq, at, actor, action, subject, payload, previous, digest) {_NUMBERS}
    SELECT i + 1, {_AT}, 'user-' || (i % 20), CASE i % 9 WHEN 0 THEN 'candidate' WHEN 1 THEN 'lesson-added'
           ELSE 'rollout-ramp' END, 'bench/v' || (1 + i % 500), '{{"sentence":"The share goes up."}}', '', i FROM n
    WHERE i >= (SELECT COUNT(*) FROM audit)""",
    f"""INSERT INTO approvals (id, agent, state, requested_at, document) {_NUMBERS}
    SELECT a.id || '-' || i, a.agent, 'rejected', {_AT}, json_set(a.document, '$.id', a.id || '-' || i, '$.state',
           'rejected', '$.decided_by', 'bob') FROM n, approvals a WHERE i < :some AND a.id = 'first'""",
    f"""INSERT INTO levers (agent, id, document) {_NUMBERS}
    SELECT l.agent, l.id || '-' || i, json_set(l.document, '$.id', l.id || '-' || i, '$.gap', 'missed:' || i,
           '$.impact', 0.0001 * (i % 97)) FROM n, levers l WHERE i < :some AND l.id = 'L-first'""",
    f"""INSERT INTO incidents (id, agent, kind, state, at, revision, document) {_NUMBERS}
    SELECT 'closed-' || i, c.agent, c.kind, 'closed', {_AT}, 0, json_set(c.document, '$.id', 'closed-' || i, '$.state',
           'closed') FROM n, incidents c WHERE i < :some AND c.id = 'first'""",
    f"""INSERT INTO lessons (agent, document) {_NUMBERS}
    SELECT l.agent, l.document FROM n, lessons l WHERE i < :some / 10 AND l.seq = (SELECT MAX(seq) FROM lessons)""",
    f"""INSERT INTO reconciles (rollout, seq, at, document) {_NUMBERS}
    SELECT r.rollout, 1000 + i, {_AT}, json_set(r.document, '$.seq', 1000 + i, '$.action', 'hold')
    FROM n, reconciles r WHERE i < :some / 5 AND r.seq = 1""",
)


class Filled:
    """A store that is filled, and the names of what is in it."""

    def __init__(self, app: App, *, many: int, some: int, spans: int, versions: int) -> None:
        self.app, self.many, self.some, self.spans, self.versions = app, many, some, spans, versions
        self.names = {"agent": NAME, "approval": "first", "trace": TRACE, "lever": "L-first", "session": "call-7"}
        self.fresh = ""

    async def make(self) -> None:
        """Fill it: what has rules by the engine, what is only many by the database."""
        ports, base = self.app.ports, starting_genome(LABELS)
        terms = RolloutSettings(ledger_slots=None, horizon_labels=10**9, holdback_percent=0)
        await create_agent(ports, NAME, base, by="bench", labels=LABELS, habits=Habits(rollout=terms))
        await create_agent(ports, "rare", base, by="bench", labels=LABELS)
        await offer_version(ports, NAME, _ruled(base, 2), by="bench", rationale="the second")
        rollout = await start_rollout(ports, NAME, 2, by="bench", forced_by="bench")
        await reconcile(ports, rollout.id)
        said = [
            Said(trace_id=(await serve(ports, NAME, f"which way, {number}", unit=f"v{number}")).trace_id,
                 verdict="success" if number % 4 else "failure")
            for number in range(200)
        ]  # fmt: skip
        await observe_all(ports, said, sees=any_agent)
        await reconcile(ports, rollout.id)
        self.names["rollout"] = rollout.id
        await ports.store.write(lambda tx: self._first_ones(tx, base, rollout.id))
        self._in_bulk()
        await ports.store.write(self._last_entry)
        await self._spans()

    def _first_ones(self, tx: Tx, base: Genome, rollout: str) -> None:
        now, name = self.app.ports.clock(), NAME
        seen = next(evidence_digest(rollout, row.evidence) for row in tx.rollouts.history(rollout)
                    if "e_win" in row.evidence)  # fmt: skip
        for number in range(3, self.versions + 1):
            genome = _ruled(base, number)
            tx.versions.add(Version(
                agent=name, number=number, genome=genome.digest, parent=number - 1 - number % 3,
                author="improver:reflect", rationale=f"rule {number} of the gap left", state="rejected", created_at=now,
            ), genome)  # fmt: skip
        tx.levers.put(Lever(id="L-first", agent=name, gap="missed:none", title="left answered as right (9)",
                            impact=0.01, failures=9))  # fmt: skip
        tx.levers.put(Lever(id="L-left", agent=name, gap="missed:left", title="left", impact=0.1, failures=9,
                            state="shipped", shipped_in=400))  # fmt: skip
        tx.approvals.add(Approval(
            id="first", agent=name, rollout=rollout, version=2, version_digest=tx.versions.get(name, 2).genome,
            evidence_digest=seen, proposers=("bench",), requested_at=now, expires_at=now + timedelta(days=3),
        ))  # fmt: skip
        tx.incidents.add(Incident(id="first", agent=name, kind="sentinel", at=now, version=1, sentence="It moved."))
        tx.lessons.add(Lesson(agent=name, text="rules that quote the label do best", evidence="9", tick=3, at=now))

    def _in_bulk(self) -> None:
        now = round(self.app.ports.clock().timestamp() * 1e6)
        with self.app.store.engine.begin() as connection:
            for statement in FILL:
                connection.execute(sa.text(statement), {"many": self.many, "some": self.some, "now": now})
        with self.app.store.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")

    def _last_entry(self, tx: Tx) -> None:
        """Seal one more entry behind those that were only counted out, and remember that all before it was walked."""
        entry = tx.audit.append(at=self.app.ports.clock(), actor="bench", action="candidate", subject=NAME, payload={})
        assert entry.digest == sealed((entry.seq - 1, entry.previous), at=entry.at, actor="bench", action="candidate",
                                      subject=NAME, payload={}).digest  # fmt: skip
        remember(tx, Checked(entries=entry.seq, head=entry.digest, at=entry.at, whole_at=entry.at, whole_by="bench"))

    async def _spans(self) -> None:
        """Send one trace of many spans as an instrumented program does."""
        gateway = self.app.gateway(environ={})
        try:
            for start in range(0, self.spans, 1000):
                body = json.dumps(_request(start, min(self.spans, start + 1000))).encode()
                status, _, text = await asked(gateway, "POST", "/v1/traces", body)
                assert status == 200, text
        finally:
            await gateway.aclose()


def _ruled(base: Genome, number: int) -> Genome:
    rule = Block(id=f"rule-{number}", kind="rule", text=f"If it names {number}, answer left.", learned_at="tick-1")
    return Genome((*base.blocks, rule))


def _request(start: int, end: int) -> dict[str, Any]:
    began = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1e9)

    def span(number: int) -> dict[str, Any]:
        attributes = {"gen_ai.agent.name": NAME} if not number else {"gen_ai.tool.name": f"look-{number % 7}"}
        return {
            "traceId": TRACE, "spanId": f"{number + 1:016x}",
            "parentSpanId": f"{number // 8 + 1:016x}" if number else "",
            "name": "invoke_agent" if not number else "execute_tool", "startTimeUnixNano": str(began + number * 1000),
            "endTimeUnixNano": str(began + number * 1000 + 900_000),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        }  # fmt: skip

    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "bench"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span(n) for n in range(start, end)]}]}]}


async def asked(app: Any, method: str, path: str, body: bytes = b"") -> tuple[int, int, bytes]:
    """Ask an application as a server would; gives the status, the size of the answer, and the answer."""
    path, _, query = path.partition("?")
    headers = {
        "authorization": f"Bearer {TOKEN}", "host": "127.0.0.1", "content-type": "application/json",
        "accept": "text/html", "accept-encoding": "identity" if path.endswith(".json") else "gzip",
        "content-length": str(len(body)),
    }  # fmt: skip
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "scheme": "http", "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    status, sent, told = 0, b"", False

    async def receive() -> dict[str, Any]:
        nonlocal told
        if told:
            await asyncio.sleep(3600)
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, sent
        status = message.get("status", status)
        sent += message.get("body", b"")

    try:
        await app(scope, receive, send)
    except Exception:  # what failed was answered, and is then told to the server's log
        if status < 500:
            raise
    return status, len(sent), sent


async def timed(dashboard: Dashboard, path: str, times: int) -> dict[str, float]:
    """Ask for a page again and again; the first time is told by itself, since it makes what later ones find made."""
    walls, costs, size, status = list[float](), list[float](), 0, 0
    for _ in range(times + 1):
        wall, cost = time.perf_counter(), time.process_time()
        status, size, _ = await asked(dashboard, "GET", path)
        walls.append((time.perf_counter() - wall) * 1000)
        costs.append((time.process_time() - cost) * 1000)
    first, walls, costs = walls[0], sorted(walls[1:]), sorted(costs[1:])
    return {"status": status, "bytes": size, "first_ms": first, "p50_ms": statistics.median(walls),
            "p99_ms": walls[-1 - len(walls) // 100], "cpu_p50_ms": statistics.median(costs),
            "cpu_p99_ms": costs[-1 - len(costs) // 100]}  # fmt: skip


async def measured(app: App, filled: Filled, times: int, only: str) -> dict[str, Any]:
    """Fill the store, then time every screen there is; one whose address names something unknown is left out."""
    began, cost = time.perf_counter(), time.process_time()
    await filled.make()
    facts: dict[str, Any] = {"filled_s": time.perf_counter() - began, "filled_cpu_s": time.process_time() - cost}
    facts |= {"goal_ms": GOAL_MS, "screens": {}, "left_out": []}
    dashboard = app.dashboard()
    _, _, newest = await asked(dashboard, "GET", f"/agents/{NAME}/traces.json")
    filled.fresh = json.loads(newest)["fresh"]
    gc.collect()
    gc.freeze()  # as a server does before its first request (cli/serving.py)
    gc.set_threshold(10_000, 20, 50)
    for path in (*(path for path, _ in SCREENS), *MORE):
        if only and only not in path:
            continue
        try:
            address = re.sub(r":\w+}", "}", path).format(**filled.names)
        except KeyError:
            facts["left_out"].append(path)
            continue
        address = filled.fresh if path.endswith("/fresh") else address
        facts["screens"][path] = await timed(dashboard, address, times)
    dashboard.close()
    return facts


COLUMNS = ("first_ms", "p50_ms", "p99_ms", "cpu_p50_ms", "cpu_p99_ms")
MORE = ("/audit?actor=nobody", "/audit?action=lesson-added", "/audit?agent={agent}", "/audit?agent=rare",
        "/agents/{agent}/levers?lever={lever}", "/agents/{agent}/failures?cluster=missed:left",
        "/palette.json")  # fmt: skip


def main() -> None:
    """Print the table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--some", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="only screens whose address holds this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        token = TokenSettings(sha256=hashed(TOKEN), role="admin")
        app = build(Settings(store=Path(place) / "bench.db", tokens={"bench": token}), environ={})
        filled = Filled(app, many=arguments.requests, some=arguments.some, spans=arguments.some, versions=500)
        facts = asyncio.run(measured(app, filled, arguments.times, arguments.only))
        app.close()
    filling = f"{facts['filled_s']:.0f} s ({facts['filled_cpu_s']:.0f} s of the processor)"
    print(f"filled in {filling}; goal {GOAL_MS:g} ms at p99\n")
    print(f"{'screen':<46} {'status':>6} {'kB':>6} {'first':>8} {'p50':>8} {'p99':>8} {'cpu p50':>8} {'cpu p99':>8}")
    for path, one in facts["screens"].items():
        late = " *" if one["cpu_p99_ms"] > GOAL_MS or one["status"] != 200 else ""
        times = " ".join(f"{one[name]:>8.1f}" for name in COLUMNS)
        print(f"{path:<46} {one['status']:>6} {one['bytes'] / 1000:>6.0f} {times}{late}")
    for path in facts["left_out"]:
        print(f"{path:<46} left out: its address names something else")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
