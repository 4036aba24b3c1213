"""The unmodified OpenTelemetry exporters for Node: what an instrumented program sends arrives as traces, once each."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gateway_house import TOKEN, House
from node_house import node_with

SCRIPT = Path(__file__).with_name("otel_program.mjs")
# From 0.300 on the exporters ask for an API that the SDK beside them does not take; npm would refuse the pair.
PACKAGES = (
    "@opentelemetry/sdk-trace-node@^2", "@opentelemetry/exporter-trace-otlp-http@<0.300",
    "@opentelemetry/exporter-trace-otlp-proto@<0.300", "@opentelemetry/resources@^2", "@opentelemetry/api@>=1.9 <1.10",
)  # fmt: skip
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return node_with(tmp_path_factory.mktemp("node-otel"), SCRIPT, *PACKAGES)


@pytest.mark.parametrize("form", ["json", "protobuf"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_what_the_exporter_for_node_sends_appears_as_traces(
    node: Path, house: House, form: str, compression: str
) -> None:
    done = subprocess.run(
        [node / "node", SCRIPT.name, form, compression, house.url, TOKEN], cwd=node, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["problems"] == [], "the exporter is content"
    traces = house.soon(lambda: len(found := house.traces()) == 3 and {one.id.replace("-", ""): one for one in found})
    assert set(traces) == {one["trace"] for one in told["ids"]}
    for turn, ids in enumerate(told["ids"]):
        trace = traces[ids["trace"]]
        assert (trace.agent, trace.session, trace.actor) == ("support", f"{form}-{compression}", "u-3")
        assert (trace.input, trace.output) == (f"May I return no {turn}? ✓ ü 漢", "Yes.")
        assert dict(trace.slices)["tenant"] == "acme"
        spans = {one.span_id: one for one in house.app.store.read_now(lambda tx, i=ids: tx.spans.of_trace(i["trace"]))}
        assert len(spans) == 3
        chat, top = spans[ids["chat"]], spans[ids["agent"]]
        assert (chat.parent_id, chat.kind, chat.model) == (top.span_id, "chat", "m-1")
        assert (chat.tokens_in, chat.tokens_out) == (12, 5)
        assert {one.kind for one in spans.values()} == {"agent", "chat", "tool"}
    assert [one for one in house.failures() if "the tool broke" in one]
    assert len(house.failures()) == 1


def test_a_token_that_is_not_known_is_told_to_the_program(node: Path, house: House) -> None:
    done = subprocess.run(
        [node / "node", SCRIPT.name, "json", "none", house.url, "sf_nobody"], cwd=node, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    problems = json.dumps(json.loads(done.stdout)["problems"])
    assert "401" in problems or "Unauthorized" in problems
    assert house.traces() == []
