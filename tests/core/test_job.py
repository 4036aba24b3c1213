"""A job: how it stands by its process and its lease, and in which state it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.job import OPEN, Job, end_of, must_be_open, must_say, standing
from surefoot.core.worker import LEASE

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STATES = ("waiting", "running", "cancelling", "done", "failed", "cancelled", "lost")


def a_job(state: str, seen: datetime | None = NOW) -> Job:
    return Job(id="j", kind="prune", agent="a", words=(), by="olga", at=NOW, state=state, seen_at=seen)  # type: ignore[arg-type]


@given(state=st.sampled_from(STATES), alive=st.sampled_from([True, False, None]),
       silence=st.floats(min_value=-100, max_value=1e6))  # fmt: skip
def test_what_has_ended_stays_so_and_what_is_open_is_lost_or_cancelled_with_its_process(state, alive, silence):
    reads = standing(a_job(state, NOW - timedelta(seconds=silence)), NOW, alive_here=alive)
    held = alive is not False and timedelta(seconds=silence) <= LEASE
    wanted = state if state not in OPEN or held else "cancelled" if state == "cancelling" else "lost"
    assert reads == wanted


@pytest.mark.parametrize(
    ("state", "code", "result", "ends"),
    [
        ("running", 0, {"sentence": "3 went"}, "done"), ("running", 4, {"verdict": "inconclusive"}, "done"),
        ("running", 2, {"error": {}}, "failed"), ("running", None, {}, "failed"), ("running", 130, {}, "failed"),
        ("running", 130, {"run": "r", "state": "cancelled"}, "done"), ("running", 0, {"outcome": "cancelled"}, "done"),
        ("cancelling", 0, {"sentence": "3 went"}, "done"), ("cancelling", 0, {"outcome": "cancelled"}, "cancelled"),
        ("cancelling", 130, {}, "cancelled"), ("cancelling", 130, {"run": "r"}, "cancelled"),
        ("cancelling", None, {"error": {}}, "cancelled"), ("cancelling", 70, {"error": {}}, "cancelled"),
    ],
)  # fmt: skip
def test_a_job_ends_as_what_it_did_and_only_one_that_did_not_finish_is_cancelled(state, code, result, ends):
    assert end_of(a_job(state), exit_code=code, result=result) == ends


def test_only_an_open_job_is_cancelled_and_only_with_a_name_and_a_reason():
    for state in STATES:
        if state in OPEN:
            must_be_open(a_job(state), state)
        else:
            with pytest.raises(Conflict, match=state):
                must_be_open(a_job(state), state)
    must_say("olga", "why")
    for by, reason in (("", "x"), ("x", ""), (" ", "x"), ("x", "\n")):
        with pytest.raises(Invalid):
            must_say(by, reason)
