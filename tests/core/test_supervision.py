"""Deaths and restarts: one is repaired at once, many are not repaired for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.supervision import LONGEST_WAIT_S, MOST, WINDOW_S, GiveUp, Restart, after_death


def test_a_single_death_is_repaired_at_once_however_many_there_were_long_ago() -> None:
    assert after_death([100.0], 100.0) == Restart(after_s=0.1)
    assert after_death([n * 40.0 for n in range(50)], 49 * 40.0) == Restart(after_s=0.1)


def test_a_process_that_dies_as_it_begins_is_given_up_with_a_sentence() -> None:
    deaths: list[float] = []
    now, waits = 0.0, list[float]()
    while True:
        deaths.append(now)
        what = after_death(deaths, now)
        if isinstance(what, GiveUp):
            break
        waits.append(what.after_s)
        now += what.after_s
    assert len(deaths) == MOST
    assert waits == sorted(waits)
    assert "died 5 times" in what.sentence


@given(st.lists(st.floats(0, 1000), min_size=1).map(sorted))
def test_nobody_is_given_up_for_fewer_deaths_and_no_wait_is_longer_than_said(deaths: list[float]) -> None:
    now = deaths[-1]
    what = after_death(deaths, now)
    recent = [at for at in deaths if now - at < WINDOW_S]
    assert isinstance(what, GiveUp) == (len(recent) >= MOST)
    if isinstance(what, Restart):
        assert 0 < what.after_s <= LONGEST_WAIT_S
