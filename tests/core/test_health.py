"""Health: nothing is called good that nobody saw, and whatever asks for somebody names one command."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.audit import Checked, Verification
from surefoot.core.exposition import family, labelled, labels, merged, readings
from surefoot.core.health.report import signs
from surefoot.core.health.sign import Sign, worst
from surefoot.core.health.stored import Doing, Lapsed, Letters, Mine, Spending, Waiting, Whole, Worker

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUSE = Whole(bytes=5_000_000, schema="0014", found=Verification(intact=True, entries=9, head="a" * 64))
ALL = Spending(agent="support", spent=0.0, reserved=0.0, limit=10.0, set_by="", set_at=None)


def counts(worker: int = 1, *, laid: float = 0.0, **more: float) -> str:
    """What one process lays, as it lays it."""
    given = {
        "process_start_seconds": NOW.timestamp() - 3600, "process_laid_seconds": NOW.timestamp() - laid,
        "gateway_recorder_room": 100.0, "gateway_recorder_waiting": 0.0, "gateway_recorder_written_total": 8.0,
        "gateway_recorder_commits_total": 4.0, **more,
    }  # fmt: skip
    text = "\n".join(line for name, value in given.items() for line in family(name, "gauge", "x", [("", value)]))
    return labelled(text, worker)


def lines(text: str, mine: Mine | None = None, whole: Whole | None = HOUSE) -> dict[str, Sign]:
    return {one.name: one for one in signs(mine or Mine(), whole, readings(text), NOW)}


def test_a_server_that_is_well_says_so_on_each_line() -> None:
    found = lines(merged([counts(1), counts(2)]), Mine(spending=(ALL,)))
    assert {name: one.tone for name, one in found.items() if one.tone not in ("good", "idle")} == {}
    assert found["Server processes"].figure == "2"
    assert found["Recorder queue"].figure == "0 of 200"
    assert found["Group commits"].figure == "8"


def test_where_nobody_counts_nothing_is_called_good() -> None:
    found = lines("")
    assert found["Server processes"].tone == "idle"
    assert "Recorder queue" not in found


def test_a_process_that_says_nothing_any_more_is_named() -> None:
    found = lines(merged([counts(1), counts(2, laid=11.0)]))["Server processes"]
    assert (found.tone, found.figure, "2" in found.sentence) == ("bad", "1 of 2", True)


def test_whoever_came_too_often_is_told_of_with_what_to_do() -> None:
    found = lines(counts(limited_requests_total=3.0))["Turned away"]
    assert (found.tone, found.todo, found.command) == ("watch", "See whose limit is too low.", "surefoot token list")


@pytest.mark.parametrize(("waiting", "tone"), [(49.0, "good"), (50.0, "watch"), (90.0, "bad")])
def test_a_queue_is_watched_before_it_refuses(waiting: float, tone: str) -> None:
    assert lines(counts(gateway_recorder_waiting=waiting))["Recorder queue"].tone == tone


def test_the_lag_is_that_of_the_newest_spans_of_all_processes() -> None:
    old = counts(1, ingest_lag_seconds=9.0, ingest_at_seconds=NOW.timestamp() - 100)
    new = counts(2, ingest_lag_seconds=0.02, ingest_at_seconds=NOW.timestamp() - 1)
    found = lines(merged([old, new]))["Ingest lag"]
    assert (found.tone, found.figure, found.since) == ("good", "20 ms", NOW - timedelta(seconds=1))
    stuck = counts(1, ingest_lag_seconds=0.02, ingest_at_seconds=1.0, ingest_oldest_seconds=30.0)
    assert lines(stuck)["Ingest lag"].tone == "bad"


def test_what_was_refused_is_counted_over_all_processes_since_the_first_began() -> None:
    one, two = counts(1, gateway_recorder_refused_total=2.0), counts(2, gateway_recorder_failed_total=1.0)
    found = lines(merged([one, two]))["Refusals"]
    assert (found.tone, found.figure, found.since) == ("watch", "3", NOW - timedelta(hours=1))


def test_an_upstream_that_is_left_alone_says_since_when_and_by_how_many() -> None:
    def said(worker: int, is_open: int, rest: float) -> str:
        up = labels(upstream="gpt")
        parts = [*family("gateway_breaker_open", "gauge", "x", [(up, is_open)]),
                 *family("gateway_breaker_open_seconds", "gauge", "x", [(up, rest)] if is_open else [])]  # fmt: skip
        return counts(worker) + "\n" + labelled("\n".join(parts), worker)

    found = lines(merged([said(1, 0, 0), said(2, 1, 60.0)]))["Upstream gpt"]
    assert (found.tone, found.since) == ("bad", NOW - timedelta(minutes=1))
    assert "1 of 2 processes" in found.sentence
    assert lines(said(1, 0, 0))["Upstream gpt"].tone == "good"


def test_a_worker_is_alive_as_long_as_its_lease_and_says_what_it_does() -> None:
    busy = Worker(name="a1", seen_at=NOW, doing=(Doing(id="tick:support:3", name="tick", since=NOW),))
    gone = Worker(name="b2", seen_at=NOW - timedelta(seconds=61), doing=busy.doing)
    found = lines(counts(), whole=replace(HOUSE, workers=(busy, gone)))
    assert (found["Worker a1"].tone, "a tick of support" in found["Worker a1"].sentence) == ("good", True)
    assert found["Worker b2"].tone == "bad"
    assert "Workers" not in found
    assert lines(counts(), whole=replace(HOUSE, workers=(gone,)))["Workers"].tone == "bad"
    assert lines(counts())["Workers"].tone == "idle"


def test_dead_letters_are_bad_and_late_ones_are_watched() -> None:
    dead = Letters(dead=2, oldest_dead=NOW - timedelta(days=1))
    late = Letters(overdue=1, oldest_due=NOW - timedelta(hours=1))
    found = lines(counts(), whole=replace(HOUSE, webhooks=dead, people=late))
    assert (found["Webhooks"].tone, found["Webhooks"].since) == ("bad", NOW - timedelta(days=1))
    assert found["Letters to people"].tone == "watch"


@pytest.mark.parametrize(
    ("spent", "reserved", "limit", "tone"),
    [(0.0, 0.0, 10.0, "good"), (7.9, 0.0, 10.0, "good"), (5.0, 3.0, 10.0, "watch"), (9.0, 1.0, 10.0, "bad"),
     (0.0, 0.0, 0.0, "bad"), (3.0, 0.0, None, "watch")],
)  # fmt: skip
def test_what_is_set_aside_counts_as_spent(spent: float, reserved: float, limit: float | None, tone: str) -> None:
    one = Spending(agent="support", spent=spent, reserved=reserved, limit=limit, set_by="ana", set_at=NOW)
    found = lines(counts(), Mine(spending=(one,)))["Today, support"]
    assert (found.tone, "set by ana" in found.sentence) == (tone, True)


def test_the_money_of_all_agents_is_added_up_and_is_judged_by_itself() -> None:
    spent = Spending(agent="b", spent=10.0, reserved=0.0, limit=10.0, set_by="", set_at=None)
    found = lines(counts(), Mine(spending=(ALL, spent)))
    total = found["Today, all agents"]
    assert (total.tone, total.figure, total.sentence) == ("good", "$10.00 of $20.00", "$10.00 left.")
    assert found["Today, b"].tone == "bad"
    near = lines(counts(), Mine(spending=(replace(ALL, spent=7.0), replace(spent, spent=9.0))))["Today, all agents"]
    assert (near.tone, "of b:" in near.todo) == ("watch", True)
    assert near.command == "surefoot settings b --set day_budget.usd=20 --by NAME"
    assert lines("", Mine(spending=(spent, spent)), None)["Today, your agents"].tone == "bad"
    free = replace(ALL, agent="c", limit=None)
    assert "Nothing bounds some" in lines("", Mine(spending=(spent, free)))["Today, all agents"].sentence


def test_the_store_tells_how_fast_it_grows_once_it_can() -> None:
    assert "known after a day" in lines(counts())["Size"].sentence
    noted = ((NOW - timedelta(hours=1), 4_900_000), (NOW - timedelta(days=2), 3_000_000))
    found = lines(counts(), whole=replace(HOUSE, sizes=noted))["Size"]
    assert (found.figure, found.sentence, found.since) == ("5.0 MB", "It grew by 1.0 MB a day.", noted[1][0])


def test_a_broken_chain_is_bad_and_one_that_is_being_walked_is_no_verdict() -> None:
    broken = Verification(intact=False, entries=3, head="a", broken_at=4, problem="entry 4 was changed")
    assert lines(counts(), whole=replace(HOUSE, found=broken))["Audit chain"].tone == "bad"
    assert lines(counts(), whole=replace(HOUSE, left=5))["Audit chain"].tone == "watch"
    walked = replace(HOUSE, kept=Checked(whole_at=NOW, whole_by="ana"))
    assert "ana" in lines(counts(), whole=walked)["Audit chain"].sentence


def test_a_token_that_is_held_to_some_agents_is_told_nothing_of_the_house() -> None:
    lapsed = Lapsed(agent="support", version="1.2", word="expired", because="its lease ended", since=NOW)
    mine = Mine(spending=(ALL,), lapsed=(lapsed,), processes=2, incidents=Waiting(count=1, oldest=NOW))
    found = lines(counts(), mine, None)
    assert {one.group for one in found.values()} == {"Money", "People", "Work"}
    assert found["Process of support 1.2"].tone == "bad"
    assert not {"Workers", "Size", "Audit chain", "Webhooks", "Recorder queue"} & set(found)


MOMENTS = st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
MONEY = st.floats(0, 1e6)


@given(
    st.lists(st.builds(Spending, agent=st.sampled_from("abc"), spent=MONEY, reserved=MONEY, limit=st.none() | MONEY,
                       set_by=st.text(max_size=3), set_at=MOMENTS), max_size=3),
    st.builds(Letters, dead=st.integers(0, 9), oldest_dead=MOMENTS, overdue=st.integers(0, 9), oldest_due=MOMENTS),
    st.builds(Waiting, count=st.integers(0, 9), oldest=MOMENTS, expires=MOMENTS), st.integers(0, 99), st.booleans(),
)  # fmt: skip
def test_whatever_asks_for_somebody_says_what_to_do_and_the_worst_come_first(
    spending: list[Spending], letters: Letters, waiting: Waiting, left: int, counted: bool
) -> None:
    mine = Mine(spending=tuple(spending), incidents=waiting, pauses=waiting)
    whole = replace(HOUSE, webhooks=letters, people=letters, left=left)
    found = signs(mine, whole, readings(counts() if counted else ""), NOW)
    order = ["bad", "watch", "good", "idle"]
    for before, after in pairwise(found):
        assert before.group != after.group or order.index(before.tone) <= order.index(after.tone)
    for one in found:
        assert one.sentence.endswith(".")
        assert one.tone not in ("bad", "watch") or (one.todo and one.command), one
        assert not one.command or one.command.startswith("surefoot ")
    assert worst(found) == min((one.tone for one in found), key=order.index)


@given(st.text('ab\\"\n ={},', max_size=8), st.integers(-5, 10**12) | st.floats(-1e9, 1e9))
def test_what_is_laid_is_read_back(upstream: str, value: float) -> None:
    text = labelled("\n".join(family("open", "gauge", "x", [(labels(upstream=upstream), value)])), 3)
    (one,) = readings(merged([text]))
    assert (one.name, one.label("upstream"), one.label("worker"), one.value) == ("surefoot_open", upstream, "3", value)
