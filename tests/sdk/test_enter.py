"""What programs tell is recorded once, and evidence goes by what the store knows, not by their word."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sdk_house import Scene

from surefoot.core.errors import NotFound
from surefoot.core.trace import apart
from surefoot.engine.enter import Entered, Step, Told, enter
from surefoot.engine.serve import seated

NOW = datetime(2026, 1, 1, tzinfo=UTC)


# The store is asked directly here, so one place is enough.
pytestmark = pytest.mark.parametrize("place", ["embedded"], indirect=True)


def told(scene: Scene, **more: Any) -> Told:
    given_ = {"id": scene.app.ports.new_id(), "version": 1, "unit": "session:a", "input": "hi", "output": "ho",
              "finish": "stop", "at": NOW}  # fmt: skip
    return Told(**{**given_, **more})


def entered(scene: Scene, *some: Told) -> Entered:
    return asyncio.run(enter(scene.app.ports, scene.agent.name, some))


def test_a_batch_that_comes_again_changes_nothing(scene: Scene) -> None:
    some = [told(scene, finish="error", error="boom"), told(scene)]
    assert entered(scene, *some) == Entered(kept=2, known=0)
    assert entered(scene, *some, told(scene)) == Entered(kept=1, known=2)
    assert len(scene.traces()) == 3
    assert len(scene.outcomes(some[0].id)) == 1


def test_what_a_program_says_of_its_arm_is_not_believed(scene: Scene) -> None:
    rollout, ports, name = scene.rollout(50), scene.app.ports, scene.agent.name
    seats = {f"session:{n}": asyncio.run(seated(ports, name, f"session:{n}")) for n in range(12)}
    other = scene.another()
    for unit, seat in seats.items():
        wrong = 3 - seat.version
        one, two = (told(scene, unit=unit, version=number, assignment=rollout.id) for number in (seat.version, wrong))
        assert entered(scene, one, two).kept == 2
        for trace in (scene.see(lambda tx, t=t: tx.traces.get(t.id)) for t in (one, two)):
            assert trace.arm == seat.arm, "whatever version it says, it counts for the arm of its pin"
            assert (trace.weight_percent, trace.epoch) == (50.0, seat.assignment.epoch)
    nobody = told(scene, unit="session:never-assigned", version=2, assignment=rollout.id)
    assert entered(scene, nobody).kept == 1
    assert scene.see(lambda tx: tx.traces.get(nobody.id)).rollout == "", "without a pin it is no evidence"
    foreign = asyncio.run(enter(ports, other.name, [told(scene, unit="session:1", assignment=rollout.id)]))
    assert "has no part in the rollout" in next(iter(foreign.refused.values()))


def test_what_is_wrong_is_named_and_spoils_nothing_else(scene: Scene) -> None:
    other = scene.another()
    taken = told(scene)
    asyncio.run(enter(scene.app.ports, other.name, [taken]))
    good, unknown = told(scene), told(scene, version=77)
    done = entered(scene, unknown, taken, good)
    assert (done.kept, done.known, set(done.refused)) == (2, 0, {unknown.id})
    holders = scene.see(
        lambda tx: {one: tx.traces.get(one).agent for one in (taken.id, apart(taken.id, scene.agent.name))}
    )
    assert holders == {taken.id: other.name, apart(taken.id, scene.agent.name): scene.agent.name}, (
        "none silences another"
    )
    assert (entered(scene, taken).kept, entered(scene, taken).known) == (0, 1)
    with pytest.raises(NotFound):
        scene.see(lambda tx: tx.traces.get(unknown.id))


def test_no_spelling_of_an_id_adds_steps_to_the_trace_of_another_agent(scene: Scene) -> None:
    other, one = scene.another(), told(scene)
    entered(scene, one)
    step = Step(id="0" * 15 + "1", name="call", kind="tool", started=1.0, ended=2.0)
    bits = one.id.replace("-", "")
    for name in (one.id.upper(), bits, bits.upper(), "-".join(bits)):
        done = asyncio.run(enter(scene.app.ports, other.name, [told(scene, id=name, steps=(step,))]))
        assert done.refused == {}
    assert {span.agent for span in scene.see(lambda tx: tx.spans.of_trace(bits))} == {other.name}
    assert scene.see(lambda tx: tx.spans.of_trace(bits, agents=[scene.agent.name])) == []


def test_nothing_is_dated_after_it_came_and_secrets_are_not_kept(scene: Scene) -> None:
    ahead = datetime.now(UTC) + timedelta(days=3)
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    step = Step(
        id="0" * 15 + "1", name="call", kind="tool", started=1.0, ended=0.5, input=key, output="\ud800", error=key
    )
    one = told(scene, at=ahead, input=f"my key is {key}", error=key, finish="error", unit="session:\ud800",
               steps=(step,))  # fmt: skip
    entered(scene, one)
    trace = scene.trace()
    assert trace.at <= datetime.now(UTC)
    (span,) = scene.see(lambda tx: tx.spans.of_trace(one.id.replace("-", "")))
    kept = [trace.input, span.input, span.message, scene.outcomes(one.id)[0].feedback]
    assert all(key not in text for text in kept)
    assert span.latency_s == 0.0


FINISHES = ["stop", "length", "truncated", "refused", "error", "cancelled"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(finish=st.sampled_from(FINISHES), blameless=st.booleans())
def test_an_answer_that_is_not_whole_is_a_failure_unless_somebody_else_is_to_blame(
    scene: Scene, finish: str, blameless: bool
) -> None:
    one = replace(told(scene), finish=finish, blameless=blameless)
    entered(scene, one)
    verdicts = [outcome.verdict for outcome in scene.outcomes(one.id)]
    assert verdicts == (["failure"] if finish not in ("stop", "cancelled") and not blameless else [])
