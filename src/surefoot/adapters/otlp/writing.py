"""The group of a span that we made ourselves, with the same body as if it had been sent by OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from surefoot.core.otel import EVALUATION
from surefoot.core.span import Span, SpanGroup

_OPERATIONS = {
    "agent": "invoke_agent", "chat": "chat", "tool": "execute_tool", "embeddings": "embeddings",
    "retrieval": "retrieval", "evaluation": "evaluate",
}  # fmt: skip
_CODES = {"ok": Status.STATUS_CODE_OK, "error": Status.STATUS_CODE_ERROR, "unset": Status.STATUS_CODE_UNSET}


def group_of(span: Span) -> SpanGroup:
    """Give a group of one span; its attributes are those of OpenTelemetry's conventions, and its own besides."""
    told = {
        "gen_ai.operation.name": _OPERATIONS.get(span.kind, ""), "gen_ai.agent.name": span.agent,
        "surefoot.version": span.version, "surefoot.session": span.session, "surefoot.actor": span.actor,
        "gen_ai.response.model": span.model, "gen_ai.usage.input_tokens": span.tokens_in,
        "gen_ai.usage.output_tokens": span.tokens_out, "surefoot.cost_usd": span.cost_usd,
        "surefoot.input": span.input, "surefoot.output": span.output, **span.attributes,
    }  # fmt: skip
    message = Message(
        trace_id=bytes.fromhex(span.trace_id), span_id=bytes.fromhex(span.span_id), name=span.name,
        parent_span_id=bytes.fromhex(span.parent_id), start_time_unix_nano=span.started_ns,
        end_time_unix_nano=span.ended_ns, attributes=_pairs(told),
        status=Status(code=_CODES[span.status], message=span.message),
    )  # fmt: skip
    body = ResourceSpans(scope_spans=[ScopeSpans(spans=[message])]).SerializeToString()
    return SpanGroup(
        trace_id=span.trace_id, span_ids=span.span_id, agent=span.agent, version=span.version,
        evaluation=int(span.name == EVALUATION), failed=int(span.status == "error"), started=span.started_ns // 1000,
        ended=span.ended_ns // 1000, session=span.session, actor=span.actor, body=body,
    )  # fmt: skip


def _pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items() if value not in ("", 0, None)]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=str(value))
