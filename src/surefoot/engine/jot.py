"""Jot: keep what an upstream answered, at the cost of nothing but the wait for one commit.

An answer counts as given when its trace is durable, so this returns after the commit. But an app must not wait for a
disk: who calls this bounds the wait, and when the recorder is full or the store away it returns at once and says so.
An answer that is not whole is a failure of its version at once (intention to treat); one that the upstream owed to
something else (a limit, a key, a client that went away) says nothing about the version and has no outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from surefoot.core.asker import Asker
from surefoot.core.errors import SurefootError
from surefoot.core.score import Outcome
from surefoot.core.trace import Trace
from surefoot.core.wire import Heard
from surefoot.engine.route import Routed
from surefoot.engine.serve import storable
from surefoot.ports.recorder import Recorder
from surefoot.ports.telemetry import Answered, Nobody, Telemetry

Kept = Literal["kept", "lost"]
_OF_THE_VERSION = frozenset({"length", "truncated", "refused", "error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what became of it; `blameless` when the version has no part in how it ended."""

    trace_id: str
    agent: str
    unit: str
    routed: Routed
    asked: str
    heard: Heard
    at: datetime
    latency_s: float
    source: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    cost_usd: float = 0.0
    blameless: bool = False
    asker: Asker = field(default_factory=Asker)


async def jot(recorder: Recorder, exchange: Exchange) -> Kept:
    """Record an exchange: `kept` after its commit, `lost` when it cannot be kept; cancelled, it is still written."""
    try:
        await recorder.add(trace_of(exchange), outcome_of(exchange), exchange.routed.unkept)
    except (SurefootError, OSError):
        return "lost"
    return "kept"


def tell(telemetry: Telemetry, exchange: Exchange, traceparent: str) -> None:
    """Tell an observer outside of an exchange, and of the failure that it may be already."""
    if isinstance(telemetry, Nobody):
        return
    telemetry.answered(Answered(
        trace=trace_of(exchange), model=exchange.routed.voice.model, tokens_in=exchange.heard.tokens_in,
        tokens_out=exchange.heard.tokens_out, traceparent=traceparent,
    ))  # fmt: skip
    if (outcome := outcome_of(exchange)) is not None:
        telemetry.judged(exchange.agent, outcome)


def trace_of(exchange: Exchange) -> Trace:
    """Give the trace of an exchange."""
    routed = exchange.routed
    return Trace(
        id=exchange.trace_id, agent=exchange.agent, version=routed.voice.version,
        unit=storable(exchange.unit), input=storable(exchange.asked), output=storable(exchange.heard.text),
        finish=exchange.heard.finish, at=exchange.at, rollout=routed.rollout, arm=routed.arm,
        weight_percent=routed.weight_percent, epoch=routed.epoch, source=storable(exchange.source),
        slices=exchange.slices, latency_s=exchange.latency_s, cost_usd=exchange.cost_usd,
        session=storable(exchange.asker.session), actor=storable(exchange.asker.actor),
        external_id=storable(exchange.asker.external_id),
    )  # fmt: skip


def outcome_of(exchange: Exchange) -> Outcome | None:
    """Give the failure that the end of an answer already is, if it is one."""
    if exchange.blameless or exchange.heard.finish not in _OF_THE_VERSION:
        return None
    return Outcome(
        trace_id=exchange.trace_id, verdict="failure", at=exchange.at, source="gateway",
        feedback=f"the answer ended by {exchange.heard.finish}",
    )  # fmt: skip
