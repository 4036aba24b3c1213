"""Route: which version serves a unit, from facts that are at most a quarter of a second old.

The facts (who is live, the rollout's share, the kill switches, the genomes) are read once per agent and kept. A request
never uses facts that were read more than `FRESH_S` ago, so a rollback that is committed holds for every request that
comes later than that; some time before they are read again beside the requests, so that nobody waits. While the store
cannot be read the last facts serve on, for `STALE_S`, and are counted: an app must not stop because a disk does.

What a unit was given at its first request is kept in the store before anything is sent, and the row that is there wins,
whoever wrote it; then it is known here and costs nothing. If it cannot be kept, the hash alone decides, which gives the
same answer while the share stands, and the pin goes along with the trace.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.genome import Genome, render
from surefoot.core.rollout.assign import Assignment, RolloutView, assign
from surefoot.core.trace import Arm, Pin
from surefoot.core.wire import STEERING
from surefoot.engine.serve import draw_of
from surefoot.ports import Ports, Tx
from surefoot.ports.recorder import Recorder

FRESH_S = 0.25
AGEING_S = 0.2
STALE_S = 60.0
PATIENCE_S = 1.0
MOST_AGENTS = 1_000
MOST_UNITS = 100_000
_NO_SLICES: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class Voice:
    """A version as it speaks: its system prompt by the slices of a request, its parameters, and its model's name."""

    version: int
    genome: Genome
    model: str
    texts: dict[tuple[tuple[str, str], ...], str] = field(default_factory=dict[tuple[tuple[str, str], ...], str])
    known_params: dict[str, Any] | None = None

    def system(self, slices: Mapping[str, str]) -> str:
        """Give the rendered genome."""
        key = tuple(sorted(slices.items())) if slices else _NO_SLICES
        if (text := self.texts.get(key)) is None:
            text = render(self.genome, slices)
            if len(self.texts) < 256:
                self.texts[key] = text
        return text

    @property
    def params(self) -> Mapping[str, Any]:
        """The genome's parameters; Invalid for one that may not be sent to a model."""
        if self.known_params is None:
            self.known_params = _read(self.genome.params())
        return self.known_params


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Who serves a request, under which assignment; `unkept` is a pin that the store did not take yet."""

    voice: Voice
    rollout: str = ""
    arm: Arm = "incumbent"
    weight_percent: float = 0.0
    epoch: int = 0
    unkept: Pin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is known of an agent since `read_at` (seconds of the steady clock)."""

    agent: str
    read_at: float
    live: Voice
    scope: str = ""
    view: RolloutView | None = None
    voices: Mapping[Arm, Voice] = field(default_factory=dict[Arm, Voice])


class Routing:
    """The routes of one process. `stale` counts requests that were served from facts older than they should be.

    `steady` is a clock that only goes forward, in seconds.
    """

    def __init__(self, ports: Ports, recorder: Recorder, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._ports = ports
        self._recorder = recorder
        self._steady = steady
        self._facts: dict[str, _Facts] = {}
        self._reading: dict[str, asyncio.Task[_Facts]] = {}
        self._seen: dict[tuple[str, str], Assignment] = {}
        self._voices: dict[tuple[str, int, str, str], Voice] = {}
        self.stale = 0
        self.unkept = 0

    async def route(self, agent: str, unit: str) -> Routed:
        """Give who serves this unit now; NotFound for an agent that is not there."""
        facts = await self._fresh(agent)
        if facts.view is None:
            return Routed(voice=facts.live)
        seen, unkept = self._seen.get((facts.scope, unit)), None
        if seen is None:
            seen, unkept = await self._first_seen(facts.scope, facts.view, unit)
        if seen is None:
            return Routed(voice=facts.live)
        serving = assign(facts.view, unit, seen)
        return Routed(
            voice=facts.voices[serving.arm], rollout=facts.scope, arm=seen.arm, weight_percent=seen.weight_percent,
            epoch=seen.epoch, unkept=unkept,
        )  # fmt: skip

    async def live(self, agent: str) -> Routed:
        """Give the version that is live, whatever rollout there is: for what is no part of one."""
        return Routed(voice=(await self._fresh(agent)).live)

    async def version(self, agent: str, number: int) -> Routed:
        """Give one version by its number, outside of any rollout: for tests."""

        def voice(tx: Tx) -> Voice:
            return self._voice(tx, agent, number, tx.agents.get(agent).habits.model)

        return Routed(voice=await self._ports.store.read(voice))

    # Facts ------------------------------------------------------------------------------------------------------------

    async def _fresh(self, agent: str) -> _Facts:
        kept = self._facts.get(agent)
        age = FRESH_S if kept is None else self._steady() - kept.read_at
        if kept is not None and age < AGEING_S:
            return kept
        reading = self._reading.get(agent) or self._read_again(agent)
        if kept is not None and age < FRESH_S:
            return kept
        try:
            return await asyncio.shield(reading)
        except Unavailable:
            if kept is None or self._steady() - kept.read_at > STALE_S:
                raise
            self.stale += 1
            return kept

    def _read_again(self, agent: str) -> asyncio.Task[_Facts]:
        reading = asyncio.get_running_loop().create_task(self._read(agent))
        self._reading[agent] = reading

        def over(task: asyncio.Task[_Facts]) -> None:
            self._reading.pop(agent, None)
            if not task.cancelled():
                task.exception()  # whoever waits is told; without anyone it is no news

        reading.add_done_callback(over)
        return reading

    async def _read(self, agent: str) -> _Facts:
        began = self._steady()
        facts = await self._ports.store.read(lambda tx: self._gathered(tx, agent, began))
        if len(self._facts) >= MOST_AGENTS and agent not in self._facts:
            self._facts.clear()
        self._facts[agent] = facts
        return facts

    def _gathered(self, tx: Tx, agent: str, began: float) -> _Facts:
        record = tx.agents.get(agent)
        model = record.habits.model
        live = self._voice(tx, agent, record.live, model)
        draw = draw_of(tx, agent)
        if draw is None:
            return _Facts(agent=agent, read_at=began, live=live)
        voices: dict[Arm, Voice] = {
            "incumbent": self._voice(tx, agent, draw.rollout.incumbent, model),
            "challenger": self._voice(tx, agent, draw.rollout.challenger, model),
        }
        return _Facts(agent=agent, read_at=began, live=live, scope=draw.scope, view=draw.view, voices=voices)

    def _voice(self, tx: Tx, agent: str, number: int, model: str) -> Voice:
        version = tx.versions.get(agent, number)
        key = (agent, number, version.genome, model)
        if key not in self._voices:
            if len(self._voices) >= MOST_AGENTS:
                self._voices.clear()
            self._voices[key] = Voice(version=number, genome=tx.versions.genome(version.genome), model=model)
        return self._voices[key]

    # Pins -------------------------------------------------------------------------------------------------------------

    async def _first_seen(self, scope: str, view: RolloutView, unit: str) -> tuple[Assignment | None, Pin | None]:
        """Give what the unit was given at its first request, here or elsewhere, or is given now."""
        if not view.weight_percent:  # no lots are drawn, so a unit that is new is no part of the rollout
            known = await self._ports.store.read(lambda tx: tx.traces.pinned(scope, unit))
            return (None if known is None else self._noted(known)), None
        given = assign(view, unit)
        pin = Pin(rollout=scope, unit=unit, arm=given.arm, weight_percent=given.weight_percent, epoch=given.epoch)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return self._noted(await self._recorder.pin(pin)), None
        except (Unavailable, TimeoutError):
            self.unkept += 1
            return given, pin

    def _noted(self, pin: Pin) -> Assignment:
        seen = Assignment(arm=pin.arm, weight_percent=pin.weight_percent, epoch=pin.epoch)
        if len(self._seen) >= MOST_UNITS:
            self._seen.pop(next(iter(self._seen)))
        self._seen[(pin.rollout, pin.unit)] = seen
        return seen


def _read(params: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in params.items():
        if name not in STEERING:
            raise Invalid(
                f"the parameter {name!r} may not be sent to a model", hint=f"these may: {', '.join(sorted(STEERING))}"
            )
        try:
            value: Any = json.loads(text)
        except ValueError:
            raise Invalid(f"the parameter {name!r} is not JSON", hint="write its value in JSON, such as 0.2") from None
        if value is not None:
            values[name] = value
    return values
