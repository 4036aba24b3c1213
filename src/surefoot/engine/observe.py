"""Observe: an outcome arrives for a trace, perhaps days later, perhaps twice.

Outcomes are appended, never overwritten. With an expectation the answer is compared here; without one the verdict is
what the caller says. Unknown stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from surefoot.core.errors import Conflict, Invalid, NotFound, SurefootError
from surefoot.core.rollout.standing import rollout_named
from surefoot.core.score import Outcome, Verdict, judged
from surefoot.core.trace import GONE, Trace
from surefoot.engine.discern import trace_seen
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx

AT_ONCE = 50


async def observe(
    ports: Ports, trace_id: str, *, expected: str = "", verdict: Verdict | None = None, score: float | None = None,
    source: str = "api", feedback: str = "", sees: Callable[[str], bool],
) -> Outcome:  # fmt: skip
    """Append what somebody says about a trace; Invalid when they say nothing, or a label the agent does not have.

    `sees` says which agents the caller may speak of; traces of others are as if they were not there.
    """
    said = Said(
        trace_id=trace_id, expected=expected, verdict=verdict, score=score, source=source, feedback=feedback
    )  # fmt: skip
    (done,) = await observe_all(ports, [said], sees=sees)
    if isinstance(done, SurefootError):
        raise done
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody says about a trace: named by its id, or by what the app of an agent calls the request.

    With `agent` that agent's request is meant, where several agents have one under an id.
    """

    trace_id: str = ""
    external_id: str = ""
    agent: str = ""
    expected: str = ""
    verdict: Verdict | None = None
    score: float | None = None
    source: str = "api"
    feedback: str = ""


async def observe_all(
    ports: Ports, all_said: Sequence[Said], *, sees: Callable[[str], bool]
) -> list[Outcome | SurefootError]:
    """Append many outcomes, in this order, and give of each what was kept or why it was not.

    They are written a few at a time, so that requests which are recorded meanwhile do not wait for a long batch. `sees`
    says which agents the caller may speak of; traces of others are as if they were not there.
    """
    now, done = ports.clock(), list[Outcome | SurefootError]()
    for start in range(0, len(all_said), AT_ONCE):
        # What was answered was redacted before it was kept, so what is compared with it is redacted alike.
        some = [_redacted(ports, one) for one in all_said[start : start + AT_ONCE]]
        told = await ports.store.write(lambda tx, some=some: [_told(tx, one, now, sees) for one in some])
        for agent, outcome in told:
            if not isinstance(outcome, SurefootError):
                ports.telemetry.judged(agent, outcome)
        done += [outcome for _, outcome in told]
    return done


def _redacted(ports: Ports, said: Said) -> Said:
    return replace(
        said, trace_id=storable(said.trace_id), agent=storable(said.agent),
        expected=ports.redact(storable(said.expected)).strip(), feedback=ports.redact(storable(said.feedback)),
        external_id=ports.redact_name(storable(said.external_id)), source=_who(ports, said.source),
    )  # fmt: skip


def _who(ports: Ports, source: str) -> str:
    """A source may name a check (`check:NAME`), so it stays what it is unless there is something in it to hide."""
    (kept,) = ports.redact_slices({"source": storable(source)}).values()
    return kept


def _told(tx: Tx, said: Said, now: datetime, sees: Callable[[str], bool]) -> tuple[str, Outcome | SurefootError]:
    """Append one, and name the agent; nothing is written where it gives an error."""
    try:
        trace = _trace_of(tx, said, sees)
        if not said.expected and said.verdict is None and said.score is None:
            raise Invalid(
                f"the outcome for trace {trace.id} says nothing",
                hint="give the expected answer, a verdict (success, failure, unknown) or a score in [0, 1]",
            )
        if trace.finish == GONE and said.verdict is None:
            raise Conflict(
                f"the texts of trace {trace.id} were deleted, so nothing can be compared", hint="give a verdict"
            )
        if said.expected:
            _known_label(tx, trace.agent, said.expected)
        outcome = Outcome(
            trace_id=trace.id, verdict=said.verdict or _verdict(trace.output, said.expected, said.score), at=now,
            source=said.source, score=said.score, expected=said.expected, feedback=said.feedback,
        )  # fmt: skip
    except SurefootError as error:
        return "", error
    tx.outcomes.add(outcome)
    return trace.agent, outcome


def _trace_of(tx: Tx, said: Said, sees: Callable[[str], bool]) -> Trace:
    """Give the trace that is meant.

    An outcome that comes before its trace is refused, not kept: an answer is recorded before it is given, so what is
    not there was lost or is misspelt, and neither should wait in silence for a request that never comes.
    """
    if bool(said.trace_id) == bool(said.external_id):
        raise Invalid(
            "the outcome names no trace, or names it twice", hint="give trace_id, or external_id with its agent"
        )
    trace_id = said.trace_id
    if said.external_id:
        if not said.agent:
            raise Invalid(f"whose request is {said.external_id!r}?", hint="name the agent beside external_id")
        trace_id = (tx.finding.external(said.agent, said.external_id) if sees(said.agent) else None) or ""
        if not trace_id:
            raise NotFound(
                f"no request of {said.agent!r} is called {said.external_id!r}",
                hint="send the outcome after the answer; X-Surefoot-External-Id gives a request its name",
            )
    return trace_seen(tx, trace_id, lambda agent: said.agent in ("", agent) and sees(agent))


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
    now, what = ports.clock(), ports.redact(storable(what))

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
