"""A street of the hamlet: requests with their steps, as an instrumented program tells of them; one of very many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dashboard_house import Place

from surefoot.adapters.otlp.writing import group_of
from surefoot.core.score import Outcome
from surefoot.core.span import Span, SpanEvent, SpanGroup, SpanKind, SpanStatus
from surefoot.core.trace import Trace

AGENT = "refunds"
MARKDOWN = """## What I found

Your order **A-1042** was shipped *two weeks ago*, and the parcel is `lost`.

1. I asked the carrier, see [the form](https://carrier.example/form?x=1).
2. I booked the refund.
   - It takes three days.

> Refunds reach the card that was charged.

```
refund(order="A-1042", amount=49.90)
```
"""
ASKED = "My parcel A-1042 has not come and it is the third week. I want my **money back**, please."
CALLED = {"order": "A-1042", "fields": ["state", "carrier", "charged"]}
GAVE = {"state": "lost", "carrier": "Nimbus", "charged": 49.90}


def trace_id(n: int) -> str:
    return str(UUID(int=0x0190_0000_0000_7000_8000_0000_0000_0000 + n))


def request(n: int, **other: Any) -> Trace:
    """One request; the story ends about now."""
    given: dict[str, Any] = {
        "id": trace_id(n), "agent": AGENT, "version": 1, "unit": f"u{n}", "input": ASKED, "output": MARKDOWN,
        "finish": "stop", "at": datetime.now(UTC) - timedelta(minutes=90 - n), "latency_s": 2.418, "cost_usd": 0.0213,
        "session": "chat-17", "actor": "ann@shop", "external_id": f"ticket-{n}",
        "slices": {"tenant": "nordic", "channel": "form"},
    }  # fmt: skip
    return Trace(**given | other)


@dataclass
class Steps:
    """Makes the steps of one request."""

    trace: Trace
    made: list[Span]

    def step(
        self, name: str, kind: SpanKind, at_ms: float, took_ms: float, *, below: str = "", status: SpanStatus = "ok",
        attributes: Mapping[str, Any] | None = None, **other: Any,
    ) -> str:  # fmt: skip
        span_id = f"{len(self.made) + 1:016x}"
        began = int((self.trace.at.timestamp() + at_ms / 1000) * 1e9)
        self.made.append(Span(
            trace_id=self.trace.id.replace("-", ""), span_id=span_id, parent_id=below, agent=self.trace.agent,
            version=self.trace.version, name=name, kind=kind, started_ns=began, ended_ns=began + int(took_ms * 1e6),
            status=status, session=self.trace.session, actor=self.trace.actor, attributes=attributes or {}, **other,
        ))  # fmt: skip
        return span_id


def tool(call_id: str, name: str) -> dict[str, str]:
    return {"gen_ai.tool.name": name, "gen_ai.tool.call.id": call_id}


def told(trace: Trace) -> list[Span]:
    """An agent that asks a model, looks something up, breaks once, and answers."""
    it = Steps(trace, [])
    asked = [{"role": "user", "parts": [{"type": "text", "content": ASKED}]}]
    calls = [
        {"role": "assistant", "parts": [
            {"type": "tool_call", "id": "c1", "name": "lookup", "arguments": CALLED},
            {"type": "tool_call", "id": "c3", "name": "translate", "arguments": {"to": "en"}},
        ]}
    ]  # fmt: skip
    top = it.step("invoke_agent refunds", "agent", 0, 2418, input=ASKED, output=MARKDOWN, cost_usd=0.0213)
    it.step(
        "chat large-model", "chat", 12, 840, below=top, model="large-model-2", tokens_in=1240, tokens_out=96,
        cost_usd=0.0121, attributes={
            "gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps(calls),
            "gen_ai.request.temperature": 0.2,
        },
    )  # fmt: skip
    work = it.step("resolve order", "other", 860, 640, below=top)
    it.step("execute_tool lookup", "tool", 866, 122, below=work, input=json.dumps(CALLED), output=json.dumps(GAVE),
            attributes=tool("c1", "lookup"))  # fmt: skip
    it.step("search policies", "retrieval", 990, 204, below=work, input="refund of a lost parcel", output="3 texts")
    it.step("execute_tool refund", "tool", 1200, 288, below=work, status="error", attributes=tool("c2", "refund"),
            message="tool refund: the card service answered 503 after 250 ms", input='{"order": "A-1042"}')  # fmt: skip
    it.step("chat large-model", "chat", 1510, 880, below=top, model="large-model-2", tokens_in=1580, tokens_out=212,
            cost_usd=0.0092, output=MARKDOWN)  # fmt: skip
    it.step(
        "gen_ai.evaluation.result", "evaluation", 2430, 0, below=top, attributes={
            "gen_ai.evaluation.name": "politeness", "gen_ai.evaluation.score.label": "pass",
            "gen_ai.evaluation.score.value": 0.93, "gen_ai.evaluation.explanation": "It names what happens next.",
        }, events=(SpanEvent(name="looked up", at_ns=int(trace.at.timestamp() * 1e9)),),
    )  # fmt: skip
    return it.made


def many(trace: Trace, count: int) -> list[Span]:
    """Very many steps: a chain of turns, each with nine calls below it."""
    it, turn = Steps(trace, []), ""
    for n in range(count):
        if n % 10 == 0:
            turn = it.step(f"turn {n // 10}", "agent", n * 3, 29, below="" if n == 0 else f"{1:016x}")
        else:
            it.step(f"call {n}", "tool" if n % 3 else "chat", n * 3, 2.5, below=turn, input="{}", output="done",
                    status="error" if n % 977 == 0 else "ok")  # fmt: skip
    return it.made


def together(spans: list[Span]) -> SpanGroup:
    """Spans that came in one batch; messages put one after the other are one message."""
    groups = [group_of(one) for one in spans]
    return groups[0]._replace(
        span_ids="".join(one.span_ids for one in groups), body=b"".join(one.body for one in groups),
        failed=sum(one.failed for one in groups), ended=max(one.ended for one in groups),
    )  # fmt: skip


def furnish(place: Place, *, steps: int = 0) -> None:
    """Put a conversation of five requests there, the last of which failed, and one with very many steps."""

    def work(tx: Any) -> None:
        texts = (
            ("Where is my order?", "It left our house **on Monday**."), ("And the other one?", '{"state": "lost"}'),
            ("مرحبا، أين طلبي؟", "It is on its way."), ("So?", ""), (ASKED, MARKDOWN),
        )  # fmt: skip
        for n, (asked, answered) in enumerate(texts):
            trace = request(
                n, input=asked, output=answered, version=1 if n < 3 else 2, arm="incumbent" if n < 3 else "challenger",
                rollout="" if n < 3 else tx.rollouts.all(AGENT)[-1].id, weight_percent=0.0 if n < 3 else 15.0,
                finish="length" if n == 3 else "stop", cost_usd=0.0 if n == 2 else 0.0213,
            )  # fmt: skip
            tx.traces.add(trace)
            tx.spans.keep(told(trace))
        tx.outcomes.add(Outcome(trace_id=trace_id(4), verdict="success", at=datetime.now(UTC), source="check:format"))
        tx.outcomes.add(Outcome(
            trace_id=trace_id(4), verdict="failure", at=datetime.now(UTC), source="bob", score=0.25,
            expected="delivery", feedback="The refund was never booked, so the answer is **wrong**.",
        ))  # fmt: skip
        if steps:
            trace = request(9, session="", output="done", at=datetime.now(UTC) - timedelta(hours=3))
            tx.traces.add(trace)
            made = many(trace, steps)
            tx.spans.add_all([together(made[at : at + 500]) for at in range(0, steps, 500)])

    place.change(work)
