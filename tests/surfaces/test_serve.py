"""`surefoot serve` as processes: killed workers, streams that are let finish, signals, first starts, TLS, logs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.request_key import KEPT, RequestKey
from surefoot.core.token import hashed
from surefoot.engine.register import create_agent

PIECES, GAP_S = 10, 0.15


class Upstream:
    """A model that takes a second and a half for its words."""

    def __init__(self) -> None:
        from starlette.applications import Starlette
        from starlette.responses import StreamingResponse
        from starlette.routing import Route

        async def words() -> AsyncIterator[str]:
            for n in range(PIECES):
                piece = {"choices": [{"index": 0, "delta": {"content": f"w{n} "}, "finish_reason": None}]}
                yield f"data: {json.dumps(piece)}\n\n"
                await asyncio.sleep(GAP_S)
            yield 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'

        async def chat(_: Any) -> Any:
            return StreamingResponse(words(), media_type="text/event-stream")

        config = uvicorn.Config(
            Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])]), port=0, log_config=None,
            access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        self.address = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.end()


class Running:
    """A server in a process of its own."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "surefoot", "serve", "--port", "0", *arguments], cwd=folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said: list[str] = []
        assert self.process.stderr is not None
        self.said.append(self.process.stderr.readline())
        assert self.said[0].startswith("listening on "), self.said[0] + self.process.stderr.read()
        self.address = self.said[0].split()[2].rstrip(";")
        self.port = int(self.address.rsplit(":", 1)[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):
            self.said.extend(iter(self.process.stderr.readline, ""))

    def get(self, path: str, token: str = "", **headers: str) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request("GET", path, headers=sent | headers)
            got = connection.getresponse()
            return got.status, got.read().decode(), {k.lower(): v for k, v in got.getheaders()}
        finally:
            connection.close()

    def workers(self) -> dict[int, int]:
        """The pids of the crew by its numbers, as the minder's children."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return dict(enumerate(sorted(map(int, text.split())), 1))

    def first_token(self) -> str:
        soon(lambda: any("shown only now" in line for line in self.said))
        return re.findall(r"shown only now: (sf_\S+)", "".join(self.said))[0]

    def end(self, how: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(60)
        for one in (self.process.stdout, self.process.stderr):
            if one is not None:
                one.close()
        return code


def soon(truth: Callable[[], Any], within_s: float = 60.0) -> Any:
    until = time.monotonic() + within_s
    while not (found := truth()) and time.monotonic() < until:
        time.sleep(0.03)
    assert found
    return found


@pytest.fixture
def serve(tmp_path: Path, environment: dict[str, str], upstream: Upstream) -> Iterator[Callable[..., Running]]:
    """Start a server on a store with the agent `support`; `toml` is added to its settings."""
    made: list[Running] = []

    def begin(*arguments: str, toml: str = "", tokens: bool = True) -> Running:
        known = f'[tokens.app]\nsha256 = "{hashed("sf_app")}"\nrole = "agent"\n' if tokens else ""
        known += f'[tokens.vera]\nsha256 = "{hashed("sf_vera")}"\nrole = "viewer"\n' if tokens else ""
        (tmp_path / "surefoot.toml").write_text(
            f'[models.main]\nmodel = "m"\nbase_url = "{upstream.address}/v1"\n{known}{toml}'
        )
        store = tmp_path / ".surefoot" / "surefoot.db"
        if not store.exists():
            app = build(Settings(store=store))
            genome = Genome((Block(id="role", kind="section", text="Support.", locked=True),))
            asyncio.run(create_agent(app.ports, "support", genome, by="ann", habits=Habits(model="main")))
            app.close()
        made.append(Running(tmp_path, environment, *arguments))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.end()


def stream(port: int, done: list[str], first: threading.Event | None = None) -> None:
    """Read one stream to its end; what came is added to `done`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = {"model": "support", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    text = ""
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": "Bearer sf_app"})
        got = connection.getresponse()
        while line := got.readline():
            text += line.decode()
            if first is not None:
                first.set()
    except (OSError, http.client.HTTPException) as error:
        text += f"broken: {type(error).__name__}"
    finally:
        connection.close()
        done.append(text)


def streams(port: int, count: int) -> tuple[list[threading.Thread], list[str]]:
    """Begin as many streams, and wait until all of them run."""
    done: list[str] = []
    began = [threading.Event() for _ in range(count)]
    running = [threading.Thread(target=stream, args=(port, done, one)) for one in began]
    for one in running:
        one.start()
    for one in began:
        assert one.wait(60)
    return running, done


def traces(folder: Path) -> list[str]:
    app = build(Settings(store=folder / ".surefoot" / "surefoot.db"))
    try:
        with app.store.engine.connect() as connection:
            return [row[0] for row in connection.exec_driver_sql("SELECT finish FROM traces")]
    finally:
        app.close()


def test_a_server_that_begins_forgets_the_keys_of_requests_that_are_older_than_a_day(
    serve: Any, tmp_path: Path
) -> None:
    old = datetime.now(UTC) - KEPT - timedelta(minutes=1)
    with contextlib.closing(build(Settings(store=tmp_path / ".surefoot" / "surefoot.db"))) as app:
        key = RequestKey(who="w", key="k", request="r", owner="h:1", at=old, until=old, state="done", body="Whiskerina")
        app.store.write_now(lambda tx: tx.request_keys.put(key))
        serve()
        soon(lambda: app.store.read_now(lambda tx: tx.request_keys.get("w", "k")) is None)


# Leaving --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_twenty_streams_end_whole_when_the_server_is_told_to_end(serve: Any, workers: int) -> None:
    server = serve("--workers", str(workers))
    running, done = streams(server.port, 20)
    server.process.send_signal(signal.SIGTERM)
    for one in running:
        one.join(60)
    assert all(f"w{PIECES - 1} " in text and text.rstrip().endswith("data: [DONE]") for text in done), done
    assert server.process.wait(60) == 0
    assert traces(server.folder) == ["stop"] * 20


def test_a_server_that_leaves_says_so_first_and_answers_still(serve: Any) -> None:
    server = serve(toml="[serve]\nleave_s = 1.5\n")
    assert server.get("/ready")[0] == 200
    server.process.send_signal(signal.SIGTERM)
    soon(lambda: server.get("/ready")[0] == 503, within_s=1.2)
    assert server.get("/health")[0] == 200
    assert server.get("/api/v1/agents", "sf_vera")[0] == 200
    assert server.process.wait(60) == 0


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_second_signal_ends_at_once(serve: Any, workers: str) -> None:
    server = serve("--workers", workers)
    running, done = streams(server.port, 3)
    crew = server.workers() if workers == "2" else {}
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(5) == 130
    assert time.monotonic() - began < 4
    for one in running:
        one.join(60)
    assert not any("[DONE]" in text for text in done)
    soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in crew.values()), within_s=3)


@pytest.mark.slow
def test_what_goes_on_for_too_long_is_cut_when_its_time_is_over(serve: Any) -> None:
    server = serve(toml="[serve]\ndrain_s = 1\n")
    running, _done = streams(server.port, 3)
    began = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - began < 4
    for one in running:
        one.join(60)


# A crew ---------------------------------------------------------------------------------------------------------------


def test_a_killed_worker_is_started_again_and_the_other_serves_meanwhile(serve: Any) -> None:
    server = serve("--workers", "2")
    before = server.workers()
    assert len(before) == 2
    os.kill(before[1], signal.SIGKILL)
    for _ in range(20):
        assert server.get("/health")[0] == 200  # waits in the shared queue at worst, and is never refused
        time.sleep(0.02)
    after = soon(lambda: (now := server.workers()) != before and len(now) == 2 and now)
    assert before[2] in after.values()
    running, done = streams(server.port, 4)
    for one in running:
        one.join(60)
    assert all(text.rstrip().endswith("data: [DONE]") for text in done)
    assert server.end() == 0


@pytest.mark.slow
def test_workers_leave_when_their_minder_is_killed(serve: Any) -> None:
    server = serve("--workers", "2", "--work")
    crew = soon(lambda: (now := server.workers()) and len(now) == 3 and now)
    server.process.kill()
    server.process.wait(5)
    soon(lambda: not any(alive(pid) for pid in crew.values()), within_s=10)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_the_server_with_a_message(serve: Any) -> None:
    server = serve("--workers", "2")
    until = time.monotonic() + 20
    while server.process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError, IndexError):
            os.kill(max(server.workers().values(), default=0) or 1_000_000_000, signal.SIGKILL)
        time.sleep(0.05)
    assert server.process.wait(60) == 3
    soon(lambda: "cannot be kept alive" in "".join(server.said))
    assert not any(alive(pid) for pid in server.workers().values()) if server.process.poll() is None else True


@pytest.mark.slow
def test_whoever_is_asked_shows_the_counts_of_all_workers(serve: Any) -> None:
    server = serve("--workers", "2")
    running, _ = streams(server.port, 12)
    for one in running:
        one.join(60)

    def counted() -> int:
        status, text, _ = server.get("/metrics", "sf_vera")
        assert status == 200
        found = re.findall(
            r'surefoot_http_requests_total\{worker="\d",route="/v1/chat/completions",status="200"\} (\d+)', text
        )
        return sum(map(int, found))

    soon(lambda: counted() == 12, within_s=5)
    assert server.get("/metrics")[0] == 401
    text = server.get("/metrics", "sf_vera")[1]
    for name in ("recorder_waiting", "records_total", "retries_total", "http_request_seconds_bucket", "rollouts",
                 "approvals_open", "failures", "workflows", "connections", "limited_requests_total"):  # fmt: skip
        assert re.search(rf"^# TYPE surefoot_(gateway_)?{name.removesuffix('_bucket')} ", text, re.MULTILINE), name


@pytest.mark.slow
def test_one_command_runs_the_loop_too(serve: Any) -> None:
    server = serve("--work", "--pause", "0.2")
    assert server.get("/ready")[0] == 200
    book = server.folder / ".surefoot" / "logs" / "server-2.jsonl"
    soon(lambda: book.exists() and "the loop's worker begins" in book.read_text())
    app = build(Settings(store=server.folder / ".surefoot" / "surefoot.db"))
    try:
        soon(lambda: app.store.read_now(lambda tx: tx.agents.get("support").tick) >= 1)
    finally:
        app.close()
    assert server.end() == 0


# Beginning ------------------------------------------------------------------------------------------------------------


def test_the_first_start_shows_a_token_once_and_keeps_it_nowhere(serve: Any) -> None:
    server = serve(tokens=False)
    token = server.first_token()
    assert server.get("/api/v1/agents")[0] == 401
    assert server.get("/api/v1/tokens", token)[0] == 200
    assert server.end() == 0
    kept = b"".join(path.read_bytes() for path in (server.folder / ".surefoot").rglob("*") if path.is_file())
    assert token.encode() not in kept
    again = serve(tokens=False)
    assert again.get("/api/v1/tokens", token)[0] == 200
    assert again.end() == 0
    assert "shown only now" not in "".join(again.said)


@pytest.mark.slow
def test_a_revoked_token_is_refused_by_every_worker_within_a_second(serve: Any, environment: dict[str, str]) -> None:
    server = serve("--workers", "2")
    command = [sys.executable, "-m", "surefoot", "token"]
    made = subprocess.run([*command, "create", "bob", "--json"], cwd=server.folder, env=environment, check=True,
                          capture_output=True, text=True)  # fmt: skip
    token = json.loads(made.stdout)["token"]
    soon(lambda: all(server.get("/api/v1/agents", token)[0] == 200 for _ in range(10)))
    subprocess.run([*command, "revoke", "bob"], cwd=server.folder, env=environment, check=True, capture_output=True)
    time.sleep(1.0)
    assert {server.get("/api/v1/agents", token)[0] for _ in range(30)} <= {401, 429}  # 429: too many unknown ones
    assert server.end() == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
            check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the program openssl to make a certificate")
    return cert, key


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_tls_by_two_files(serve: Any, certificate: tuple[Path, Path], workers: str) -> None:
    cert, key = certificate
    server = serve("--tls-cert", str(cert), "--tls-key", str(key), "--workers", workers)
    assert server.address.startswith("https://")
    trusts = ssl.create_default_context(cafile=str(cert))
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trusts, timeout=60)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
    assert server.end() == 0


def test_tls_without_a_usable_key_is_refused_in_words(cli: Any, scene: Any, certificate: tuple[Path, Path]) -> None:
    scene.agent()
    cert, _key = (str(one) for one in certificate)
    assert "both" in cli("serve", "--tls-cert", cert, code=2).err
    assert "no certificate and its key" in cli("serve", "--tls-cert", cert, "--tls-key", cert, code=2).err
    assert "no certificate and its key" in cli("serve", "--tls-cert", "no.pem", "--tls-key", "no.pem", code=2).err


@pytest.mark.slow
def test_a_forwarded_address_is_believed_of_trusted_proxies_only(serve: Any) -> None:
    for toml, locked_out in (("", True), ('[serve]\ntrusted_proxies = ["127.0.0.1"]\n', False)):
        server = serve(toml=toml)
        from_many = [{"X-Forwarded-For": f"10.0.0.{n}"} for n in range(25)]
        statuses = [server.get("/api/v1/agents", f"sf_no{n}", **told)[0] for n, told in enumerate(from_many)]
        assert (429 in statuses) is locked_out
        assert server.end() == 0


# Memory ---------------------------------------------------------------------------------------------------------------


def resident_mb(pid: int) -> float:
    return int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


@pytest.mark.slow
def test_memory_stays_within_its_bound_under_a_hostile_load(serve: Any) -> None:
    connections, body_mb = 200, 8
    server = serve(
        toml=f"[serve]\nconnections = {connections}\nbody_memory = {body_mb * 1024 * 1024}\nhead_s = 3\nidle_s = 3\n"
    )
    running, _ = streams(server.port, 5)
    for one in running:
        one.join(60)
    before, peak, open_ = resident_mb(server.process.pid), 0.0, list[socket.socket]()
    head = b"host: x\r\nauthorization: Bearer sf_app\r\n"
    post = b"POST /v1/chat/completions HTTP/1.1\r\n" + head + b"content-length: 2000000\r\n\r\n"
    kinds = (
        b"GET / HTTP/1.1\r\n" + b"x-a: " + b"y" * 60_000,  # a head that does not end
        post + b"x" * 1_000_000,  # a body that does not
        b"GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 3,  # an answer that is not read
        b"GET /" + b"z" * 200_000,  # a flood
    )
    until = time.monotonic() + 6
    while time.monotonic() < until:
        for kind in kinds * 20:
            one = socket.socket()
            one.settimeout(0.05)
            with contextlib.suppress(OSError):
                one.connect(("127.0.0.1", server.port))
                one.sendall(kind)
            open_.append(one)
        peak = max(peak, resident_mb(server.process.pid))
        for one in open_[:-300]:
            one.close()
        del open_[:-300]
    for one in open_:
        one.close()
    print(f"before {before:.0f} MB, peak {peak:.0f} MB")
    assert peak - before < connections * 0.2 + 4 * body_mb
    began = time.monotonic()
    while time.monotonic() - began < 30:  # what is queued has to be worked off first
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.get("/health")[0] == 200:
                break
    print(f"served again after {time.monotonic() - began:.1f} s")
    running, done = streams(server.port, 3)
    for one in running:
        one.join(60)
    assert all(text.rstrip().endswith("data: [DONE]") for text in done)
    assert server.end() == 0


# Logs -----------------------------------------------------------------------------------------------------------------


def test_the_log_names_requests_and_holds_no_token_and_no_text(
    serve: Any, environment: dict[str, str], cli: Any
) -> None:  # fmt: skip
    server = serve("--workers", "2", toml="[log]\naccess = 1.0\n")
    evil = "x\t{not a name}"
    assert server.get("/health", **{"X-Request-ID": "mine-7"})[2]["x-request-id"] == "mine-7"
    assert server.get("/health", **{"X-Request-ID": evil})[2]["x-request-id"] != evil
    running, _ = streams(server.port, 1)
    running[0].join(60)
    server.get("/api/v1/agents/support/rollouts?secret=sk-1234567890abcdef1234", "sf_vera")
    follow = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "logs", "-f", "--agent", "support"], cwd=server.folder, env=environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert follow.stdout is not None
        shown = [follow.stdout.readline() for _ in range(2)]
        assert any("/v1/chat/completions 200" in line and "trace_id=" in line for line in shown), shown
        server.get("/api/v1/agents/support/rollouts", "sf_vera")
        assert "/api/v1/agents/{agent}/rollouts 200" in follow.stdout.readline()
    finally:
        follow.send_signal(signal.SIGINT)
        follow.wait(10)
        follow.stdout.close()
    assert server.end() == 0
    told = cli("logs", "--json", "--limit", "1000").json
    assert {line.get("request_id") for line in told["lines"]} >= {"mine-7"}
    assert {line["worker"] for line in told["lines"]} == {1, 2}
    kept = "".join(path.read_text() for path in (server.folder / ".surefoot" / "logs").iterdir())
    for secret in ("sf_app", "sf_vera", "hello", "sk-1234", "\x1b"):
        assert secret not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in (server.folder / ".surefoot" / "logs").iterdir())


def test_logs_are_chosen_by_level_and_time_and_missing_ones_are_said(cli: Any, scene: Any) -> None:
    scene.agent()
    assert "no log" in cli("logs", code=2).err
    folder = scene.directory / ".surefoot" / "logs"
    folder.mkdir()
    lines = [
        {"at": "2026-01-05T08:00:00.000Z", "level": "info", "worker": 1, "message": "old"},
        {"at": "2999-01-05T08:00:00.000Z", "level": "error", "worker": 1, "message": "bad\n\x1b[31m"},
    ]
    (folder / "server-1.jsonl.1").write_text(json.dumps(lines[0]) + "\nnonsense\n")
    (folder / "server-1.jsonl").write_text(json.dumps(lines[1]) + '\n{"at": "half')
    (folder / "server-2.jsonl").write_text(json.dumps({**lines[0], "worker": 2, "level": "warning"}) + "\n")
    assert [one["worker"] for one in cli("logs", "--json").json["lines"]] == [1, 2, 1]
    assert [one["message"] for one in cli("logs", "--json", "--level", "error").json["lines"]] == ["bad\n\x1b[31m"]
    assert len(cli("logs", "--json", "--since", "1h").json["lines"]) == 1
    assert len(cli("logs", "--json", "--limit", "2").json["lines"]) == 2
    out = cli("logs").out
    assert "\x1b" not in out
    assert len(out.strip().splitlines()) == 3
