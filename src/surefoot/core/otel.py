"""OpenTelemetry's words for agents, in each of the dialects that are spoken, and what they are in ours.

The conventions of OpenTelemetry still move, and four others are in wide use beside them: OpenInference, OpenLLMetry
(Traceloop), the AI SDK of Vercel, and Langfuse. So the names are tables of ours: for each field the attributes that
may carry it, the surest first. What no table knows stays in the attributes of the span; nothing is thrown away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

from surefoot.core.span import SpanEvent, SpanKind, SpanStatus

Attributes = Mapping[str, Any]

EVALUATION = "gen_ai.evaluation.result"
AGENT = ("gen_ai.agent.name", "surefoot.agent")
SERVICE = "service.name"
VERSION = "surefoot.version"
SESSION = (
    "surefoot.session", "gen_ai.conversation.id", "session.id", "langfuse.session.id",
    "traceloop.association.properties.session_id", "ai.telemetry.metadata.sessionId",
)  # fmt: skip
ACTOR = (
    "surefoot.actor", "user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
)  # fmt: skip
MODEL = (
    "gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "embedding.model_name", "ai.response.model",
    "ai.model.id", "langfuse.observation.model.name",
)  # fmt: skip
TOKENS_IN = (
    "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens",
    "ai.usage.inputTokens", "ai.usage.promptTokens",
)  # fmt: skip
TOKENS_OUT = (
    "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
    "llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens",
)  # fmt: skip
COST = ("surefoot.cost_usd", "gen_ai.usage.cost", "llm.cost.total", "gen_ai.usage.cost_usd")
INPUT = (
    "surefoot.input", "gen_ai.input.messages", "langfuse.observation.input", "langfuse.trace.input", "input.value",
    "traceloop.entity.input", "ai.prompt.messages", "ai.prompt", "gen_ai.prompt", "gen_ai.tool.call.arguments",
    "ai.toolCall.args", "gen_ai.retrieval.query.text", "ai.value",
)  # fmt: skip
OUTPUT = (
    "surefoot.output", "gen_ai.output.messages", "langfuse.observation.output", "langfuse.trace.output",
    "output.value", "traceloop.entity.output", "ai.response.text", "ai.response.object", "ai.response.toolCalls",
    "gen_ai.completion", "gen_ai.tool.call.result", "ai.toolCall.result",
)  # fmt: skip
LEVEL = "langfuse.observation.level"
SLICES = "surefoot.slices."
USAGE = "langfuse.observation.usage_details"
COSTS = "langfuse.observation.cost_details"

KINDS: tuple[tuple[str, Mapping[str, SpanKind]], ...] = (
    ("gen_ai.operation.name", {
        "invoke_agent": "agent", "create_agent": "agent", "invoke_workflow": "agent", "chat": "chat",
        "text_completion": "chat", "generate_content": "chat", "execute_tool": "tool", "embeddings": "embeddings",
        "retrieval": "retrieval", "evaluate": "evaluation",
    }),
    ("openinference.span.kind", {
        "AGENT": "agent", "LLM": "chat", "TOOL": "tool", "EMBEDDING": "embeddings", "RETRIEVER": "retrieval",
        "RERANKER": "retrieval", "EVALUATOR": "evaluation", "GUARDRAIL": "evaluation",
    }),
    ("langfuse.observation.type", {
        "agent": "agent", "generation": "chat", "tool": "tool", "embedding": "embeddings", "retriever": "retrieval",
        "evaluator": "evaluation", "guardrail": "evaluation",
    }),
    ("traceloop.span.kind", {"workflow": "agent", "agent": "agent", "tool": "tool"}),
    ("ai.operationId", {
        "ai.generateText": "agent", "ai.streamText": "agent", "ai.generateObject": "agent", "ai.streamObject": "agent",
        "ai.generateText.doGenerate": "chat", "ai.streamText.doStream": "chat",
        "ai.generateObject.doGenerate": "chat", "ai.streamObject.doStream": "chat", "ai.toolCall": "tool",
        "ai.embed": "embeddings", "ai.embed.doEmbed": "embeddings", "ai.embedMany": "embeddings",
        "ai.embedMany.doEmbed": "embeddings",
    }),
    ("llm.request.type", {"chat": "chat", "completion": "chat", "embedding": "embeddings", "rerank": "retrieval"}),
)  # fmt: skip
_NUMBERED = {
    "input": re.compile(r"(?:gen_ai\.prompt|llm\.input_messages)\.(\d{1,6})\.(?:message\.)?(role|content)"),
    "output": re.compile(r"(?:gen_ai\.completion|llm\.output_messages)\.(\d{1,6})\.(?:message\.)?(role|content)"),
}
_STATES: Mapping[int, SpanStatus] = {0: "unset", 1: "ok", 2: "error"}
_FINISHES = {"length": "length", "max_tokens": "length", "content_filter": "refused", "content-filter": "refused"}
_IS_SLICE = re.compile(re.escape(SLICES)).match
MOST_JSON_CHARS = 262_144


class Told(NamedTuple):
    """Of the names that a field may be told by those that a span has, the surest first: most have few of the many."""

    agent: tuple[str, ...] = AGENT
    session: tuple[str, ...] = SESSION
    actor: tuple[str, ...] = ACTOR
    model: tuple[str, ...] = MODEL
    tokens_in: tuple[str, ...] = TOKENS_IN
    tokens_out: tuple[str, ...] = TOKENS_OUT
    cost: tuple[str, ...] = COST
    input: tuple[str, ...] = INPUT
    output: tuple[str, ...] = OUTPUT
    kinds: tuple[tuple[str, Mapping[str, SpanKind]], ...] = KINDS


ALL = Told()
SEARCHED = frozenset((*AGENT, *SESSION, *ACTOR, *(name for name, _ in KINDS), VERSION, LEVEL))
_TOLD = frozenset(name for names in ALL[:-1] for name in names) | {name for name, _ in KINDS}


def told(attributes: Attributes) -> Told:
    """Give which of the names that fields are told by are among these attributes."""
    return _told(_TOLD.intersection(attributes))


@lru_cache(1_024)
def _told(there: frozenset[str]) -> Told:
    few = (tuple(one for one in names if one in there) for names in ALL[:-1])
    return Told(*few, kinds=tuple(pair for pair in KINDS if pair[0] in there))


def kind_of(attributes: Attributes, kinds: Iterable[tuple[str, Mapping[str, SpanKind]]] = KINDS) -> SpanKind:
    """Give what kind of step a span is, by the first dialect that says so."""
    for name, words in kinds:
        word = attributes.get(name)
        if word is not None:
            found = words.get(word) if isinstance(word, str) else None
            if found is not None:
                return found
    return "other"


def first_text(attributes: Attributes, names: Iterable[str]) -> str:
    """Give the first of these attributes that has a text (numbers as text), else nothing."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "" and not isinstance(value, bool):
            return value if isinstance(value, str) else written(value)
    return ""


def first_number(attributes: Attributes, names: Iterable[str]) -> float:
    """Give the first of these attributes that is a number, also one written as text; 0 without any."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str):
            value = _number(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value < 1e15:
            return value
    return 0


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def agent_of_resource(resource: Attributes) -> str:
    """Give the agent that a resource belongs to: by its own words, else by the name of the service."""
    return first_text(resource, (*AGENT, SERVICE))


def version_of(attributes: Attributes) -> int:
    """Give our number of the version that answered, 0 if these attributes (of a span or a resource) do not say."""
    return int(first_number(attributes, (VERSION,)))


def status_of(code: int, attributes: Attributes) -> SpanStatus:
    """Give how it ended; Langfuse has a level of its own."""
    return "error" if attributes.get(LEVEL) == "ERROR" else _STATES.get(code, "unset")


def tokens_of(attributes: Attributes, told: Told = ALL) -> tuple[int, int]:
    """Give the tokens that went in and came out, as far as they are told."""
    before, after = first_number(attributes, told.tokens_in), first_number(attributes, told.tokens_out)
    if USAGE in attributes:
        details = _object(attributes[USAGE])
        before = before or first_number(details, ("input", "input_tokens", "prompt_tokens"))
        after = after or first_number(details, ("output", "output_tokens"))
    return int(before), int(after)


def cost_of(attributes: Attributes, told: Told = ALL) -> float:
    """Give what it cost in USD, as far as it is told."""
    cost = first_number(attributes, told.cost) if told.cost else 0
    return float(cost or (COSTS in attributes and first_number(_object(attributes[COSTS]), ("total",))))


def finish_of(attributes: Attributes, status: SpanStatus) -> str:
    """Give how the answer ended, in the words that traces use."""
    if status == "error":
        return "error"
    reasons: object = attributes.get("gen_ai.response.finish_reasons") or attributes.get("ai.response.finishReason")
    said = cast("list[object]", reasons) if isinstance(reasons, list) else [reasons]
    return next((_FINISHES[one] for one in said if isinstance(one, str) and one in _FINISHES), "stop")


def slices_of(attributes: Attributes) -> Mapping[str, str]:
    """Give the slices that a span names, such as `surefoot.slices.tenant`."""
    if not any(map(_IS_SLICE, attributes)):  # as it is for most
        return {}
    return {name[len(SLICES) :]: str(value) for name, value in attributes.items() if name.startswith(SLICES) and value}


# What was asked and answered ----------------------------------------------------------------------------------------


def input_of(attributes: Attributes, events: Iterable[SpanEvent] = (), told: Told = ALL) -> str:
    """Give what was asked: the last words of the user, or the input as it was told."""
    if whole := first_text(attributes, told.input):
        return spoken(whole, ("user", "human"))
    return _last(_numbered(attributes, "input"), ("user", "human")) or _last(
        [(one.name.split(".")[-2], _content(one.attributes)) for one in events
         if one.name in ("gen_ai.user.message", "gen_ai.system.message")], ("user",)
    )  # fmt: skip


def output_of(attributes: Attributes, events: Iterable[SpanEvent] = (), told: Told = ALL) -> str:
    """Give what was answered."""
    if whole := first_text(attributes, told.output):
        return spoken(whole, ("assistant", "model", "ai"))
    return _last(_numbered(attributes, "output"), ()) or _last(
        [("assistant", _content(one.attributes)) for one in events if one.name == "gen_ai.choice"], ()
    )  # fmt: skip


def spoken(told: str, roles: tuple[str, ...]) -> str:
    """Give the last text that one of these roles said in a list of messages; what is none stays as it is."""
    if told[:1] not in ("[", "{"):
        return told
    value = _json(told)
    if isinstance(value, dict):
        inside = cast("dict[str, object]", value)
        value = inside.get("messages", [inside])
    if not isinstance(value, list):
        return told
    turns = [cast("Attributes", one) for one in cast("list[object]", value) if isinstance(one, dict)]
    return _last([(str(one.get("role", "")), _content(one)) for one in turns], roles) or told


def _last(turns: list[tuple[str, str]], roles: tuple[str, ...]) -> str:
    said = [text for role, text in turns if text and (role in roles or not roles)]
    return said[-1] if said else ""


def _content(message: Attributes) -> str:
    """The text of one message: its content, or its parts; of a choice the message within."""
    content: object = next((message[name] for name in ("content", "parts", "message", "text") if name in message), None)
    if isinstance(content, str):
        inside = _json(content) if content[:1] == "{" else None
        return _content(cast("Attributes", inside)) or content if isinstance(inside, dict) else content
    if isinstance(content, dict):
        return _content(cast("Attributes", content))
    parts = cast("list[object]", content) if isinstance(content, list) else []
    return "\n".join(_part(one) for one in parts if _part(one))


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    found = cast("dict[str, object]", part) if isinstance(part, dict) else {}
    text = found.get("text") or found.get("content")
    return text if isinstance(text, str) else ""


def _numbered(attributes: Attributes, which: str) -> list[tuple[str, str]]:
    """Messages that are spread over numbered attributes, in their order."""
    turns: dict[int, dict[str, str]] = {}
    for name, value in attributes.items():
        if (match := _NUMBERED[which].fullmatch(name)) is not None:
            turns.setdefault(int(match[1]), {})[match[2]] = str(value)
    return [(turns[n].get("role", ""), turns[n].get("content", "")) for n in sorted(turns)]


def _object(value: object) -> Attributes:
    found = _json(value) if isinstance(value, str) else value
    return cast("Attributes", found) if isinstance(found, dict) else {}


def _json(text: str) -> object:
    if len(text) > MOST_JSON_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def written(value: object) -> str:
    """Give a value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
