"""The circuit breaker: when it opens, who may try, and that it never stays open for an upstream that is well."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.breaker import Breaker, ended, lets_through, sent

NEW = Breaker(trip=3, rest_s=10)


def failed(breaker: Breaker, times: int, at: float = 0.0) -> Breaker:
    for _ in range(times):
        breaker = ended(breaker, at, well=False)
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    assert lets_through(failed(NEW, 2), 0)
    assert not lets_through(failed(NEW, 3), 0)
    mended = ended(failed(NEW, 2), 0, well=True)
    assert lets_through(failed(mended, 2), 0)


def test_after_a_rest_one_request_tries_and_the_others_wait() -> None:
    broken = failed(NEW, 3, at=100)
    assert not lets_through(broken, 109.9)
    assert lets_through(broken, 110)
    trying = sent(broken, 110)
    assert not lets_through(trying, 111)
    assert lets_through(ended(trying, 111, well=True), 111)
    again = ended(trying, 112, well=False)
    assert not lets_through(again, 121)
    assert lets_through(again, 122)


def test_a_try_that_never_reports_back_does_not_shut_it_for_ever() -> None:
    trying = sent(failed(NEW, 3), 10)
    assert not lets_through(trying, 19)
    assert lets_through(trying, 20)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=40))
def test_whatever_happened_it_lets_something_through_within_a_rest(story: list[tuple[bool, float]]) -> None:
    breaker, now = NEW, 0.0
    for well, pause in story:
        now += pause
        if lets_through(breaker, now):
            breaker = ended(sent(breaker, now), now, well=well)
            assert lets_through(breaker, now) or not well
    assert lets_through(breaker, now + breaker.rest_s)
