"""Buckets: nobody gets more than rate and burst, whoever waits gets in, and a clock that steps back gives nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.rate import Rate, filled, full, neighbourhood, taken, wait_s

rates = st.builds(Rate, per_s=st.floats(0.01, 1000), burst=st.floats(1, 1000))


@given(rates, st.lists(st.floats(0, 10), max_size=200))
def test_nobody_gets_more_than_the_burst_and_the_rate_allow(rate: Rate, pauses: list[float]) -> None:
    now, bucket, got = 0.0, full(rate, 0.0), 0
    for pause in pauses:
        now += pause
        after = taken(rate, bucket, now)
        if after is not None:
            bucket, got = after, got + 1
    assert got <= rate.burst + now * rate.per_s + 1e-6


@given(rates, st.floats(0, 1e6))
def test_whoever_waits_as_long_as_told_gets_in(rate: Rate, now: float) -> None:
    bucket = full(rate, now)
    while (after := taken(rate, bucket, now)) is not None:
        bucket = after
    wait = wait_s(rate, bucket, now)
    assert wait > 0
    assert taken(rate, bucket, now + wait * 1.0001 + 1e-6) is not None
    assert taken(rate, bucket, now + wait * 0.5) is None


@given(rates, st.floats(0, 100), st.floats(0, 100))
def test_a_clock_that_steps_back_gives_nothing(rate: Rate, now: float, back: float) -> None:
    empty = taken(rate, full(rate, now), now)
    assert empty is not None
    earlier = filled(rate, empty, now - back)
    assert earlier.drops == empty.drops
    assert earlier.at == now


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 5), (1, 0), (1, 0.5), (float("nan"), 5), (float("inf"), 5)])
def test_a_rate_that_lets_nothing_through_is_refused(per_s: float, burst: float) -> None:
    with pytest.raises(Invalid):
        Rate(per_s=per_s, burst=burst)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:1:2:3::4", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::", "2001:db8:1:3::", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("testclient", "testclient", True),
    ],
)
def test_one_machine_is_one_address(one: str, other: str, same: bool) -> None:
    assert (neighbourhood(one) == neighbourhood(other)) is same
