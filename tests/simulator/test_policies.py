"""The simulator is a fair world: known truths come out of it, and the same seed tells the same story."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

np = pytest.importorskip("numpy", reason="the simulation is vectorised with numpy, from the extra sim")

from surefoot.simulator.plot import bars  # noqa: E402
from surefoot.simulator.policies import policies  # noqa: E402
from surefoot.simulator.table import REFERENCE, Row, row_of, simulated  # noqa: E402
from surefoot.simulator.world import CF, CS, NF, NS, SCENARIOS, Scenario, World  # noqa: E402


def row(policy: str, scenario: str, n: int = 150) -> Row:
    return row_of(policy, scenario, simulated(policies(REFERENCE)[policy], SCENARIOS[scenario], replications=n, seed=3))


@pytest.mark.parametrize("policy", policies(REFERENCE))
def test_a_version_that_fails_2_33_times_as_often_is_killed_by_every_rule(policy: str) -> None:
    assert row(policy, "worse_2.33").rollback >= 95


def test_ours_alone_promotes_few_equal_versions_whatever_the_labels_do() -> None:
    for scenario in ("equal", "drift_equal", "delay_equal", "mnar_equal", "clusters_equal", "small_equal"):
        assert row("surefoot", scenario).promote_low <= 5
    assert row("peeked_z", "equal").promote_low > 5
    assert row("thompson", "drift_equal").promote_low > 5
    assert row("flagger", "delay_equal").promote_low > 5
    assert row("seed", "delay_equal").promote_low > 5


def test_percentages_add_up_and_lie_within_their_intervals() -> None:
    one = row("surefoot", "equal")
    assert one.promote + one.rollback + one.inconclusive == pytest.approx(100)
    assert one.promote_low <= one.promote <= one.promote_high


def test_the_same_seed_is_the_same_world() -> None:
    assert row("glr", "drift_equal") == row("glr", "drift_equal")


def test_labels_keep_the_share_of_their_request_and_none_is_lost() -> None:
    rng = np.random.default_rng(4)
    world = World(200, Scenario(failure_delay=2.0, success_delay=0.5, days=4), 5.0)
    rows = world.alive
    for look in range(24):
        world.serve(rows, look / 12, rng)
        world.deliver(rows, look, rng)
        if look == 11:
            world.follow(rows, np.full(200, 45.0), np.zeros(200, dtype=int), 1.0)
    assert int((world.labels + world.pending).sum()) == int(world.requests.sum())
    for epoch, share in ((0, 0.05), (1, 0.45)):
        kinds = (world.labels + world.pending)[:, epoch].sum(axis=0)
        mine = (kinds[CF] + kinds[CS]) / kinds.sum()
        assert abs(mine - share) < 0.02
        assert abs((kinds[CF] + kinds[NF]) / kinds.sum() - 0.15) < 0.02
        assert kinds[NS] > 0


def test_a_plot_is_well_formed_and_says_every_number() -> None:
    rows = [row("surefoot", "equal"), row("seed", "equal")]
    drawn = ET.fromstring(bars("equal <b>", rows))
    texts = [text.text for text in drawn.iter() if text.tag.endswith("title")]
    assert f"surefoot: inconclusive {rows[0].inconclusive:.1f} %" in texts
