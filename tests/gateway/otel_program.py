"""An instrumented program: an agent that asks a model and a tool, exported over OTLP in protobuf or in JSON.

`python otel_program.py protobuf|json ADDRESS TOKEN [evaluate]` prints the ids that it made.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode

RESOURCE = Resource.create({"service.name": "shop", "deployment.environment": "test"})


class JsonExporter(SpanExporter):
    """What the SDK would send, in OTLP's JSON."""

    def __init__(self, address: str, token: str) -> None:
        self.address, self.token = address, token

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        document = MessageToDict(encode_spans(spans))
        hexadecimal(document)
        request = urllib.request.Request(
            f"{self.address}/v1/traces", json.dumps(document).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {self.token}"},
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer) == {}
        return SpanExportResult.SUCCESS


def hexadecimal(value: Any) -> None:
    """Write ids as OTLP wants them in JSON."""
    for one in value if isinstance(value, list) else value.values():
        if isinstance(one, dict | list):
            hexadecimal(one)
    if isinstance(value, dict):
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in value:
                value[name] = base64.b64decode(value[name]).hex()


def main() -> None:
    form, address, token, *rest = sys.argv[1:]
    headers = {"x-surefoot-token": token}
    exporter = (
        OTLPSpanExporter(f"{address}/v1/traces", headers=headers)
        if form == "protobuf"
        else JsonExporter(address, token)
    )
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    ids = work(provider.get_tracer("shop.agent", "1.2"), fail="fail" in rest)
    if "evaluate" in rest:
        evaluate(f"{address}/v1/logs", headers, ids)
    provider.shutdown()
    print(json.dumps(ids))


def work(tracer: trace.Tracer, *, fail: bool) -> dict[str, str]:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support", "gen_ai.conversation.id": "c-7",
             "user.id": "u-3", "surefoot.slices.tenant": "acme"}  # fmt: skip
    with tracer.start_as_current_span("invoke_agent support", attributes=agent) as top:
        chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1", "gen_ai.usage.input_tokens": 12,
                "gen_ai.usage.output_tokens": 5, "gen_ai.response.finish_reasons": ("stop",)}  # fmt: skip
        with tracer.start_as_current_span("chat m-1", attributes=chat | {"gen_ai.agent.name": "support"}) as below:
            below.add_event("gen_ai.choice", {"index": 0, "message": '{"content": "yes"}'})
        tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "gen_ai.agent.name": "support"}
        with tracer.start_as_current_span("execute_tool refund", attributes=tool):
            pass
        asked = [{"role": "system", "parts": [{"type": "text", "content": "be kind"}]},
                 {"role": "user", "parts": [{"type": "text", "content": "May I return it?"}]}]  # fmt: skip
        top.set_attribute("gen_ai.input.messages", json.dumps(asked))
        top.set_attribute("gen_ai.output.messages", json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": "Yes, write to ann@example.org."}]}]
        ))  # fmt: skip
        if fail:
            top.set_status(Status(StatusCode.ERROR, "the tool broke"))
    context, child = top.get_span_context(), below.get_span_context()
    return {"trace": f"{context.trace_id:032x}", "agent": f"{context.span_id:016x}", "chat": f"{child.span_id:016x}"}


def evaluate(address: str, headers: dict[str, str], ids: dict[str, str]) -> None:
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(address, headers=headers)))
    provider.get_logger("judge").emit(LogRecord(
        event_name="gen_ai.evaluation.result", context=trace.set_span_in_context(trace.NonRecordingSpan(
            trace.SpanContext(int(ids["trace"], 16), int(ids["agent"], 16), is_remote=False)
        )),
        attributes={"gen_ai.evaluation.name": "policy", "gen_ai.evaluation.score.value": 0.2,
                    "gen_ai.evaluation.score.label": "fail", "gen_ai.agent.name": "support",
                    "gen_ai.evaluation.explanation": "no rule was named"},
    ))  # fmt: skip
    provider.shutdown()


if __name__ == "__main__":
    main()
