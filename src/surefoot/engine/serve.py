"""Serve: pick the version for a unit, ask the model, record the trace.

The pin is written before the model is asked, so a unit keeps its version even if the answer never arrives; a model
that fails leaves a trace too, because an error is an outcome of the version that was assigned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from surefoot.core.asker import Asker
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.genome import Genome, render
from surefoot.core.rollout.assign import Assignment, RolloutView, assign
from surefoot.core.rollout.standing import HOLDBACK, Rollout
from surefoot.core.score import Outcome
from surefoot.core.trace import Arm, Pin, Trace
from surefoot.engine.halt import halted
from surefoot.ports import Answer, Finish, Model, Ports, Question, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An answer with the version that gave it and the id under which an outcome can be posted."""

    trace_id: str
    text: str
    version: int
    finish: Finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Who serves one request, and under which assignment."""

    version: int
    genome: Genome
    model: str
    rollout: str = ""
    arm: Arm = "incumbent"
    assignment: Assignment = field(default_factory=lambda: Assignment(arm="incumbent", weight_percent=0.0, epoch=0))


async def serve(
    ports: Ports, agent: str, text: str, *, unit: str = "", source: str = "", slices: Mapping[str, str] | None = None,
    asker: Asker | None = None,
) -> Served:  # fmt: skip
    """Answer one request of a unit (a session, else an actor; by default the request itself)."""
    trace_id, now, whose = ports.new_id(), ports.clock(), asker or Asker()
    unit = ports.redact_name(storable(unit or whose.session or whose.actor)) or trace_id
    text, here = storable(text), dict(slices or {})
    seat = await seated(ports, agent, unit)
    model = ports.model_named(seat.model)
    answer, problem = await _asked(model, question(seat.genome, text, here))

    def named(name: str) -> str:
        return ports.redact_name(storable(name))

    trace = Trace(
        id=trace_id, agent=agent, version=seat.version, unit=unit, input=ports.redact(text),
        output=ports.redact(storable(answer.text)),
        finish=answer.finish, at=now, rollout=seat.rollout, arm=seat.arm,
        weight_percent=seat.assignment.weight_percent, epoch=seat.assignment.epoch,
        source=named(source or whose.actor), slices=ports.redact_slices(here),
        latency_s=answer.latency_s, cost_usd=answer.cost.usd,
        session=named(whose.session), actor=named(whose.actor or _person(source)),
        external_id=named(whose.external_id),
    )  # fmt: skip
    await ports.store.write(lambda tx: _recorded(tx, trace))
    if problem is not None:
        raise problem
    return Served(trace_id=trace_id, text=answer.text, version=seat.version, finish=answer.finish)


async def seated(ports: Ports, agent: str, unit: str) -> Seat:
    """Give who serves a unit; only a unit that is new to a rollout needs the write lock."""
    seat = await ports.store.read(lambda tx: _known_seat(tx, agent, unit))
    return seat or await ports.store.write(lambda tx: _new_seat(tx, agent, unit))


async def live_seat(ports: Ports, agent: str) -> Seat:
    """Give the live version to whoever asks for nobody in particular, such as an improver; it is part of no rollout."""
    return await ports.store.read(lambda tx: _incumbent_seat(tx, agent))


def _known_seat(tx: Tx, agent: str, unit: str) -> Seat | None:
    draw = draw_of(tx, agent)
    if draw is None:
        return _incumbent_seat(tx, agent)
    pin = tx.traces.pinned(draw.scope, unit)
    if pin is not None:
        return _drawn_seat(tx, draw, unit, pin)
    return None if draw.share else _incumbent_seat(tx, agent)


def _new_seat(tx: Tx, agent: str, unit: str) -> Seat:
    draw = draw_of(tx, agent)
    if draw is None or not draw.share:  # no lots are drawn, so the unit is no part of the rollout yet
        return _incumbent_seat(tx, agent)
    given = assign(draw.view, unit)
    pin = tx.traces.pin(Pin(rollout=draw.scope, unit=unit, arm=given.arm, weight_percent=given.weight_percent,
                            epoch=given.epoch))  # fmt: skip
    return _drawn_seat(tx, draw, unit, pin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The lots that are drawn now: in a rollout's canary, or in the holdback that follows it."""

    rollout: Rollout
    scope: str
    salt: str
    share: float
    epoch: int

    @property
    def view(self) -> RolloutView:
        return RolloutView(salt=self.salt, weight_percent=self.share, epoch=self.epoch)


def draw_of(tx: Tx, agent: str) -> Draw | None:
    """Give the rollout in progress, else the holdback of the live version, else None.

    While the kill switch is on a challenger has no share, and there is no holdback, whenever a reconcile notices.
    """
    rollout = tx.rollouts.active(agent)
    if rollout is not None:
        share = 0.0 if halted(tx, tx.agents.get(agent)) else rollout.weight_percent
        return Draw(rollout=rollout, scope=rollout.id, salt=rollout.salt, share=share, epoch=rollout.epoch)
    held = tx.rollouts.holdback(agent)
    if held is None:
        return None
    record = tx.agents.get(agent)
    if record.live != held.challenger or halted(tx, record):
        return None
    scope = held.holdback_scope  # another salt than the canary's: units are drawn anew, at one share, in one epoch
    return Draw(rollout=held, scope=scope, salt=f"{held.salt}{HOLDBACK}", share=100 - held.holdback_percent, epoch=0)


def _incumbent_seat(tx: Tx, agent: str) -> Seat:
    record = tx.agents.get(agent)
    version = tx.versions.get(agent, record.live)
    return Seat(version=version.number, genome=tx.versions.genome(version.genome), model=record.habits.model)


def _drawn_seat(tx: Tx, draw: Draw, unit: str, pin: Pin) -> Seat:
    rollout = draw.rollout
    seen = Assignment(arm=pin.arm, weight_percent=pin.weight_percent, epoch=pin.epoch)
    serving = assign(draw.view, unit, seen)
    number = rollout.challenger if serving.arm == "challenger" else rollout.incumbent
    version = tx.versions.get(rollout.agent, number)
    return Seat(
        version=number, genome=tx.versions.genome(version.genome), model=tx.agents.get(rollout.agent).habits.model,
        rollout=draw.scope, arm=pin.arm, assignment=seen,
    )  # fmt: skip


def storable(text: str) -> str:
    """Give the text with a `?` for each half of a broken character (JSON can carry them, UTF-8 cannot)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _person(source: str) -> str:
    """A source is the person behind a request, unless it is a line of a file."""
    return "" if source.startswith("file:") else source


def question(genome: Genome, text: str, slices: Mapping[str, str], *, case_id: str = "") -> Question:
    """Give what a model is asked when this genome serves this text."""
    system = _prompt(genome, tuple(sorted(slices.items())))
    return Question(system=system, user=text, params=genome.params(), case_id=case_id)


@lru_cache(maxsize=512)
def _prompt(genome: Genome, slices: tuple[tuple[str, str], ...]) -> str:
    return render(genome, dict(slices))


async def _asked(model: Model, asked: Question) -> tuple[Answer, Unavailable | Invalid | None]:
    try:
        return await model.answer(asked), None
    except (Unavailable, Invalid) as problem:
        return Answer(text="", finish="error"), problem


def _recorded(tx: Tx, trace: Trace) -> None:
    """Append the trace; an answer that is not whole is a failure of its version at once (intention to treat)."""
    tx.traces.add(trace)
    if trace.finish != "stop":
        tx.outcomes.add(Outcome(
            trace_id=trace.id, verdict="failure", at=trace.at, source="serve",
            feedback=f"the answer ended by {trace.finish}",
        ))  # fmt: skip
