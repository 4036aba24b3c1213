"""Settle: write down how an execution ended: its row, its trace, its failure if it is one, and whoever wants to know.

What is stored is redacted, text by text inside the JSON, names of fields too. A request that its assigned version could
not even be given is settled as well, in a trace of its own that no later outcome about another answer can turn.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from math import isfinite

from surefoot.core.digest import canonical
from surefoot.core.errors import Invalid, NotFound
from surefoot.core.execution import BLAMELESS, CHANNEL, Execution
from surefoot.core.notice import Notice
from surefoot.core.score import Outcome
from surefoot.core.trace import Trace
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx

MOST_DEPTH = 100
SOURCE = "process"


def settle(tx: Tx, ports: Ports, one: Execution) -> Execution:
    """Write down an execution that is over: its row, its trace, and the failure that its end already is."""
    now = one.ended_at or ports.clock()
    after = tx.executions.swap(one)
    trace = _apart(tx, ports, trace_of(one, now))
    tx.traces.add(trace)
    if one.state not in BLAMELESS and one.state != "succeeded":
        tx.outcomes.add(Outcome(
            trace_id=trace.id, verdict="failure", at=now, source=SOURCE,
            feedback=one.error or f"it ended by {one.state}",
        ))  # fmt: skip
    if one.webhook:
        _told(tx, ports, one)
    return after


def trace_of(one: Execution, now: datetime) -> Trace:
    """Give the trace of an execution."""
    return Trace(
        id=one.id, agent=one.agent, version=one.number, unit=one.unit, input=text_of(one.input),
        output=text_of(one.result) if one.state == "succeeded" else "",
        finish="stop" if one.state == "succeeded" else "error", at=one.at, rollout=one.rollout, arm=one.arm,
        weight_percent=one.weight_percent, epoch=one.epoch, source=one.source, slices=dict(one.slices),
        latency_s=max(0.0, (now - (one.sent_at or one.at)).total_seconds()), session=one.session, actor=one.actor,
    )  # fmt: skip


def _apart(tx: Tx, ports: Ports, trace: Trace) -> Trace:
    """Give the trace under another id where its own is taken: what others wrote must not keep an execution open."""
    with contextlib.suppress(NotFound):
        tx.traces.get(trace.id)
        return replace(trace, id=ports.new_id())
    return trace


def failed_before(tx: Tx, trace: Trace, because: str) -> None:
    """Record a request that its assigned version could not be given: a failure of its own, which stays one."""
    tx.traces.add(trace)
    tx.outcomes.add(Outcome(trace_id=trace.id, verdict="failure", at=trace.at, source="router", feedback=because))


def _told(tx: Tx, ports: Ports, one: Execution) -> None:
    """Put the end of an execution into the outbox, for the address that its caller gave."""
    now = ports.clock()
    tx.notices.add(Notice(
        id=ports.new_id(), channel=f"{CHANNEL}{one.id}", kind="execution_ended", agent=one.agent,
        subject=f"execution {one.id} of {one.agent}", sentence=f"{one.agent}.{one.reasoner} {one.state}", at=now,
        next_at=now, facts={
            "execution_id": one.id, "reasoner": one.reasoner, "version": one.version, "status": one.state,
            "result": one.result, "redacted": one.redacted, "error": one.error or None,
        },
    ))  # fmt: skip


def signed_as(caller: str) -> str:
    """Give the name of the key with which a caller's webhooks are signed."""
    return f"executions:{caller}"


async def tell(ports: Ports, notice: Notice) -> None:
    """Send the notice of an execution to the address that its caller gave."""
    name = notice.channel.removeprefix(CHANNEL)
    one = await ports.store.read(lambda tx: tx.executions.get(name))
    await ports.hooks.notifier(one.webhook, signed_as(one.by)).send(notice)


def text_of(value: object) -> str:
    """Give the text of a JSON value as traces hold it: a text is itself, anything else its JSON."""
    return value if isinstance(value, str) else "" if value is None else canonical(value)


def veiled(ports: Ports, value: object, depth: int = 0) -> object:
    """Give a JSON value as it may be stored: each text in it redacted, names of fields too."""
    if depth > MOST_DEPTH:
        raise Invalid(f"the JSON is nested deeper than {MOST_DEPTH}", hint="send it flatter")
    if isinstance(value, str):
        return ports.redact(storable(value))
    if isinstance(value, Mapping):
        pairs: Mapping[str, object] = value  # pyright: ignore[reportUnknownVariableType]
        return {ports.redact(storable(str(name))): veiled(ports, item, depth + 1) for name, item in pairs.items()}
    if isinstance(value, list):
        items: list[object] = value  # pyright: ignore[reportUnknownVariableType]
        return [veiled(ports, item, depth + 1) for item in items]
    if isinstance(value, float) and not isfinite(value):
        raise Invalid(f"{value} is no JSON", hint="send a finite number, or null")
    if isinstance(value, int | float) and not isinstance(value, bool):
        spelt = json.dumps(value)
        hidden = ports.redact(spelt)
        return value if hidden == spelt else hidden
    return value
