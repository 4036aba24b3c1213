"""A real `surefoot serve` and real processes, each a subprocess on loopback, and ways to knock at them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from node import Node

from surefoot.core.token import hashed

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
ROLES = {"ops": "operator", "app": "agent", "eve": "viewer", "ana": "admin", "rob": "reviewer", "far": "agent"}
CONNECTOR = "the-token-of-the-connector-in-tests"
V1 = "/api/v1"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    json: Any


def ask(port: int, method: str, path: str, body: Any = None, *, as_: str = "app", **headers: str) -> Answer:
    sent = {"Content-Type": "application/json"} if body is not None else {}
    sent |= {"Authorization": f"Bearer sf_{as_}"} if as_ else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, raw, sent)
        got = connection.getresponse()
        text = got.read().decode()
        told = json.loads(text) if "json" in (got.getheader("content-type") or "") else text
        return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, told)


class Killable:
    """A process of a version that can be killed."""

    def __init__(self, version: str, *, port: int = 0) -> None:
        self.version = version
        self.running = subprocess.Popen(
            [sys.executable, str(HERE / "node.py"), version, str(port)], text=True, stdout=subprocess.PIPE
        )
        assert self.running.stdout is not None
        self.port = int(self.running.stdout.readline())

    def end(self) -> None:
        self.running.send_signal(signal.SIGKILL)
        self.running.wait(10)
        if self.running.stdout is not None:
            self.running.stdout.close()


class Threaded:
    """The same in a thread of the tests."""

    def __init__(self, version: str, *, port: int = 0, **environ: str) -> None:
        self.version = version
        self.server = Node(version, port, environ)
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def url(node: Killable | Threaded) -> str:
    return f"http://127.0.0.1:{node.port}"


@dataclass
class House:
    """A server on a store, and the processes around it."""

    folder: Path
    server: subprocess.Popen[str] | None = None
    port: int = 0
    agent: str = "tickets"
    nodes: list[Killable | Threaded] = field(default_factory=list[Killable | Threaded])

    def start(self, **settings: Any) -> None:
        lines = ["[processes]"]
        given = {"probe_every_s": 0.2, "probe_s": 1.0, "deadline_s": 10.0, **settings}
        lines += [f"{name} = {json.dumps(value)}" for name, value in given.items() if not isinstance(value, dict)]
        for name, table in given.items():
            if isinstance(table, dict):
                lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        for name, role in ROLES.items():
            lines += [f"[tokens.{name}]", f'sha256 = "{hashed(f"sf_{name}")}"', f'role = "{role}"']
            lines += ['agents = ["elsewhere"]'] if name == "far" else []
        lines += ["[notify]", 'allow_private_hosts = ["127.0.0.1"]', "terminal = false"]
        lines += ["[connector]", 'token_env = "CONNECTOR_TOKEN"'] if "connector" not in given else []
        (self.folder / "surefoot.toml").write_text("\n".join(lines) + "\n")
        self.begin()

    def begin(self, port: int = 0) -> None:
        """Start the server on the settings that are there."""
        store = self.folder / "store.db"
        self.server = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), str(port)], text=True, stdout=subprocess.PIPE, cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "SUREFOOT_STORE": str(store), "CONNECTOR_TOKEN": CONNECTOR,
                 "SUREFOOT_WEBHOOK_SECRET": "a secret that is long enough for this"},
        )  # fmt: skip
        assert self.server.stdout is not None
        self.port = int(self.server.stdout.readline())

    def kill(self) -> None:
        assert self.server is not None
        self.server.send_signal(signal.SIGKILL)
        self.server.wait(10)
        self._closed()

    def _closed(self) -> None:
        assert self.server is not None
        if self.server.stdout is not None:
            self.server.stdout.close()

    def ask(self, method: str, path: str, body: Any = None, **given: Any) -> Answer:
        return ask(self.port, method, V1 + path, body, **given)

    def guest(self, agent: str) -> House:
        """The same server, for another agent."""
        return replace(self, agent=agent, nodes=[])

    def register(self, node: Killable | Threaded, *, as_: str = "ops", **given: Any) -> Answer:
        body = {"version": node.version, "base_url": url(node), "content": f"prompt of {node.version}",
                "reasoners": [{"name": one} for one in ("classify", "slow", "late", "broken")], **given}  # fmt: skip
        return self.ask("POST", f"/agents/{self.agent}/processes", body, as_=as_)

    def up(self, version: str, **environ: str) -> Threaded:
        node = Threaded(version, **environ)
        self.nodes.append(node)
        assert (got := self.register(node)).status == 201, got.json
        return node

    def killable(self, version: str) -> Killable:
        node = Killable(version)
        self.nodes.append(node)
        assert self.register(node).status == 201
        return node

    def execute(self, text: str = "hello", *, reasoner: str = "classify", as_: str = "app", **headers: str) -> Answer:
        return self.ask("POST", f"/execute/{self.agent}.{reasoner}", {"input": {"text": text}}, as_=as_, **headers)

    def weight(self, version: str, weight: Any, *, token: str = CONNECTOR) -> Answer:
        path = f"/connector/reasoners/{self.agent}/versions/{version}/weight"
        return self.ask("PUT", path, {"weight": weight}, as_="", X_Connector_Token=token)

    def versions(self) -> dict[str, Any]:
        got = self.ask("GET", f"/connector/reasoners/{self.agent}/versions", as_="", X_Connector_Token=CONNECTOR)
        return {one["version"]: one for one in got.json["versions"]}

    def process(self, version: str) -> Any:
        """The one process of a version."""
        found = self.ask("GET", f"/agents/{self.agent}/processes", as_="eve").json["processes"]
        (mine,) = [one for one in found if one["version"] == version]
        return mine

    def strata(self) -> list[tuple[str, bool, int]]:
        """The labels of the rollouts, as evidence counts them: (arm, failed, units)."""
        from surefoot.adapters.store import open_store

        store = open_store(self.folder / "store.db")
        try:
            return store.read_now(lambda tx: [
                (arm, failed, units)
                for rollout in tx.rollouts.all(self.agent)
                for one in tx.rollouts.strata(rollout.id)
                for arm, failed, units in (
                    ("challenger", True, one.challenger_failures),
                    ("challenger", False, one.challenger_successes),
                    ("incumbent", True, one.incumbent_failures),
                    ("incumbent", False, one.incumbent_successes),
                ) if units
            ])  # fmt: skip
        finally:
            store.close()

    def labels(self) -> int:
        """How many requests of the agent have an outcome."""
        from surefoot.adapters.store import open_store

        store = open_store(self.folder / "store.db")
        try:
            known = store.read_now(lambda tx: tx.outcomes.labelled(self.agent))
        finally:
            store.close()
        return known.success + known.failure

    def stored(self) -> bytes:
        """All bytes of the store."""
        return b"".join(path.read_bytes() for path in self.folder.glob("store.db*"))

    def soon(self, truth: Callable[[], Any], within_s: float = 8.0) -> Any:
        until = time.monotonic() + within_s
        while not (found := truth()) and time.monotonic() < until:
            time.sleep(0.05)
        assert found, "it did not become true in time"
        return found

    def leave(self) -> None:
        """End the processes of this agent."""
        for one in self.nodes:
            one.end()

    def end(self) -> None:
        self.leave()
        if self.server is not None:
            self.server.kill()
            self.server.wait(10)
            self._closed()


def content(version: str) -> str:
    """The hash under which the house registers a version."""
    return hashlib.sha256(f"prompt of {version}".encode()).hexdigest()


@contextlib.contextmanager
def house(folder: Path, **settings: Any) -> Iterator[House]:
    one = House(folder)
    try:
        one.start(**settings)
        yield one
    finally:
        one.end()
