"""The world of a simulation: many rollouts side by side, with their requests, and labels that come late or never.

All rollouts of a run are rows of arrays. A request is drawn by arm and outcome, keeps the share it was routed at, and
gets its label after an exponential delay, if at all. What a policy may know of it is the labels, never the rates.
"""

# Arrays are of any shape here; the stubs of numpy cannot say more than Unknown of most expressions on them.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from surefoot.core.errors import Unavailable

try:
    import numpy as np
except ImportError as missing:
    raise Unavailable("simulations need numpy", hint="pip install 'surefoot[sim]'") from missing

Array = Any
LOOKS_A_DAY = 12
DAYS = 40
P0 = 0.15
RUNNING, PROMOTED, ROLLED_BACK = 0, 1, 2
CF, CS, NF, NS = range(4)
"""Kinds of labels: the challenger's failures and successes, the incumbent's (N) failures and successes."""


def constant(_day: float) -> float:
    """Give the reference failure rate."""
    return P0


def falling(day: float) -> float:
    """Give a failure rate that falls from .30 to .08 over ten days."""
    return 0.30 + (0.08 - 0.30) * min(day / 10, 1.0)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How the world behaves.

    `risk` is the challenger's relative risk; `base` the incumbent's failure rate over time (days); delays are mean
    days to a label; `flipped` is the share of labels that are wrong; `cluster` how many requests one unit makes, all
    with one outcome; `diurnal` the swing of traffic over a day, 0 to 1.
    """

    risk: Array = 1.0
    base: Callable[[float], Array] = constant
    requests_a_day: float = 300.0
    failure_delay: float = 0.0
    success_delay: float = 0.0
    failures_labelled: float = 1.0
    successes_labelled: float = 1.0
    flipped: float = 0.0
    cluster: int = 1
    diurnal: float = 0.0
    days: int = DAYS

    def units_at(self, day: float) -> float:
        """Give the units that are expected between two looks."""
        swing = 1 + self.diurnal * math.sin(2 * math.pi * day)
        return self.requests_a_day / LOOKS_A_DAY / self.cluster * swing


SCENARIOS: dict[str, Scenario] = {
    "equal": Scenario(),
    "drift_equal": Scenario(base=falling),
    "delay_equal": Scenario(failure_delay=3.0, success_delay=1 / 3),
    "mnar_equal": Scenario(failures_labelled=0.5, successes_labelled=0.1),
    "diurnal_equal": Scenario(diurnal=0.9),
    "clusters_equal": Scenario(cluster=5),
    "flips_equal": Scenario(flipped=0.1),
    "small_equal": Scenario(requests_a_day=30),
    "delay_worse_1.25": Scenario(risk=1.25, failure_delay=3.0, success_delay=1 / 3),
    "worse_1.25": Scenario(risk=1.25),
    "worse_2.33": Scenario(risk=2.33),
    "better_.67": Scenario(risk=0.67),
    "small_better_.67": Scenario(risk=0.67, requests_a_day=30),
    "flips_better_.67": Scenario(risk=0.67, flipped=0.1),
}


@dataclass
class World:
    """Rollouts side by side: labels and labels to come by epoch, the epoch's share, and where each one stands."""

    n: int
    scenario: Scenario
    share: float
    labels: Array = field(init=False)
    pending: Array = field(init=False)
    shares: Array = field(init=False)
    epoch: Array = field(init=False)
    state: Array = field(init=False)
    served: Array = field(init=False)
    requests: Array = field(init=False)
    ended: Array = field(init=False)
    recent: Array = field(init=False)

    def __post_init__(self) -> None:
        looks = self.scenario.days * LOOKS_A_DAY
        self.labels = np.zeros((self.n, looks + 1, 4), dtype=np.int32)
        self.pending = np.zeros((self.n, looks + 1, 4), dtype=np.int32)
        self.shares = np.zeros((self.n, looks + 1))
        self.shares[:, 0] = self.share
        self.epoch = np.zeros(self.n, dtype=np.int64)
        self.state = np.zeros(self.n, dtype=np.int64)
        self.served = np.zeros(self.n, dtype=np.int64)
        self.requests = np.zeros(self.n, dtype=np.int64)
        self.ended = np.full(self.n, float(self.scenario.days))
        self.recent = np.zeros((self.n, looks, 4), dtype=np.int32)

    @property
    def alive(self) -> Array:
        """The rows that nobody has decided on."""
        return np.flatnonzero(self.state == RUNNING)

    def used(self, rows: Array) -> int:
        """How many epochs any of these rows has begun."""
        return int(self.epoch[rows].max()) + 1

    def now(self, rows: Array) -> Array:
        """The present share of each row, in percent."""
        return self.shares[rows, self.epoch[rows]]

    def serve(self, rows: Array, day: float, rng: Any) -> None:
        """Let two hours of requests pass; those that will be labelled wait for their label."""
        scenario, epoch, share = self.scenario, self.epoch[rows], self.now(rows) / 100
        units, p0 = scenario.units_at(day), _of(scenario.base(day), rows)
        p1 = np.minimum(_of(scenario.risk, rows) * p0, 1.0)
        seen_0, seen_1 = (p * (1 - scenario.flipped) + (1 - p) * scenario.flipped for p in (p0, p1))
        for kind, chance, labelled in (
            (CF, share * seen_1, scenario.failures_labelled),
            (CS, share * (1 - seen_1), scenario.successes_labelled),
            (NF, (1 - share) * seen_0, scenario.failures_labelled),
            (NS, (1 - share) * (1 - seen_0), scenario.successes_labelled),
        ):
            drawn = rng.poisson(units * chance)
            self.requests[rows] += drawn * scenario.cluster
            if kind in (CF, CS):
                self.served[rows] += drawn * scenario.cluster
            self.pending[rows, epoch, kind] += rng.binomial(drawn, labelled) if labelled < 1 else drawn

    def deliver(self, rows: Array, look: int, rng: Any) -> None:
        """Let labels arrive, at the share of their own epoch."""
        used = self.used(rows)
        for kind in range(4):
            mean = self.scenario.failure_delay if kind in (CF, NF) else self.scenario.success_delay
            if mean > 0:
                at, epoch = np.nonzero(self.pending[rows, :used, kind])
            else:  # only what was served just now can wait
                at, epoch = np.arange(len(rows)), self.epoch[rows]
            arrived = self.pending[rows[at], epoch, kind]
            if mean > 0:
                arrived = rng.binomial(arrived, 1 - np.exp(-1 / (LOOKS_A_DAY * mean)))
            self.labels[rows[at], epoch, kind] += arrived
            self.pending[rows[at], epoch, kind] -= arrived
            self.recent[rows, look, kind] = np.bincount(at, arrived, len(rows))

    def follow(self, rows: Array, share: Array, verdict: Array, day: float) -> None:
        """Carry out what a policy decided: an end, or another share, which begins a new epoch."""
        self.state[rows] = verdict
        self.ended[rows[verdict != RUNNING]] = day
        moving = (verdict == RUNNING) & (share != self.now(rows))
        self.epoch[rows[moving]] += 1
        self.shares[rows[moving], self.epoch[rows[moving]]] = share[moving]


def _of(value: Array, rows: Array) -> Array:
    """Give one value per row; scenarios may name one for all."""
    return np.asarray(value)[rows] if np.ndim(value) else value
