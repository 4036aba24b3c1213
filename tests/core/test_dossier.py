"""The dossier: rates with honest intervals, and the slice that lost most by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.dossier import rate_of, slice_changes
from surefoot.core.evidence.rollout import Stratum


def stratum(challenger, incumbent, epoch=1, weight=25.0):
    """Failures and labels of both arms."""
    return Stratum(
        epoch=epoch, weight_percent=weight, challenger_failures=challenger[0],
        challenger_successes=challenger[1] - challenger[0], incumbent_failures=incumbent[0],
        incumbent_successes=incumbent[1] - incumbent[0],
    )  # fmt: skip


counts = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda pair: (min(pair), max(pair)))


def test_without_labels_everything_is_possible():
    assert (rate_of(0, 0).rate, rate_of(0, 0).low, rate_of(0, 0).high) == (None, 0.0, 1.0)


@given(counts)
def test_an_interval_holds_its_rate_and_stays_a_share(pair):
    one = rate_of(*pair)
    assert one.rate is not None
    assert 0 <= one.low <= one.rate + 1e-12
    assert one.rate - 1e-12 <= one.high <= 1


def test_wilson_s_interval_is_the_textbook_s():
    one = rate_of(10, 100)
    assert (one.low, one.high) == pytest.approx((0.0552, 0.1744), abs=1e-4)


def test_the_slice_that_lost_most_comes_first():
    found = slice_changes({
        "label=billing": [stratum((2, 40), (12, 120))], "label=refund": [stratum((20, 40), (12, 120))],
        "label=other": [stratum((4, 40), (12, 120))],
    })  # fmt: skip
    assert [one.name for one in found] == ["label=refund", "label=other", "label=billing"]
    assert found[0].difference > 0.3
    assert found[0].low > 0
    assert found[-1].difference < 0


def test_a_slice_that_one_version_never_met_is_not_compared():
    assert slice_changes({"label=rare": [stratum((0, 0), (3, 9))], "label=none": []}) == ()


def test_a_single_loss_weighs_less_than_many():
    """Raw, the slice of one request would be the worst by far."""
    found = slice_changes({"tiny": [stratum((1, 1), (5, 100))], "large": [stratum((60, 100), (5, 100))]})
    assert found[0].name == "large"


def test_a_drift_between_epochs_is_not_taken_for_a_loss():
    """Both versions fail alike in each epoch; the challenger only met more of the bad one."""
    rows = [stratum((2, 20), (40, 400), epoch=1), stratum((200, 400), (10, 20), epoch=2)]
    (one,) = slice_changes({"label=x": rows})
    new, old = one.challenger.rate, one.incumbent.rate
    assert new is not None
    assert old is not None
    assert new - old > 0.3
    assert abs(one.difference) < 0.02


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=5))
def test_a_difference_stays_within_its_interval_and_turns_with_the_arms(rows):
    strata = [stratum(ours, theirs, epoch=n) for n, (ours, theirs) in enumerate(rows)]
    (one,) = slice_changes({"s": strata})
    assert -1 <= one.low <= one.difference + 1e-12
    assert one.difference - 1e-12 <= one.high <= 1
    (turned,) = slice_changes({"s": [stratum(theirs, ours, epoch=n) for n, (ours, theirs) in enumerate(rows)]})
    assert turned.difference == pytest.approx(-one.difference, abs=1e-9)
    more = [replace(one, epoch=one.epoch + 9) for one in strata]
    (twice,) = slice_changes({"s": strata + more})
    assert twice.difference == pytest.approx(one.difference, abs=1e-9)
