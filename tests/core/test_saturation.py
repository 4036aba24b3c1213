"""Stop improving: recommended on shown saturation, spent drift or a long dry spell, and never on too little data."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.saturation import DRY_LOOKS, DRY_TRIES, Progress, advice


@pytest.mark.parametrize(
    ("progress", "reason"),
    [
        (Progress(failed=0, judged=200, headroom=0.02), "saturated"),
        (Progress(failed=0, judged=100, headroom=0.02), None),
        (Progress(failed=3, judged=200, headroom=0.02), None),
        (Progress(failed=4, judged=1000, headroom=0.02), "saturated"),
        (Progress(failed=0, judged=10_000, headroom=0.0), None),
        (Progress(drift=0.24, drift_limit=0.25), "drift"),
        (Progress(drift=0.10, drift_limit=0.25), None),
        (Progress(drift=0.0, drift_limit=0.0), None),
        (Progress(tries=DRY_TRIES), "plateau"),
        (Progress(looks=DRY_LOOKS), "plateau"),
        (Progress(tries=DRY_TRIES, untried=1), None),
        (Progress(tries=DRY_TRIES - 1, looks=DRY_LOOKS - 1), None),
        (Progress(), None),
    ],
)
def test_the_numbers_decide(progress: Progress, reason: str | None) -> None:
    found = advice(progress)
    assert (found.reason if found else None) == reason
    if found is not None:
        assert found.sentence.startswith("Freeze it:")
        assert any(sign.isdigit() for sign in found.sentence)


@given(
    st.builds(
        Progress, tries=st.integers(0, DRY_TRIES - 1), looks=st.integers(0, DRY_LOOKS - 1), untried=st.integers(0, 9),
        failed=st.integers(0, 50), judged=st.integers(0, 50), headroom=st.floats(0, 0.05),
        drift=st.floats(0, 0.2), drift_limit=st.just(0.25),
    )
)  # fmt: skip
def test_it_never_recommends_on_too_little_data(progress: Progress) -> None:
    assert advice(progress) is None


@given(st.integers(1, 2000), st.integers(0, 200), st.floats(0.001, 0.2))
def test_more_failures_never_make_an_agent_look_finished(judged: int, failed: int, headroom: float) -> None:
    here = advice(Progress(failed=failed, judged=judged, headroom=headroom))
    worse = advice(Progress(failed=failed + 1, judged=judged, headroom=headroom))
    assert here is not None or worse is None


def test_an_agent_with_just_the_headroom_left_is_seldom_called_finished() -> None:
    dice, called = random.Random(1), 0
    for _ in range(1000):
        failed = sum(dice.random() < 0.05 for _ in range(200))
        called += advice(Progress(failed=failed, judged=200, headroom=0.05)) is not None
    assert called / 1000 <= 0.05
