"""Observe: an outcome arrives for a trace, perhaps days later, perhaps twice.

Outcomes are appended, never overwritten. With an expectation the answer is compared here; without one the verdict is
what the caller says. Unknown stays unknown.
"""

from __future__ import annotations

from surefoot.core.errors import Invalid
from surefoot.core.rollout.standing import rollout_named
from surefoot.core.score import Outcome, Verdict, judged
from surefoot.core.trace import Trace
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx


async def observe(
    ports: Ports, trace_id: str, *, expected: str = "", verdict: Verdict | None = None, score: float | None = None,
    source: str = "api", feedback: str = "",
) -> Outcome:  # fmt: skip
    """Append what somebody says about a trace; Invalid when they say nothing, or a label the agent does not have."""
    if not expected.strip() and verdict is None and score is None:
        raise Invalid(
            f"the outcome for trace {trace_id} says nothing",
            hint="give the expected answer, a verdict (success, failure, unknown) or a score in [0, 1]",
        )
    # What was answered was redacted before it was kept, so what is compared with it is redacted alike.
    now, expected, feedback = ports.clock(), ports.redact(storable(expected)), ports.redact(storable(feedback))

    def record(tx: Tx) -> Outcome:
        trace = tx.traces.get(trace_id)
        if expected.strip():
            _known_label(tx, trace.agent, expected)
        outcome = Outcome(
            trace_id=trace_id, verdict=verdict or _verdict(trace.output, expected, score), at=now, source=source,
            score=score, expected=expected.strip(), feedback=feedback,
        )  # fmt: skip
        tx.outcomes.add(outcome)
        return outcome

    return await ports.store.write(record)


def _verdict(output: str, expected: str, score: float | None) -> Verdict:
    """Compare with the expectation if there is one; a bare score is a success from one half on."""
    if expected.strip() or score is None:
        return judged(output, expected)
    return "success" if score >= 0.5 else "failure"


def _known_label(tx: Tx, agent: str, expected: str) -> None:
    labels = tx.agents.get(agent).labels
    if labels and expected.strip().lower() not in {label.lower() for label in labels}:
        raise Invalid(
            f"{expected!r} is not a label of agent {agent!r}", hint=f"its labels are {', '.join(sorted(labels))}"
        )


async def violate(ports: Ports, trace_id: str, what: str) -> None:
    """Record a zero-tolerance event (policy violation, leaked secret, forbidden tool) of the version that answered."""
    now = ports.clock()

    def record(tx: Tx) -> None:
        trace = tx.traces.get(trace_id)
        tx.outcomes.add(Outcome(trace_id=trace_id, verdict="failure", at=now, source="guardrail", feedback=what))
        if (rollout := _answerable(tx, trace)) is not None:
            tx.rollouts.violated(rollout, trace_id, what, now)
        tx.audit.append(
            at=now, actor="guardrail", action="violation", subject=f"{trace.agent}/v{trace.version}",
            payload={"trace": trace_id, "what": what},
        )  # fmt: skip

    await ports.store.write(record)


def _answerable(tx: Tx, trace: Trace) -> str | None:
    """Give the rollout that must answer for a request: its own, or that by which the version became what it is."""
    if trace.rollout:
        return rollout_named(trace.rollout) if trace.arm == "challenger" else None
    made = [one for one in tx.rollouts.all(trace.agent) if one.challenger == trace.version]
    promoted = [one.id for one in made if one.state in ("promoted", "closed")]
    return promoted[-1] if promoted else None
