"""Our own spans and verdicts as messages of OTLP, in the words of OpenTelemetry's conventions for generative AI.

A request is two spans: `invoke_agent`, and below it the `chat` with the model. It lies within the caller's trace where
the caller named one. A verdict is a `gen_ai.evaluation.result` event beside the span of the agent. Texts go along only
where that is wanted; they were redacted before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import cast

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest as Logs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Traces
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from surefoot.core.otel import EVALUATION
from surefoot.core.score import Outcome
from surefoot.core.trace import Trace
from surefoot.core.traceparent import Parent, parent_of, span_id_of, trace_id_of
from surefoot.ports.telemetry import Answered

SCOPE = "surefoot"
_FINISHES = {"stop": "stop", "length": "length", "refused": "content_filter"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def traces_request(requests: Iterable[tuple[Answered, Trace]], *, version: str, texts: bool) -> Traces:
    """Give a request for traces; each trace is as it may be told, beside what it was told with."""
    request = Traces()
    group = request.resource_spans.add(resource=_resource(version))
    group.scope_spans.add().scope.name = SCOPE
    for one, trace in requests:
        group.scope_spans[0].spans.extend(_spans(one, trace, texts))
    return request


def logs_request(verdicts: Iterable[tuple[str, Outcome, str]], *, version: str) -> Logs:
    """Give a request for logs of verdicts: the agent, the outcome, and the id of the trace outside."""
    request = Logs()
    group = request.resource_logs.add(resource=_resource(version))
    group.scope_logs.add().scope.name = SCOPE
    group.scope_logs[0].log_records.extend(_record(*one) for one in verdicts)
    return request


def sampled(one: Answered) -> bool:
    """Whether the caller keeps its side; where it does not, ours would hang in the air."""
    parent = parent_of(one.traceparent)
    return parent is None or parent.sampled


def outside_id(one: Answered) -> str:
    """Give the id of the trace that a request lies in outside."""
    parent = parent_of(one.traceparent)
    return trace_id_of(one.trace.id) if parent is None else parent.trace_id


def _spans(one: Answered, trace: Trace, texts: bool) -> list[Span]:
    parent, started = parent_of(one.traceparent), _nanos(trace.at)
    ended = started + round(trace.latency_s * 1e9)
    failed = trace.finish in ("error", "truncated")
    status = Status(code=Status.STATUS_CODE_ERROR, message=f"the answer ended by {trace.finish}") if failed else None
    agent = _span(one, parent, "agent", f"invoke_agent {trace.agent}", Span.SPAN_KIND_INTERNAL, started, ended, status)
    agent.attributes.extend(_pairs({**_of_agent(trace), **(_texts(trace) if texts else {})}))
    chat = _span(one, parent, "chat", f"chat {one.model}".strip(), Span.SPAN_KIND_CLIENT, started, ended, status)
    chat.attributes.extend(_pairs({
        "gen_ai.operation.name": "chat", "gen_ai.request.model": one.model,
        "gen_ai.usage.input_tokens": one.tokens_in, "gen_ai.usage.output_tokens": one.tokens_out,
        "gen_ai.response.finish_reasons": [_FINISHES[trace.finish]] if trace.finish in _FINISHES else [],
        "surefoot.cost_usd": trace.cost_usd,
    }))  # fmt: skip
    return [agent, chat]


def _span(
    one: Answered, parent: Parent | None, part: str, name: str, kind: Span.SpanKind.ValueType, started: int, ended: int,
    status: Status | None,
) -> Span:  # fmt: skip
    above = "" if parent is None else parent.span_id
    return Span(
        trace_id=bytes.fromhex(outside_id(one)), span_id=bytes.fromhex(span_id_of(one.trace.id, part)),
        parent_span_id=bytes.fromhex(above if part == "agent" else span_id_of(one.trace.id, "agent")),
        name=name, kind=kind, start_time_unix_nano=started, end_time_unix_nano=ended, status=status,
    )  # fmt: skip


def _of_agent(trace: Trace) -> Mapping[str, object]:
    return {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": trace.agent, "surefoot.version": trace.version,
        "gen_ai.conversation.id": trace.session, "surefoot.trace_id": trace.id, "surefoot.rollout": trace.rollout,
        "surefoot.arm": trace.arm if trace.rollout else "", "surefoot.finish": trace.finish,
    }  # fmt: skip


def _texts(trace: Trace) -> Mapping[str, object]:
    def said(role: str, text: str) -> str:
        return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)

    return {
        "gen_ai.input.messages": said("user", trace.input),
        "gen_ai.output.messages": said("assistant", trace.output),
    }


def _record(agent: str, outcome: Outcome, outside: str) -> LogRecord:
    label = {"success": "pass", "failure": "fail"}.get(outcome.verdict, "unknown")
    said: dict[str, object] = {
        "gen_ai.evaluation.name": outcome.source or "outcome", "gen_ai.evaluation.score.label": label,
        "gen_ai.agent.name": agent, "surefoot.trace_id": outcome.trace_id,
        "gen_ai.evaluation.explanation": outcome.feedback,
    }  # fmt: skip
    if outcome.score is not None:
        said["gen_ai.evaluation.score.value"] = outcome.score
    return LogRecord(
        time_unix_nano=_nanos(outcome.at), event_name=EVALUATION, trace_id=bytes.fromhex(outside),
        span_id=bytes.fromhex(span_id_of(outcome.trace_id, "agent")), attributes=_pairs(said),
    )  # fmt: skip


def _resource(version: str) -> Resource:
    return Resource(attributes=_pairs({"service.name": "surefoot", "service.version": version}))


def _pairs(told: Mapping[str, object]) -> list[KeyValue]:
    """Attributes, without those that say nothing."""
    return [KeyValue(key=name, value=_value(value)) for name, value in told.items() if value not in ("", [], None)]


def _value(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            into = AnyValue()
            into.array_value.values.extend(_value(one) for one in cast("list[object]", value))
            return into
        case _:
            return AnyValue(string_value=str(value))


def _nanos(at: datetime) -> int:
    since = at - _EPOCH
    return max(0, (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000)
