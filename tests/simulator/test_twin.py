"""Error rates of whole rollouts, by simulation: 4 000 canaries a scenario, looked at every two hours for forty days.

The twin takes every bet from `core.evidence`, and a test compares its decisions with those of `next_step` on more than
ten thousand states, so what is measured here is the product's own rule. Setting of evidence.md: 300 requests a day,
failure rate .15 frozen before the start, ledger off; a person's "yes" comes at once, which is the worst case.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from surefoot.core.evidence.mixture import BETTER, WORSE
from surefoot.core.evidence.rollout import noninferior_risk
from surefoot.core.rollout import RolloutFacts, next_step

np = pytest.importorskip("numpy", reason="the simulation is vectorised with numpy, from the extra sim")

from surefoot.simulator.table import REFERENCE, Row, row_of, simulated  # noqa: E402
from surefoot.simulator.twin import ACTIONS, FLOOR, HARD, HOLD, RAMP, WIN, Surefoot, bets, decisions, stratum  # noqa: E402
from surefoot.simulator.world import P0, SCENARIOS, Scenario, falling  # noqa: E402

pytestmark = pytest.mark.slow

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)


def run(scenario: Scenario, seed: int, *, margin: bool = False) -> Row:
    settings = replace(REFERENCE, noninferior=True) if margin else REFERENCE
    return row_of("surefoot", "", simulated(Surefoot(settings), scenario, replications=4000, seed=seed))


WORST = Scenario(base=falling, failure_delay=3.0, success_delay=1 / 3, failures_labelled=0.5, successes_labelled=0.1)
NO_BETTER = {name: one for name, one in SCENARIOS.items() if name.endswith("_equal") or name == "equal"} | {
    "drifting, delayed and missing": WORST
}


@pytest.mark.parametrize("name", NO_BETTER)
def test_an_equal_version_is_promoted_in_at_most_five_and_rolled_back_in_at_most_ten_percent(name: str) -> None:
    row = run(NO_BETTER[name], 1)
    assert row.promote <= 5
    assert row.rollback <= 10


def test_a_version_a_quarter_worse_is_hardly_ever_promoted_even_when_failures_arrive_late() -> None:
    assert run(SCENARIOS["delay_worse_1.25"], 2).promote <= 0.5


def test_a_version_at_the_declared_margin_is_promoted_in_at_most_five_percent() -> None:
    assert run(Scenario(risk=noninferior_risk(P0)), 6, margin=True).promote <= 5


def test_a_version_with_two_thirds_of_the_failures_is_promoted_within_six_days() -> None:
    row = run(SCENARIOS["better_.67"], 3)
    assert row.promote >= 99
    assert row.days_promote is not None
    assert row.days_promote <= 6


def test_a_version_that_fails_2_33_times_as_often_dies_within_thirty_requests() -> None:
    row = run(SCENARIOS["worse_2.33"], 4)
    assert row.rollback >= 98
    assert row.chal_rollback is not None
    assert row.chal_rollback <= 30


def test_the_twin_decides_as_next_step_does_on_ten_thousand_states() -> None:
    rng = np.random.default_rng(5)
    n, epochs, shares = 10_500, 6, REFERENCE.shares_percent
    tables = (bets(REFERENCE, BETTER), bets(REFERENCE, WORSE))
    level = rng.integers(0, len(shares), (n, epochs))
    epoch = rng.integers(0, epochs, n)
    size = rng.choice([3, 30, 300], n)[:, None]
    risk = rng.choice([0.4, 0.7, 1.0, 1.3, 2.0], n)[:, None]
    share = np.array(shares)[level] / 100
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
    act = decisions(REFERENCE, labels, level, epoch, tables)
    for i in range(n):
        facts = RolloutFacts(
            settings=REFERENCE, state="canary", weight_percent=shares[level[i, epoch[i]]], epoch=int(epoch[i]),
            started_at=MOMENT,
            strata=tuple(stratum(k, shares[level[i, k]], labels[i, k]) for k in range(epoch[i] + 1)),
        )  # fmt: skip
        assert ACTIONS[next_step(facts, MOMENT).action] == act[i], (facts.strata, act[i])
    assert set(act.tolist()) == {HOLD, RAMP, FLOOR, WIN, HARD}
