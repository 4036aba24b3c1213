"""A store with one of everything, behind a server, and requests that name what is really there.

Made-up requests alone meet 404 and little else. Here most of them carry ids that exist (path, query and body), and the
bodies of routes that nothing made up would ever satisfy are given as they are meant.
"""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
from rest_house import GOOD, LABELS, Door, traffic, win

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

from exam_house import ScriptedJudge, Subject, a_suite, ran, ruling

from surefoot.core.backlog import Lever
from surefoot.core.incident import Incident
from surefoot.core.notice import Notice
from surefoot.engine.work import ended

CONNECTOR = "the-token-of-the-connector-in-tests"
NODE = "tickets"
CODE = {"support": "0001", "other": "0002", NODE: "0003"}  # no id holds the name of its agent
Ids = dict[str, list[Any]]
NUMBERS = itertools.count(1)
SUITE = {"suite": "smoke", "cases": [{"id": "a", "input": "x", "expected": "billing", "checks": ["equals"]}]}


class _Answers(http.server.BaseHTTPRequestHandler):
    """A process: well, and quick to answer; `late` takes the work over and never reports."""

    def do_GET(self) -> None:
        self._said(200, {"status": "ok"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._said(202 if self.path.endswith("late") else 200, {"label": "billing"})

    def _said(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def a_process() -> Iterator[str]:
    """Give the address of a process on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Ends:
    """Begins no process: a job ends as soon as it begins, so that the next one has room."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def launch(self, job: str) -> str:
        from surefoot.engine.once import this_process

        await ended(self.door.app.ports, job, exit_code=0, result={"ended": "at once"})
        return this_process()

    async def stop(self, job: str, owner: str) -> bool:
        return False


@dataclass
class Furnished:
    """The door, the address of a process, and what there is: ids by the name of what they fill, of each agent."""

    door: Door
    process: str
    ids: dict[str, Ids]
    everywhere: Ids

    def beat(self) -> None:
        """Say for the processes that they are there, as they would themselves: a long test outlasts their lease."""
        for process in self.ids[NODE]["process"]:
            self.door.post(f"/agents/{NODE}/processes/{process}/heartbeat", {}, by="app")


def furnish(door: Door, process: str) -> Furnished:
    """Put one of everything into the store of a server."""
    door.api.state.reception = replace(door.api.state.reception, launcher=Ends(door))
    for agent in ("support", "other"):
        door.put(f"/agents/{agent}/memory/limit", {"value": [1], "scope": "agent"}, by="app")
        door.post(f"/agents/{agent}/traces", {"traces": [_trace(f"trace-{CODE[agent]}")]}, by="app")
        door.post(f"/agents/{agent}/pauses", {"name": "ship", "reason": "ready?"}, by="app")
        door.post(f"/agents/{agent}/ticks", by="olga")
    door.do(win)
    door.do(lambda app: _second_rollout(app, "other"))
    door.do(_records)
    runs = door.do(_examined)
    for number in range(2):
        door.post(f"/agents/{NODE}/processes", _build(f"{number + 1}.0.0", process))
    works = [door.post(f"/execute/async/{NODE}.{name}", {"input": {"n": n}}, by="app").json["execution_id"]
             for n, name in enumerate(("classify", *["late"] * 7))]  # fmt: skip
    for work in works[3:6]:
        door.post(f"/executions/{work}/request-approval", {"approval_request_id": f"go-{work}"}, by="app")
    hooks = [door.post("/webhooks", {"url": "https://hooks.example.com/x", "agents": agents}).json["id"]
             for agents in ([], ["support"])]  # fmt: skip
    tokens = [door.post("/tokens", {"name": f"guest-{n}", "role": "viewer", "agents": agents}).json["id"]
              for n, agents in enumerate(([], ["support"], ["support", "other"]))]  # fmt: skip
    ids = {agent: _of(door, agent) for agent in ("support", "other", NODE)}
    ids[NODE] |= {"execution_id": works, "name": [], "lever": [], "trace": [], "session": []}
    ids["other"]["before"] = ids["other"]["after"] = ["1", "2"]
    ids["support"]["run"] = ids["support"]["before"] = runs
    digest = door.get(f"/evals/{runs[0]}").json["suite_digest"]
    everywhere: Ids = {
        "webhook": hooks, "token": tokens, "digest": [digest], "notice": ["n-dead", "n-late"],
        "actor": ["nobody-in-particular"], "which": ["live", "draft", "1"],
    }  # fmt: skip
    return Furnished(door, process, ids, everywhere)


def _trace(name: str) -> dict[str, Any]:
    return {"id": name, "version": 1, "unit": "u-1", "input": "hello", "output": "billing", "session": "s-1",
            "actor": "a-1", "external_id": f"ext-{name}", "at": "2026-01-01T00:00:00Z", "steps": [
                {"id": "00000000000000a1", "name": "chat", "kind": "chat", "started": 1.0, "ended": 2.0}]}  # fmt: skip


def _build(version: str, process: str) -> dict[str, Any]:
    return {"version": version, "base_url": process, "content": f"prompt {version}",
            "reasoners": [{"name": "classify"}, {"name": "late"}]}  # fmt: skip


async def _second_rollout(app: Any, agent: str) -> None:
    from surefoot.core.genome import Genome
    from surefoot.engine.operate import reconcile, start_rollout
    from surefoot.engine.register import offer_version

    await traffic(app, 6, agent=agent, start=90_000)
    genome = await app.ports.store.read(lambda tx: tx.versions.genome(tx.agents.get(agent).base))
    await offer_version(app.ports, agent, Genome((*genome.blocks, GOOD)), by="ann", rationale="knows the answer")
    rollout = await start_rollout(app.ports, agent, 2, by="bob", forced_by="bob")
    await reconcile(app.ports, rollout.id)


async def _records(app: Any) -> None:
    now = datetime.now(UTC)

    def work(tx: Any) -> None:
        for agent in ("support", "other"):
            tx.levers.put(Lever(id=f"lever-{CODE[agent]}", agent=agent, gap="missed:refund", title="refunds",
                                impact=0.5, failures=5))  # fmt: skip
            tx.incidents.add(Incident(id=f"incident-{CODE[agent]}", agent=agent, kind="sentinel", at=now, version=1,
                                      sentence=f"{agent} moved"))  # fmt: skip
            tx.jobs.add(_job(f"job-{CODE[agent]}", agent, now))
        for name, state in (("n-dead", "dead"), ("n-late", "waiting")):
            tx.notices.add(Notice(id=name, channel="webhook", kind="freeze_recommended", agent="support",
                                  subject="support", sentence="support moved", at=now, state=state,
                                  next_at=now + timedelta(days=1)))  # fmt: skip

    await app.ports.store.write(work)


def _job(name: str, agent: str, now: datetime) -> Any:
    from surefoot.core.job import Job

    return Job(id=name, kind="tick", agent=agent, words=("tick", agent), by="olga", at=now, state="done",
               ended_at=now, exit_code=0, owner="gone:1")  # fmt: skip


async def _examined(app: Any) -> list[str]:
    """Two runs of one suite on `support`, with answers that wait for a person's label."""
    from surefoot.engine.run import Terms

    judge, found = ScriptedJudge([ruling("pass"), ruling("fail")]), []
    for _ in range(2):
        run = await ran(app, a_suite(12, criteria=["kind"]), Subject(), Terms(agent="support"), judge=judge)
        found.append(run.id)
    return found


def _of(door: Door, agent: str) -> Ids:
    """What there is of one agent, as its own lists say."""

    def see(tx: Any) -> Ids:
        return {
            "agent": [agent], "rollout": [one.id for one in tx.rollouts.all(agent)],
            "approval": [one.id for one in tx.approvals.all(agent)], "version": [1, 2],
            "lever": [one.id for one in tx.levers.all(agent)], "execution_id": [], "run": [], "before": [],
            "incident": [one.id for one in tx.incidents.all(agent)], "key": ["limit"], "name": ["ship"],
            "job": [one.id for one in tx.jobs.all(limit=9, agents=[agent])],
            "work": [f"job-{CODE[agent]}"], "session": ["s-1"],
            "process": [one.id for one in tx.processes.of(agent)], "target": [f"{NODE}.classify", f"{NODE}.late"],
            "trace": [f"trace-{CODE[agent]}"], "trace_id": [f"trace-{CODE[agent]}"], "what": ["traces", "outcomes"],
            "execution": [""], "execution_ids": [], "external_id": [f"ext-trace-{CODE[agent]}"],
        }  # fmt: skip

    return door.see(see)


# Requests -----------------------------------------------------------------------------------------------------------


def made_up(operation: Any, examples: int) -> list[Any]:
    """Requests that fit the operation's description, and the same ones each time."""
    cases: list[Any] = []

    @hypothesis.settings(
        max_examples=examples, database=None, deadline=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy())
    def collect(case: Any) -> None:
        cases.append(case)

    collect()
    return cases


def seeded(given: Furnished, case: Any, chance: random.Random, *, agent: str = "", real: float = 0.8) -> Any:
    """Put ids that are there into a case, each with the probability `real`; all of one agent, so that they fit."""
    agent = agent or chance.choice(_able(given, case))
    known = {**given.everywhere, **given.ids[agent]}
    if "connector" in case.operation.path:
        known["version"] = ["1.0.0", "2.0.0"]
    case.path_parameters = _filled(case.path_parameters, known, chance, real)
    case.query = _filled(case.query, known, chance, real) if case.query else case.query
    if isinstance(case.query, dict) and "wait_s" in case.query:
        case.query["wait_s"] = 0
    meant = MEANT.get(f"{case.operation.method.upper()} {case.operation.path.removeprefix('/api/v1')}")
    if meant is not None and chance.random() < real:
        case.body = meant(given, case.path_parameters, agent)
    elif isinstance(case.body, dict):
        case.body = _filled(case.body, known, chance, real)
        if "timeout_s" in case.body or "/execute/" in case.operation.path:
            case.body["timeout_s"] = 0.3  # some of what is asked for is never reported
    return case


def _able(given: Furnished, case: Any) -> list[str]:
    """The agents that have all that a path names."""
    if "connector" in case.operation.path:
        return [NODE]
    wanted = set(case.path_parameters or {}) - set(given.everywhere)
    return [agent for agent, ids in given.ids.items() if all(ids.get(name) for name in wanted)] or ["support"]


def _filled(values: Any, known: Ids, chance: random.Random, real: float) -> Any:
    found = dict(values or {})
    for name, value in found.items():
        if isinstance(value, dict):
            found[name] = _filled(value, known, chance, real)
        elif known.get(name) and chance.random() < real:
            found[name] = chance.choice(known[name])
    return found


def _decision(given: Furnished, path: Mapping[str, Any], _: str) -> Any:
    seen = given.door.get(f"/approvals/{path['approval']}").json
    return {"decision": "rejected", "version_hash": seen.get("version_hash", "0" * 64),
            "evidence_hash": seen.get("evidence_hash", "0" * 64), "feedback": "no"}  # fmt: skip


def _labelled(given: Furnished, path: Mapping[str, Any], _: str) -> Any:
    waits = given.door.get(f"/evals/{path['run']}/label").json.get("next") or {}
    return {"case": waits.get("case", "c1"), "verdict": "pass"}


def _proposed(given: Furnished, _: Mapping[str, Any], agent: str) -> Any:
    seen = given.door.get(f"/agents/{agent}/brief").json
    edit = {"op": "add", "block": {"id": "made", "kind": "rule", "text": "Be brief."}}
    return {"lever": seen.get("lever", "x"), "genome": seen.get("genome", "0" * 64), "protocol": 1, "edits": [edit]}


def _offered(given: Furnished, _: Mapping[str, Any], agent: str) -> Any:
    blocks = given.door.get(f"/agents/{agent}/genomes/live").json.get("blocks", [])
    return {"blocks": [*blocks, {"id": "more", "kind": "rule", "text": f"Be {next(NUMBERS)}."}], "why": "x"}


def _failed(given: Furnished, _: Mapping[str, Any], agent: str) -> Any:
    """A failure that is there."""
    found = given.door.get(f"/agents/{agent}/failures").json.get("failures") or [{"trace_id": "none"}]
    return {"failure": found[0]["trace_id"], "reason": "often"}


Meant = Callable[[Furnished, Mapping[str, Any], str], Any]
MEANT: dict[str, Meant] = {
    "POST /agents": lambda g, _p, _a: {"name": f"made{next(NUMBERS)}", "labels": list(LABELS)},
    "POST /agents/{agent}/versions": _offered,
    "POST /agents/{agent}/rollouts": lambda _g, _p, _a: {"version": 2, "force": True, "queue": True},
    "POST /agents/{agent}/traces": lambda _g, _p, a: {"traces": [_trace(f"again-{CODE[a]}")]},
    "POST /agents/{agent}/proposals": _proposed,
    "POST /agents/{agent}/pauses": lambda _g, _p, _a: {"name": "ship-2"},
    "POST /agents/{agent}/pauses/{name}/decision": lambda _g, _p, _a: {"decision": "approved"},
    "POST /agents/{agent}/processes": lambda g, _p, a: _build("3.0.0", g.process),
    "POST /webhooks/approval-response": lambda _g, _p, a: {
        "agent": "other", "pause": "ship", "decision": "approved", "by": "bob"},
    "POST /agents/{agent}/levers": _failed,
    "POST /agents/{agent}/cases": lambda g, p, a: {"trace_id": _failed(g, p, a)["failure"]},
    "POST /agents/{agent}/levers/{lever}/close": lambda _g, _p, _a: {"reason": "not now"},
    "POST /agents/{agent}/levers/{lever}/reopen": lambda _g, _p, _a: {"reason": "now"},
    "POST /agents/{agent}/processes/{process}/heartbeat": lambda _g, _p, _a: {},
    "POST /agents/{agent}/harness": lambda _g, _p, _a: {
        "talk": "talk-00001", "number": 0, "messages": [{"role": "user", "content": "hi"}]},
    "POST /approvals/{approval}/decision": _decision,
    "POST /evals/{run}/label": _labelled,
    "POST /evals": lambda _g, _p, _a: {"agent": "support", "suite": SUITE},
    "POST /suites/check": lambda _g, _p, _a: {"suite": SUITE},
    "POST /login": lambda _g, _p, _a: {"token": "sf_ana"},
    "POST /outcomes": lambda _g, _p, a: {"trace_id": f"trace-{CODE[a]}", "verdict": "failure"},
    "POST /outcomes/batch": lambda _g, _p, a: {"outcomes": [{"trace_id": f"trace-{CODE[a]}", "verdict": "failure"}]},
    "POST /agents/{agent}/outcomes": lambda _g, _p, a: {"trace_id": f"trace-{CODE[a]}", "verdict": "failure"},
    "POST /tokens": lambda _g, _p, _a: {"name": f"made-{next(NUMBERS)}", "role": "viewer"},
    "POST /webhooks": lambda _g, _p, _a: {"url": "https://hooks.example.com/y", "events": [], "agents": []},
    "POST /executions/batch-status": lambda g, _p, _a: {"execution_ids": g.ids[NODE]["execution_id"]},
    "POST /executions/{execution_id}/request-approval": lambda _g, _p, _a: {"approval_request_id": "go-on"},
    "POST /executions/{execution_id}/approval-response": lambda _g, _p, _a: {"decision": "approved"},
    "POST /executions/{execution_id}/status": lambda _g, _p, _a: {"status": "running"},
    "POST /execute/{target}": lambda _g, _p, _a: {"input": {"text": "x"}, "timeout_s": 0.5},
    "POST /execute/async/{target}": lambda _g, _p, _a: {"input": {"text": "x"}, "timeout_s": 0.5},
    "PUT /agents/{agent}/settings": lambda _g, _p, _a: {"min_failures": 5 + next(NUMBERS)},
    "PUT /agents/{agent}/memory/{key}": lambda _g, _p, _a: {"value": [1], "scope": "agent"},
    "POST /agents/{agent}/memory/{key}/append": lambda _g, _p, _a: {"item": 2, "scope": "agent"},
    "PUT /agents/{agent}/current": lambda _g, _p, _a: {"version": 1},
    "PUT /agents/{agent}/versions/{version}/weight": lambda _g, _p, _a: {"weight": 6},
    "PUT /connector/reasoners/{agent}/versions/{version}/weight": lambda _g, _p, _a: {"weight": 4},
}  # fmt: skip
