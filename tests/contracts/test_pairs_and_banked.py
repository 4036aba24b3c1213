"""The contract of `pairs` and `banked`: added once, in order, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from surefoot.adapters.store import open_store
from surefoot.core.evidence.paired import Tally
from surefoot.core.rollout.shadow import Reply, Shared, Spoken
from surefoot.core.score import Outcome
from surefoot.core.sentinel import Banked
from surefoot.core.trace import Trace

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
ODD = "Straße ☃ \x00 \u202e\U0001f600 'quoted\" -- ; DROP TABLE pairs\r\n\t"


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Opens the same store again and again."""
    stores: list[Any] = []

    def opened() -> Any:
        stores.append(open_store(tmp_path / "store.db"))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(opener: Callable[[], Any]) -> Any:
    return opener()


def pair(case: str, difference: float = 0.0, *, rollout: str = "r", unit: str = "", text: str = ODD) -> Shared:
    return Shared(
        rollout=rollout, case=case, at=NOW, input=text, expected="yes", unit=unit, slices={"tenant": ODD},
        incumbent=Reply(text="no", score=max(0.0, -difference)),
        challenger=Reply(text="yes", score=max(0.0, difference), cost_usd=0.25, latency_s=1.5),
    )  # fmt: skip


def banked(case: str, window: str = "2026-01-05", *, version: int = 1, score: float = 1.0) -> Banked:
    return Banked(agent="a", window=window, case=case, version=version, model="m", at=NOW, answer=ODD, score=score,
                  slices={"label": ODD})  # fmt: skip


def test_pairs_come_back_as_they_were_and_in_their_order(store):
    given = [pair(name, d) for name, d in (("z", 1.0), ("a", -0.5), ("m", 0.0))]
    assert store.write_now(lambda tx: tx.pairs.add(given)) == 3
    assert store.read_now(lambda tx: tx.pairs.all("r")) == given
    assert store.read_now(lambda tx: tx.pairs.differences("r")) == [1.0, -0.5, 0.0]
    assert store.read_now(lambda tx: tx.pairs.tally("r")) == Tally(gained=1, lost=1, n=3)


def test_a_pair_that_is_there_stays_and_moves_no_other(store):
    store.write_now(lambda tx: tx.pairs.add([pair("b", 1.0, unit="ann"), pair("a")]))
    assert store.write_now(lambda tx: tx.pairs.add([pair("a", -1.0), pair("c"), pair("c"), pair("b", -1.0)])) == 1
    assert [one.case for one in store.read_now(lambda tx: tx.pairs.all("r"))] == ["b", "a", "c"]
    assert store.read_now(lambda tx: tx.pairs.differences("r")) == [1.0, 0.0, 0.0]
    assert store.read_now(lambda tx: tx.pairs.met("r")) == ({"a", "b", "c"}, {"ann"})


def test_pairs_of_another_rollout_are_its_own(store):
    store.write_now(lambda tx: tx.pairs.add([pair("a", 1.0), pair("a", -1.0, rollout="s")]))
    assert store.read_now(lambda tx: tx.pairs.differences("s")) == [-1.0]
    assert store.read_now(lambda tx: (tx.pairs.all("?"), tx.pairs.differences("?"))) == ([], [])


async def test_many_writers_add_each_pair_once(opener):
    stores = [opener() for _ in range(3)]
    names = [f"c{number}" for number in range(20)]
    await asyncio.gather(*(
        one.write(lambda tx, name=name: tx.pairs.add([pair(name)])) for one in stores for name in names
    ))  # fmt: skip
    found = [one.case for one in stores[0].read_now(lambda tx: tx.pairs.all("r"))]
    assert sorted(found) == sorted(names)


def recorded(tx: Any, number: int, *, at: timedelta, verdict: str = "", expected: str = "", cased: bool = False):
    tx.traces.add(Trace(id=f"t{number}", agent="a", version=1, unit=f"u{number}", input=f"text {number}", output="x",
                        finish="stop", at=NOW + at))  # fmt: skip
    if verdict:
        tx.outcomes.add(Outcome(trace_id=f"t{number}", verdict=verdict, at=NOW, source="test", expected=expected))
    if cased:
        tx.traces.cased([f"t{number}"])


def test_what_may_be_asked_are_requests_with_a_right_answer_that_no_case_of_before_knew(store):
    hour = timedelta(hours=1)

    def work(tx: Any) -> None:
        recorded(tx, 1, at=-hour, verdict="success", expected="old", cased=True)
        recorded(tx, 2, at=-hour, verdict="success", expected="loose")
        recorded(tx, 3, at=2 * hour, verdict="failure", expected="late", cased=True)
        recorded(tx, 4, at=hour, verdict="success")
        recorded(tx, 5, at=3 * hour)
        recorded(tx, 6, at=9 * hour, verdict="success", expected="future")

    store.write_now(work)
    ask = store.read_now(lambda tx: list(tx.pairs.recorded("a", since=NOW, before=NOW + 5 * hour)))
    assert [(trace.id, right) for trace, right in ask] == [("t2", "loose"), ("t3", "late")]
    assert store.read_now(lambda tx: tx.pairs.waiting_since("a", after=NOW)) == NOW + 3 * hour
    assert store.read_now(lambda tx: tx.pairs.waiting_since("a", after=NOW + 3 * hour)) is None
    texts = [f"text {number}" for number in range(1, 7)]
    assert store.read_now(lambda tx: tx.pairs.known_before("a", texts, since=NOW)) == {"text 1"}
    assert store.read_now(lambda tx: tx.pairs.spoken("a", since=NOW)) == Spoken(
        right=3, right_said=2, wrong=1, wrong_said=1
    )


def test_banked_answers_come_back_by_window_and_in_order(store):
    given = [banked("z"), banked("a"), banked("b", "2026-01-04")]
    assert store.write_now(lambda tx: tx.banked.add(given)) == 3
    assert store.read_now(lambda tx: tx.banked.of("a", 1)) == [given[2], given[0], given[1]]
    assert store.read_now(lambda tx: tx.banked.of("a", 2)) == []
    assert store.read_now(lambda tx: tx.banked.in_window("a", "2026-01-05")) == {"z", "a"}


def test_a_case_has_one_answer_a_window_whichever_version_comes_later(store):
    store.write_now(lambda tx: tx.banked.add([banked("a")]))
    assert store.write_now(lambda tx: tx.banked.add([banked("a", score=0.0), banked("a", version=2)])) == 0
    assert store.write_now(lambda tx: tx.banked.add([banked("a", "2026-01-06", score=0.0)])) == 1
    assert [row.score for row in store.read_now(lambda tx: tx.banked.of("a", 1))] == [1.0, 0.0]
