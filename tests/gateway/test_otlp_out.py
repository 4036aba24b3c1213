"""OpenTelemetry out: what is answered and judged reaches a receiver, and never stands in anybody's way."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from gateway_house import TOKEN, House
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from surefoot.adapters import telemetry
from surefoot.adapters.otlp.body import attributes_of
from surefoot.adapters.telemetry import OtlpTelemetry, Receiver, headers_in
from surefoot.core.errors import Invalid
from surefoot.core.token import any_agent
from surefoot.core.trace import Trace
from surefoot.engine.observe import observe
from surefoot.ports.telemetry import Answered, Told

OUTSIDE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Collector:
    """A receiver of OTLP on loopback that answers as it is told to, and keeps what it took."""

    def __init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                status = collector.answers.pop(0) if collector.answers else 200
                collector.asked += 1
                if status == 200:
                    collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                    collector.take(self.path, content)
                self.send_response(status)
                if status == 302:
                    self.send_header("location", f"{collector.address}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.answers: list[int] = []
        self.asked = 0
        self.headers: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.records: list[Any] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path: str, content: bytes) -> None:
        if path == "/v1/traces":
            request = ExportTraceServiceRequest.FromString(content)
            self.spans += [
                one for group in request.resource_spans for scope in group.scope_spans for one in scope.spans
            ]
        else:
            logs = ExportLogsServiceRequest.FromString(content)
            self.records += [
                one for group in logs.resource_logs for scope in group.scope_logs for one in scope.log_records
            ]

    def wait(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + 10
        while not done() and time.monotonic() < until:
            time.sleep(0.01)
        assert done()


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "EVERY_S", 0.02)
    monkeypatch.setattr(telemetry, "PAUSE_S", 0.01)


def told(trace: Trace | None = None, **rest: Any) -> Answered:
    return Answered(trace=trace or trace_of(), **rest)


def trace_of(number: int = 1, **rest: Any) -> Trace:
    given = {"id": f"t-{number}", "agent": "support", "version": 1, "unit": "u", "input": "asked", "output": "said",
             "finish": "stop", "at": NOW, "latency_s": 0.5}  # fmt: skip
    return Trace(**given | rest)


def opened_at(address: str, **rest: Any) -> OtlpTelemetry:
    receiver = Receiver(endpoint=address, headers=rest.pop("headers", {}), texts=rest.pop("texts", False))
    return OtlpTelemetry(receiver, rest.pop("redact", lambda trace: trace), **{"most": 100, "version": "1"} | rest)


def test_a_request_of_the_gateway_and_its_verdict_reach_a_receiver(
    opened: Callable[..., House], collector: Collector
) -> None:
    house = opened(export={"otlp_endpoint": collector.address, "texts": True}, environ={
        "SUREFOOT_OTLP_HEADERS": "x-api-key=a%20key, other=1"
    })  # fmt: skip
    client = house.client()
    answer = client.chat.completions.with_raw_response.create(
        model="support", messages=[{"role": "user", "content": "mail ann@example.org please"}],
        extra_headers={"traceparent": f"00-{OUTSIDE}-{ABOVE}-01"},
    )  # fmt: skip
    ours = answer.headers["x-surefoot-trace-id"]
    asyncio.run(observe(house.app.ports, ours, verdict="failure", source="ann", feedback="no rule", sees=any_agent))
    collector.wait(lambda: len(collector.spans) == 2 and bool(collector.records))
    agent, chat = collector.spans
    assert {one.trace_id.hex() for one in (*collector.spans, *collector.records)} == {OUTSIDE}
    assert (agent.name, agent.parent_span_id.hex()) == ("invoke_agent support", ABOVE)
    assert (chat.name, chat.parent_span_id) == ("chat main", agent.span_id)
    said = attributes_of(agent.attributes)
    assert (said["gen_ai.agent.name"], said["surefoot.version"], said["surefoot.trace_id"]) == ("support", 1, ours)
    assert "ann@example.org" not in said["gen_ai.input.messages"]
    assert "[email:" in said["gen_ai.input.messages"]
    assert attributes_of(chat.attributes)["gen_ai.usage.input_tokens"] > 0
    verdict = collector.records[0]
    assert (verdict.event_name, verdict.span_id) == ("gen_ai.evaluation.result", agent.span_id)
    assert attributes_of(verdict.attributes)["gen_ai.evaluation.score.label"] == "fail"
    assert (collector.headers[0]["x-api-key"], collector.headers[0]["other"]) == ("a key", "1")


def test_texts_stay_here_unless_they_are_asked_for(collector: Collector) -> None:
    one = opened_at(collector.address)
    one.answered(told())
    one.close()
    assert all("messages" not in name for span in collector.spans for name in attributes_of(span.attributes))
    assert len(collector.spans) == 2


def test_a_receiver_that_hangs_holds_the_end_up_for_its_deadline_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "BATCH", 1)
    monkeypatch.setattr(telemetry, "END_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        one = opened_at(f"http://127.0.0.1:{mute.getsockname()[1]}")
        for number in range(16):
            one.answered(told(trace_of(number)))
        began = time.monotonic()
        one.close()
        assert time.monotonic() - began < 2
        assert one.told() == Told(taken=0, lost=16, waiting=0)
        one.close()
        assert one.told().lost == 16, "nothing is counted twice"


def test_it_is_sent_again_while_the_receiver_cannot_and_then_once(collector: Collector) -> None:
    collector.answers = [503, 429, 502]
    one = opened_at(collector.address)
    one.answered(told())
    collector.wait(lambda: one.told().taken == 1)
    one.close()
    assert (len(collector.spans), collector.asked) == (2, 4)
    assert one.told().lost == 0


@pytest.mark.parametrize("status", [400, 401, 302])
def test_what_the_receiver_refuses_is_lost_and_counted_and_goes_nowhere_else(collector: Collector, status: int) -> None:
    collector.answers = [status]
    one = opened_at(collector.address, headers={"authorization": "a secret"})
    one.answered(told())
    collector.wait(lambda: one.told().lost == 1)
    one.close()
    assert (collector.spans, collector.asked) == ([], 1)


def test_without_a_receiver_nobody_waits_and_the_loss_is_counted() -> None:
    one = opened_at("http://127.0.0.1:9", most=10, sleep=lambda _: None)
    began = time.perf_counter()
    for number in range(1_000):
        one.answered(told(trace_of(number)))
    assert time.perf_counter() - began < 5
    one.close()
    assert one.told().lost + one.told().taken == 1_000
    assert one.told().taken == 0


def test_a_caller_that_keeps_nothing_is_told_nothing(collector: Collector) -> None:
    one = opened_at(collector.address)
    one.answered(told(traceparent=f"00-{OUTSIDE}-{ABOVE}-00"))
    one.answered(told(trace_of(2), traceparent="nonsense"))
    one.close()
    assert {attributes_of(span.attributes).get("surefoot.trace_id") for span in collector.spans} == {"t-2", None}
    assert one.told().lost == 0


def test_an_address_that_is_none_is_said_at_once() -> None:
    with pytest.raises(Invalid):
        opened_at("ftp://elsewhere")


def test_headers_are_read_as_opentelemetry_writes_them() -> None:
    assert headers_in("Authorization=Bearer%20x, a=b=c,,bad") == {"authorization": "Bearer x", "a": "b=c"}
    assert TOKEN not in str(headers_in(""))
