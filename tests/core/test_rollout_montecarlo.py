"""Error rates of whole rollouts, by simulation: 4 000 canaries a scenario, looked at every two hours for forty days.

A vectorised twin follows the rule of `next_step` on thousands of rollouts at once. It takes every bet from
`core.evidence`, and a test compares its decisions with those of `next_step` on more than ten thousand states, so what
is measured here is the product's own rule. Setting of evidence.md: 300 requests a day, failure rate .15 frozen
before the start, ledger off; an answer of "yes" by the person is assumed at once, which is the worst case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from surefoot.core.evidence.mixture import BETTER, WORSE
from surefoot.core.evidence.rollout import Stratum, failures, log_evidence, noninferior_risk, successes
from surefoot.core.rollout import RolloutFacts, RolloutSettings, next_step

np = pytest.importorskip("numpy", reason="the simulation is vectorised with numpy, from the dev group")

pytestmark = pytest.mark.slow

REPLICATIONS = 4000
LOOKS_A_DAY = 12
DAYS = 40
REQUESTS_A_DAY = 300
P0 = 0.15
SHARES = (5.0, 15.0, 25.0, 35.0, 45.0)
SETTINGS = RolloutSettings(baseline_rate=P0, ledger_slots=None, horizon_days=DAYS, horizon_labels=10**9)
MOMENT = datetime(2030, 1, 1, tzinfo=UTC)
RUNNING, PROMOTED, ROLLED_BACK = 0, 1, 2
CF, CS, NF, NS = range(4)
Array = Any


def constant(_day: float) -> float:
    return P0


def falling(day: float) -> float:
    """The failure rate of both arms falls from .30 to .08 over ten days."""
    return 0.30 + (0.08 - 0.30) * min(day / 10, 1.0)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How the world behaves: failure rate over time, relative risk, delays in days, and which outcomes get a label."""

    risk: float = 1.0
    base: Callable[[float], float] = constant
    failure_delay: float = 0.0
    success_delay: float = 0.0
    failures_labelled: float = 1.0
    successes_labelled: float = 1.0


@dataclass
class Rollouts:
    """Many rollouts side by side: labels and pending labels by epoch, the epoch's share, and where each one stands."""

    n: int
    epochs: int = 80
    labels: Array = field(init=False)
    pending: Array = field(init=False)
    level: Array = field(init=False)
    epoch: Array = field(init=False)
    state: Array = field(init=False)
    served: Array = field(init=False)
    ended: Array = field(init=False)

    def __post_init__(self) -> None:
        self.labels = np.zeros((self.n, self.epochs, 4), dtype=np.int64)
        self.pending = np.zeros((self.n, self.epochs, 4), dtype=np.int64)
        self.level = np.zeros((self.n, self.epochs), dtype=np.int64)
        self.epoch = np.zeros(self.n, dtype=np.int64)
        self.state = np.zeros(self.n, dtype=np.int64)
        self.served = np.zeros(self.n, dtype=np.int64)
        self.ended = np.full(self.n, float(DAYS))


def bets(ratios: tuple[float, ...], null: float = 1.0) -> Array:
    """Give the log factor of one label: share x outcome x alternative, straight from the product's evidence."""
    table = np.zeros((len(SHARES), 4, len(ratios)))
    for level, share in enumerate(SHARES):
        for kind in range(4):
            counts = [int(kind == other) for other in range(4)]
            one = stratum(0, share, counts)
            kinds = failures((one,)), successes((one,))
            table[level, kind] = [log_evidence(*kinds, ratio=r * null, null=null, baseline_rate=P0) for r in ratios]
    return table


def stratum(epoch: int, share: float, counts: Any) -> Stratum:
    cf, cs, nf, ns = (int(count) for count in counts)
    return Stratum(
        epoch=epoch,
        weight_percent=share,
        challenger_failures=cf,
        challenger_successes=cs,
        incumbent_failures=nf,
        incumbent_successes=ns,
    )


def mixture(logs: Array) -> Array:
    top = logs.max(axis=1, keepdims=True)
    return np.exp(np.minimum(top[:, 0] + np.log(np.exp(logs - top).mean(axis=1)), 690))


HOLD, RAMP, FLOOR, WIN, HARD = range(5)
ACTIONS = {"hold": HOLD, "ramp": RAMP, "to_floor": FLOOR, "await_approval": WIN, "roll_back": HARD}


def decisions(labels: Array, level: Array, epoch: Array, tables: tuple[Array, Array]) -> Array:
    """Give each rollout's action: the rule of `next_step` on arrays."""
    rows = np.arange(len(labels))
    by_level = np.zeros((len(labels), len(SHARES), 4))
    for step in range(len(SHARES)):
        by_level[:, step] = (labels * (level == step)[:, :, None]).sum(axis=1)
    e_win, e_guard = (mixture(np.einsum("nlk,lkr->nr", by_level, table)) for table in tables)
    challenger, incumbent = labels[:, :, CF] + labels[:, :, CS], labels[:, :, NF] + labels[:, :, NS]
    both = (challenger > 0) & (incumbent > 0)
    total = np.maximum(challenger + incumbent, 1)
    over = np.where(both, labels[:, :, CF] * incumbent / total, 0).sum(axis=1)
    under = np.where(both, labels[:, :, NF] * challenger / total, 0).sum(axis=1)
    none_failed = both.any(axis=1) & (labels[:, :, CF].sum(axis=1) == 0)
    quiet = np.where(under > 0, over <= SETTINGS.mh_limit * under, (over == 0) & none_failed)
    now = level[rows, epoch]
    climbs = (challenger[rows, epoch] >= SETTINGS.min_fresh_labels) & quiet & (now < len(SHARES) - 1)
    choices = [
        e_guard >= SETTINGS.hard_guard,
        (e_win >= SETTINGS.win_at) & ((over > 0) | (under > 0)),
        e_guard >= SETTINGS.soft_guard,
        climbs,
    ]
    return np.select(choices, [HARD, WIN, np.where(now > 0, FLOOR, HOLD), RAMP], HOLD)


def simulate(scenario: Scenario, *, seed: int, n: int = REPLICATIONS, null: float = 1.0) -> Rollouts:
    rng = np.random.default_rng(seed)
    world, tables = Rollouts(n), (bets(BETTER, null), bets(WORSE))
    for look in range(DAYS * LOOKS_A_DAY):
        alive = np.flatnonzero(world.state == RUNNING)
        if not len(alive):
            break
        serve(world, alive, scenario, look / LOOKS_A_DAY, rng)
        used = int(world.epoch[alive].max()) + 1
        deliver(world, alive, used, scenario, rng)
        act = decisions(world.labels[alive, :used], world.level[alive, :used], world.epoch[alive], tables)
        follow(world, alive, act, (look + 1) / LOOKS_A_DAY)
    return world


def serve(world: Rollouts, alive: Array, scenario: Scenario, day: float, rng: Any) -> None:
    """Two hours of requests: Poisson by arm and outcome, thinned to those that will ever be labelled."""
    epoch, rate = world.epoch[alive], REQUESTS_A_DAY / LOOKS_A_DAY
    share = np.array(SHARES)[world.level[alive, epoch]] / 100
    p0 = scenario.base(day)
    p1 = scenario.risk * p0
    for kind, chance, labelled in (
        (CF, share * p1, scenario.failures_labelled),
        (CS, share * (1 - p1), scenario.successes_labelled),
        (NF, (1 - share) * p0, scenario.failures_labelled),
        (NS, (1 - share) * (1 - p0), scenario.successes_labelled),
    ):
        requests = rng.poisson(rate * chance)
        if kind in (CF, CS):
            world.served[alive] += requests
        world.pending[alive, epoch, kind] += rng.binomial(requests, labelled) if labelled < 1 else requests


def deliver(world: Rollouts, alive: Array, used: int, scenario: Scenario, rng: Any) -> None:
    """Labels arrive after an exponential delay, at the share of their own epoch."""
    waiting = world.pending[alive, :used]
    for kind in range(4):
        mean = scenario.failure_delay if kind in (CF, NF) else scenario.success_delay
        column = waiting[:, :, kind]
        arrived = column.copy() if mean == 0 else np.zeros_like(column)
        if mean > 0:
            some = column > 0
            arrived[some] = rng.binomial(column[some], 1 - np.exp(-1 / (LOOKS_A_DAY * mean)))
        world.labels[alive, :used, kind] += arrived
        world.pending[alive, :used, kind] -= arrived


def follow(world: Rollouts, alive: Array, act: Array, day: float) -> None:
    world.state[alive[act == WIN]] = PROMOTED
    world.state[alive[act == HARD]] = ROLLED_BACK
    world.ended[alive[(act == WIN) | (act == HARD)]] = day
    moving = alive[(act == RAMP) | (act == FLOOR)]
    level = np.where(act == RAMP, world.level[alive, world.epoch[alive]] + 1, 0)[(act == RAMP) | (act == FLOOR)]
    world.epoch[moving] += 1
    world.level[moving, world.epoch[moving]] = level


def share_of(world: Rollouts, state: int) -> float:
    return float((world.state == state).mean())


NO_BETTER = {
    "equal": Scenario(),
    "drifting": Scenario(base=falling),
    "delayed": Scenario(failure_delay=3.0, success_delay=1 / 3),
    "missing not at random": Scenario(failures_labelled=0.5, successes_labelled=0.1),
    "drifting, delayed and missing": Scenario(
        base=falling, failure_delay=3.0, success_delay=1 / 3, failures_labelled=0.5, successes_labelled=0.1
    ),
}


@pytest.mark.parametrize("name", NO_BETTER)
def test_an_equal_version_is_promoted_in_at_most_five_and_rolled_back_in_at_most_ten_percent(name: str) -> None:
    world = simulate(NO_BETTER[name], seed=1)
    assert share_of(world, PROMOTED) <= 0.05
    assert share_of(world, ROLLED_BACK) <= 0.10


def test_a_version_a_quarter_worse_is_hardly_ever_promoted_even_when_failures_arrive_late() -> None:
    world = simulate(Scenario(risk=1.25, failure_delay=3.0, success_delay=1 / 3), seed=2)
    assert share_of(world, PROMOTED) <= 0.005


def test_a_version_at_the_declared_margin_is_promoted_in_at_most_five_percent() -> None:
    margin = noninferior_risk(P0)
    world = simulate(Scenario(risk=margin), seed=6, null=margin)
    assert share_of(world, PROMOTED) <= 0.05


def test_a_version_with_two_thirds_of_the_failures_is_promoted_within_a_week() -> None:
    world = simulate(Scenario(risk=0.67), seed=3)
    assert share_of(world, PROMOTED) >= 0.99
    assert np.median(world.ended[world.state == PROMOTED]) <= 7


def test_a_version_that_fails_2_33_times_as_often_dies_within_thirty_requests() -> None:
    world = simulate(Scenario(risk=2.33), seed=4)
    assert share_of(world, ROLLED_BACK) >= 0.98
    assert np.median(world.served[world.state == ROLLED_BACK]) <= 32


def test_the_twin_decides_as_next_step_does_on_ten_thousand_states() -> None:
    rng = np.random.default_rng(5)
    n, epochs = 10_500, 6
    tables = (bets(BETTER), bets(WORSE))
    level = rng.integers(0, len(SHARES), (n, epochs))
    epoch = rng.integers(0, epochs, n)
    size = rng.choice([3, 30, 300], n)[:, None]
    risk = rng.choice([0.4, 0.7, 1.0, 1.3, 2.0], n)[:, None]
    share = np.array(SHARES)[level] / 100
    labels = np.stack(
        [
            rng.poisson(size * share * P0 * risk),
            rng.poisson(size * share * (1 - P0 * risk)),
            rng.poisson(size * (1 - share) * P0),
            rng.poisson(size * (1 - share) * (1 - P0)),
        ],
        axis=2,
    )
    labels *= (np.arange(epochs) <= epoch[:, None])[:, :, None]
    act = decisions(labels, level, epoch, tables)
    for i in range(n):
        strata = tuple(stratum(k, SHARES[level[i, k]], labels[i, k]) for k in range(epoch[i] + 1))
        facts = RolloutFacts(
            settings=SETTINGS,
            state="canary",
            weight_percent=SHARES[level[i, epoch[i]]],
            epoch=int(epoch[i]),
            started_at=MOMENT,
            strata=strata,
        )
        assert ACTIONS[next_step(facts, MOMENT).action] == act[i], (strata, act[i])
    assert set(act.tolist()) == {HOLD, RAMP, FLOOR, WIN, HARD}
