"""Tool calls of a request, each beside its result: from the steps that ran tools, else from the messages of the model.

Instrumented programs tell of a tool call twice, once as a step of its own and once in the messages of the model. The
step knows how long it took and whether it broke, so it is the one that counts; what the model asked for and no step
ran is told from the messages, and the next messages have its result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from surefoot.core.otel import MOST_JSON_CHARS, written
from surefoot.core.span import Span

MOST_CALLS = 50
_MESSAGES = ("gen_ai.input.messages", "gen_ai.output.messages", "ai.prompt.messages", "ai.response.toolCalls")
_IDS = ("gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One tool call; `span_id` is empty where no step ran it, `known` says whether there is a result at all."""

    name: str
    arguments: str
    result: str = ""
    known: bool = False
    failed: bool = False
    latency_s: float | None = None
    span_id: str = ""
    id: str = ""


def calls_of(spans: Iterable[Span]) -> tuple[Call, ...]:
    """Give the tool calls of these steps, in the order in which they were asked for, at most `MOST_CALLS`."""
    listed = sorted(spans, key=lambda one: (one.started_ns, one.span_id))
    ran = [_ran(one) for one in listed if one.kind == "tool"]
    run = {one.id for one in ran if one.id}
    if ran and not run:  # steps without ids cannot be told from what the messages say of them
        return tuple(ran[:MOST_CALLS])
    asked: dict[str, Call] = {}
    results: dict[str, str] = {}
    for part in _parts(listed):
        _read(part, asked, results)
    said = [
        Call(name=one.name, arguments=one.arguments, result=results.get(key, ""), known=key in results, id=key)
        for key, one in asked.items() if key not in run
    ]  # fmt: skip
    return tuple([*ran, *said][:MOST_CALLS])


def _ran(span: Span) -> Call:
    name = span.attributes.get("gen_ai.tool.name") or span.attributes.get("ai.toolCall.name") or span.name
    call_id = next((str(span.attributes[one]) for one in _IDS if span.attributes.get(one)), "")
    failed = span.status == "error"
    return Call(
        name=str(name), arguments=span.input, result=span.output or (span.message if failed else ""),
        known=bool(span.output or failed), failed=failed, latency_s=span.latency_s, span_id=span.span_id, id=call_id,
    )  # fmt: skip


def _parts(spans: Iterable[Span]) -> Iterator[Mapping[str, Any]]:
    """Every message and part of a message that models were given or gave."""
    for span in spans:
        for name in _MESSAGES:
            for message in _objects(span.attributes.get(name)):
                yield message
                for inside in ("parts", "content", "tool_calls"):
                    yield from _objects(message.get(inside))


def _objects(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list, which may be written as JSON."""
    if isinstance(value, str):
        if value[:1] != "[" or len(value) > MOST_JSON_CHARS:
            return []
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    many = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", one) for one in many if isinstance(one, dict)]


def _read(part: Mapping[str, Any], asked: dict[str, Call], results: dict[str, str]) -> None:
    """Take a call or a result out of a part, in the words of OpenTelemetry, of OpenAI, or of Vercel."""
    kind, key = part.get("type"), str(part.get("id") or part.get("toolCallId") or "")
    inner = part.get("function")
    if key and (kind in ("tool_call", "function", "tool-call") or isinstance(inner, dict)):
        source = cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else part
        given = next((source[one] for one in ("arguments", "args", "input") if one in source), "")
        name = str(source.get("name") or part.get("toolName") or "tool")
        asked.setdefault(key, Call(name=name, arguments=written(given)))
    elif key and kind in ("tool_call_response", "tool-result"):
        told = next((part[one] for one in ("response", "result", "output") if one in part), "")
        results.setdefault(key, written(told))
    elif part.get("role") == "tool" and part.get("tool_call_id"):
        results.setdefault(str(part["tool_call_id"]), written(part.get("content", "")))
