"""An operator for anyone's own traffic: the product's decisions without its store, gateway or person at the desk.

`assign` says who serves a unit, `observe` takes what became of it, `tick` takes the next step. The state is counts and
pins, given and taken as plain JSON, so a program can keep it wherever it likes. The same `next_step` decides here and
in the product; with the preset `seed` the thresholds of that preset do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from surefoot.core.approval import identity
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.evidence.sampling import Assigned
from surefoot.core.rollout import RolloutFacts, RolloutSettings, RolloutState, next_step
from surefoot.core.rollout.assign import Assignment, RolloutView, assign
from surefoot.core.rollout.seed import SEED, seed_step
from surefoot.core.trace import Arm

Preset = Literal["surefoot", "seed"]
Known = Literal["success", "failure", "unknown"]
_ENDED: frozenset[RolloutState] = frozenset({"promoted", "closed", "rolled_back", "inconclusive", "aborted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One decision: what happened, where it leaves the rollout, and the numbers behind it.

    `e_win` and `e_guard` are None under the preset `seed`, which has none.
    """

    action: str
    state: RolloutState
    weight_percent: float
    reason: str
    sentence: str
    labels: int
    e_win: float | None = None
    e_guard: float | None = None


def operator(
    *, p0: float | None = None, horizon: float | timedelta = 30.0, settings: RolloutSettings | None = None,
    preset: Preset = "surefoot", salt: str = "rollout", started_at: datetime | None = None,
) -> Operator:  # fmt: skip
    """Give an operator for one rollout.

    `p0` is the incumbent's failure rate before the start (None: unknown, then failures alone count), `horizon` in days
    or a timedelta; `settings` replaces both. One rollout has no ledger unless `settings` has one. The salt makes the
    draw of units: another rollout takes another. Errors: Invalid for terms that make no sense.
    """
    days = horizon / timedelta(days=1) if isinstance(horizon, timedelta) else horizon
    terms = settings or RolloutSettings(baseline_rate=p0, horizon_days=days, ledger_slots=None, holdback_percent=0)
    if terms.road != "canary":
        raise Invalid("an operator of one's own has no recorded requests", hint="take the road 'canary'")
    return Operator(settings=terms, preset=preset, salt=salt, started_at=started_at)


@dataclass(kw_only=True)
class Operator:
    """One rollout in this process. Not for several threads at once."""

    settings: RolloutSettings
    preset: Preset = "surefoot"
    salt: str = "rollout"
    started_at: datetime | None = None
    state: RolloutState = "draft"
    weight_percent: float = 0.0
    epoch: int = 0
    _pins: dict[str, Assignment] = field(default_factory=dict[str, Assignment])
    _labels: dict[str, Known] = field(default_factory=dict[str, Known])
    _answer: Literal["approved", "rejected"] | None = None

    def assign(self, unit: str) -> Arm:
        """Give the version that serves a unit (a session, else a user), the same one every time."""
        view = RolloutView(salt=self.salt, weight_percent=self.weight_percent, epoch=self.epoch)
        given = assign(view, unit, self._pins.get(unit))
        if unit not in self._pins and 0 < self.weight_percent < 100:
            self._pins[unit] = given
        return given.arm

    def observe(self, unit: str, outcome: bool | Known) -> None:
        """Take a unit's outcome (True is a success); the last one counts, an unknown one changes nothing.

        NotFound for a unit that was never assigned while both versions served.
        """
        known: Known = outcome if isinstance(outcome, str) else "success" if outcome else "failure"
        if known not in ("success", "failure", "unknown"):
            raise Invalid(f"{outcome!r} is no outcome", hint="give True, False, 'success', 'failure' or 'unknown'")
        if unit not in self._pins:
            raise NotFound(f"unit {unit!r} was not assigned in this rollout", hint="assign(unit) comes first")
        if known != "unknown":
            self._labels.pop(unit, None)  # the preset's window is in order of arrival
            self._labels[unit] = known

    def tick(self, now: datetime) -> Tick:
        """Take the next step; call it on a schedule. It waits for `approve` before the majority."""
        self.started_at = self.started_at or now
        return self._seed() if self.preset == "seed" else self._step(now)

    def approve(self, by: str) -> None:
        """Let the challenger have everything at the next tick; Conflict unless it waits for that."""
        self._decide("approved", by)

    def reject(self, by: str) -> None:
        """End the rollout at the next tick; Conflict unless it waits for a decision."""
        self._decide("rejected", by)

    def strata(self) -> tuple[Stratum, ...]:
        """Give the labels by epoch and arm."""
        cells: dict[tuple[int, float], dict[str, int]] = {}
        for unit, label in self._labels.items():
            pin = self._pins[unit]
            cell = cells.setdefault((pin.epoch, pin.weight_percent), {})
            name = f"{pin.arm}_{'failures' if label == 'failure' else 'successes'}"
            cell[name] = cell.get(name, 0) + 1
        return tuple(Stratum(epoch=e, weight_percent=w, **counts) for (e, w), counts in sorted(cells.items()))

    def facts(self) -> RolloutFacts:
        """Give what the next step is decided from."""
        return RolloutFacts(
            settings=self.settings, state=self.state, weight_percent=self.weight_percent, epoch=self.epoch,
            started_at=self.started_at, strata=self.strata(), assigned=self._assigned(),
            approval=self._answer, approval_is_current=self._answer is not None,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Give the state as plain JSON."""
        return {
            "preset": self.preset, "salt": self.salt, "state": self.state, "weight_percent": self.weight_percent,
            "epoch": self.epoch, "started_at": self.started_at and self.started_at.astimezone(UTC).isoformat(),
            "answer": self._answer, "labels": list(self._labels.items()),
            "pins": [[unit, pin.arm, pin.weight_percent, pin.epoch] for unit, pin in self._pins.items()],
        }  # fmt: skip

    def restore(self, kept: Mapping[str, Any]) -> Operator:
        """Give an operator with these settings that goes on where `as_dict` left off."""
        began = kept["started_at"]
        return replace(
            self, preset=kept["preset"], salt=kept["salt"], state=kept["state"], epoch=kept["epoch"],
            weight_percent=kept["weight_percent"], started_at=datetime.fromisoformat(began) if began else None,
            _answer=kept["answer"], _labels=dict(kept["labels"]),
            _pins={unit: Assignment(arm=arm, weight_percent=w, epoch=e) for unit, arm, w, e in kept["pins"]},
        )  # fmt: skip

    def _decide(self, answer: Literal["approved", "rejected"], by: str) -> None:
        if not identity(by):
            raise Invalid("a decision needs a person's name", hint="say who decides")
        if self.state != "awaiting_approval":
            raise Conflict(f"the rollout is {self.state.replace('_', ' ')}", hint="it asks when it is time")
        self._answer = answer

    def _assigned(self) -> tuple[Assigned, ...]:
        cells: dict[tuple[int, float], list[int]] = {}
        for pin in self._pins.values():
            cells.setdefault((pin.epoch, pin.weight_percent), [0, 0])[pin.arm == "incumbent"] += 1
        return tuple(
            Assigned(epoch=e, weight_percent=w, challenger=c, incumbent=i) for (e, w), (c, i) in sorted(cells.items())
        )

    def _step(self, now: datetime) -> Tick:
        step = next_step(self.facts(), now)
        self.state, self.weight_percent, self.epoch = step.state, step.weight_percent, step.epoch
        if step.action != "hold":
            self._answer = None
        return Tick(
            action=step.action, state=step.state, weight_percent=step.weight_percent, reason=step.reason,
            sentence=step.sentence, labels=step.evidence.labels, e_win=step.evidence.e_win,
            e_guard=step.evidence.e_guard,
        )  # fmt: skip

    def _seed(self) -> Tick:
        """Follow the preset; it asks a person when the next step would be the ceiling."""
        if self.state in _ENDED or (self.state == "awaiting_approval" and self._answer is None):
            return self._seed_tick("hold", "finished" if self.state in _ENDED else "awaiting_decision")
        if self.state == "draft":
            return self._seed_tick("ramp", "started", state="canary", weight=5.0)
        if self._answer is not None:
            yes = self._answer == "approved"
            return self._seed_tick(
                "promote" if yes else "roll_back", "approved" if yes else "approval_rejected",
                state="promoted" if yes else "rolled_back", weight=100.0 if yes else 0.0,
            )  # fmt: skip
        failed = [label == "failure" for unit, label in self._labels.items() if self._pins[unit].arm == "challenger"]
        step = seed_step(failed, self.weight_percent)
        if step.action == "roll_back":
            return self._seed_tick("roll_back", "above_limit", state="rolled_back", weight=0.0)
        if step.action == "promote" and step.weight_percent >= SEED.ceiling:
            return self._seed_tick("await_approval", "below_limit", state="awaiting_approval")
        return self._seed_tick(
            "ramp" if step.action == "promote" else "hold", "below_limit" if step.action == "promote" else "between",
            weight=step.weight_percent,
        )  # fmt: skip

    def _seed_tick(
        self, action: str, reason: str, *, state: RolloutState | None = None, weight: float | None = None
    ) -> Tick:
        weight = self.weight_percent if weight is None else weight
        self.epoch += weight != self.weight_percent
        self.state, self.weight_percent = state or self.state, weight
        words = f"Preset seed: {action.replace('_', ' ')} ({reason.replace('_', ' ')})."
        return Tick(action=action, state=self.state, weight_percent=weight, reason=reason, sentence=words,
                    labels=len(self._labels))  # fmt: skip
