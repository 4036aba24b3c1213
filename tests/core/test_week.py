"""A week: its seven days, that they hold the last request, and which way they go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.week import DAYS, Stretch, Week, days_of, is_now

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def week(*days: tuple[int, int]) -> Week:
    return Week(until=NOW, is_now=True, days=tuple(
        Stretch(since=NOW, until=NOW + DAY, requests=good + bad, successes=good, failures=bad, cost_usd=0.5)
        for good, bad in days
    ))  # fmt: skip


@given(st.timedeltas(timedelta(0), timedelta(days=400)))
def test_the_seven_days_hold_the_last_request_and_leave_no_gap(ago: timedelta) -> None:
    last = NOW - ago
    days = days_of(last, NOW)
    assert len(days) == DAYS
    assert all(before[1] == after[0] and before[1] - before[0] == DAY for before, after in pairwise(days))
    assert days[0][0] < last < days[-1][1] or last == days[-1][1] == NOW
    assert is_now(last, NOW) == (days[-1][1] == NOW) or last + timedelta(microseconds=1) == NOW


def test_whoever_was_never_asked_has_no_week() -> None:
    assert days_of(None, NOW) == ()
    assert not is_now(None, NOW)
    empty = Week(until=None, days=(), is_now=False)
    assert (empty.requests, empty.cost_usd, empty.whole.rate, empty.trend.way) == (0, None, None, "steady")


def test_what_a_request_cost_is_weighed_by_how_many_there_were() -> None:
    one = week((1, 0), (0, 0), (3, 0))
    assert (one.requests, one.cost_usd, one.whole.rate) == (4, 0.5, 1.0)
    assert [each.rate for each in one.rates] == [1.0, None, 1.0]


@pytest.mark.parametrize(
    ("days", "way"),
    [
        ([(50, 50)] * 3 + [(90, 10)] * 4, "better"),
        ([(90, 10)] * 3 + [(50, 50)] * 4, "worse"),
        ([(50, 50)] * 7, "steady"),
        ([(5, 5)] * 3 + [(6, 4)] * 4, "steady"),
        ([(0, 0)] * 3 + [(90, 10)] * 4, "steady"),
        ([(0, 2)] * 3 + [(2, 0)] * 4, "steady"),
        ([(0, 0)] * 7, "steady"),
    ],
)
def test_a_week_goes_better_or_worse_only_beyond_chance_and_with_enough_labels(
    days: list[tuple[int, int]], way: str
) -> None:
    assert week(*days).trend.way == way
