"""The running counts of a rollout always equal what its facts say, in whatever order facts arrive."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surefoot.adapters.store import SqlStore, open_store
from surefoot.adapters.store.counts import SLICES
from surefoot.core.errors import NotFound
from surefoot.core.evidence.betting import MetricState, Observation
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.metric import metric_guard
from surefoot.core.score import Outcome, settled
from surefoot.core.trace import Pin, Trace
from surefoot.ports import Verdicts

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
VERDICTS = st.sampled_from(["success", "failure", "unknown"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 5), st.integers(0, 9)),
        st.tuples(st.just("say"), st.integers(0, 40), st.tuples(VERDICTS, st.sampled_from(["", "a", "b"]))),
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = open_store(tmp_path_factory.mktemp("counts") / "store.db")
    yield store
    store.close()


def asked(tx: Any, rollout: str, number: int, unit: int, minute: int) -> str:
    """A unit asks; its pin is drawn at its first request, and its requests need not arrive in the order of time."""
    pin = tx.traces.pin(Pin(
        rollout=rollout, unit=f"u{unit}", arm="challenger" if unit % 2 else "incumbent",
        weight_percent=5.0 + 10 * (number % 3), epoch=number % 3,
    ))  # fmt: skip
    trace = Trace(
        id=f"{rollout}-{number}", agent=rollout, version=1, unit=pin.unit, input="x", output="a", finish="stop",
        at=NOW + timedelta(minutes=minute), rollout=rollout, arm=pin.arm, weight_percent=pin.weight_percent,
        epoch=pin.epoch, slices={"tenant": f"t{unit % 2}"},
    )  # fmt: skip
    tx.traces.add(trace)
    return trace.id


RUNS = iter(range(10**6))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_counts_equal_the_facts_after_every_order_of_requests_labels_and_corrections(store: SqlStore, events):
    rollout = f"r{next(RUNS)}"

    def work(tx: Any) -> None:
        ids: list[str] = []
        for kind, which, more in events:
            if kind == "ask":
                ids.append(asked(tx, rollout, len(ids), which, more))
            elif ids:
                verdict, expected = more
                trace = ids[which % len(ids)]
                tx.outcomes.add(Outcome(trace_id=trace, verdict=verdict, at=NOW, source="test", expected=expected))
            assert not tx.rollouts.miscounted(rollout)
        last = [settled(tx.outcomes.of(trace)) for trace in ids]
        standing = Counter("unknown" if one is None else one.verdict for one in last)
        assert tx.outcomes.labelled(rollout) == Verdicts(**standing)
        slices = tx.rollouts.slice_strata(rollout)
        whole = tx.rollouts.strata(rollout)
        tenants = [row for name, rows in slices.items() if name.startswith("tenant=") for row in rows]
        assert sum(row.labels for row in tenants) == sum(row.labels for row in whole)

    store.write_now(work)


def test_a_corrected_label_moves_from_one_slice_to_the_other(store: SqlStore):
    def work(tx: Any) -> None:
        trace = asked(tx, "moved", 0, 1, 0)
        tx.outcomes.add(Outcome(trace_id=trace, verdict="failure", at=NOW, source="t", expected="billing"))
        tx.outcomes.add(Outcome(trace_id=trace, verdict="success", at=NOW, source="t", expected="Delivery"))

    store.write_now(work)
    slices = store.read_now(lambda tx: tx.rollouts.slice_strata("moved"))
    right = [Stratum(epoch=0, weight_percent=5.0, challenger_successes=1)]
    assert slices == {"label=delivery": right, "tenant=t1": right}


def test_a_caller_cannot_fill_the_counts_with_slices(store: SqlStore):
    def work(tx: Any) -> None:
        tx.traces.pin(Pin(rollout="many", unit="u", arm="incumbent", weight_percent=5.0, epoch=1))
        tx.traces.add(Trace(
            id="many", agent="a", version=1, unit="u", input="x", output="a", finish="stop", at=NOW, rollout="many",
            slices={f"k{n}": "v" for n in range(500)},
        ))  # fmt: skip
        tx.outcomes.add(Outcome(trace_id="many", verdict="failure", at=NOW, source="t"))

    store.write_now(work)
    assert len(store.read_now(lambda tx: tx.rollouts.slice_strata("many"))) == SLICES


def test_an_outcome_of_no_trace_is_refused_and_counts_nothing(store: SqlStore):
    with pytest.raises(NotFound, match="nobody"):
        store.write_now(lambda tx: tx.outcomes.add(Outcome(trace_id="nobody", verdict="success", at=NOW, source="t")))


def test_labels_of_many_threads_are_all_counted(tmp_path: Path):
    stores = [open_store(tmp_path / "store.db") for _ in range(4)]

    def writing(store: SqlStore, base: int) -> None:
        for number in range(base, base + 40):
            trace = store.write_now(lambda tx, n=number: asked(tx, "r", n, n, 0))
            store.write_now(lambda tx, t=trace, n=number: tx.outcomes.add(
                Outcome(trace_id=t, verdict="failure" if n % 4 else "success", at=NOW, source="t")
            ))  # fmt: skip

    threads = [threading.Thread(target=writing, args=(one, 100 * n)) for n, one in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = stores[0].read_now(lambda tx: (tx.rollouts.strata("r"), tx.rollouts.miscounted("r")))
    assert sum(row.labels for row in kept[0]) == 160
    assert kept[1] is False
    for one in stores:
        one.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, scores=st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=41, max_size=41))
def test_a_watched_metric_says_what_the_labels_say_after_every_order_and_correction(store: SqlStore, events, scores):
    """Each unit once, as it stands at its earliest labelled request."""
    rollout = f"m{next(RUNS)}"
    guards = [
        metric_guard("score", margin=0.05, clip=1.0, centre=0.5), metric_guard("cost_usd", margin=0, clip=1, centre=0)
    ]  # fmt: skip

    def work(tx: Any) -> None:
        for guard in guards:
            tx.rollouts.watch_metric(rollout, guard)
        ids: list[str] = []
        said: dict[str, float] = {}
        for kind, which, more in events:
            if kind == "ask":
                ids.append(asked(tx, rollout, len(ids), which, more))
            elif ids:
                trace, score = ids[which % len(ids)], scores[which]
                tx.outcomes.add(Outcome(trace_id=trace, verdict=more[0], at=NOW, source="test", score=score))
                if more[0] != "unknown" and score is not None:
                    said[trace] = score
        expected = [MetricState(guard=guard) for guard in guards]
        first: dict[str, Any] = {}
        for trace in map(tx.traces.get, ids):
            labelled = settled(tx.outcomes.of(trace.id)) is not None
            if labelled and (trace.unit not in first or (trace.at, trace.id) < first[trace.unit][0]):
                first[trace.unit] = ((trace.at, trace.id), trace)
        for _, trace in first.values():
            seen = {"score": said.get(trace.id), "cost_usd": trace.cost_usd}
            expected = [
                one if seen[one.guard.name] is None else one.plus(Observation(
                    arm=trace.arm, weight_percent=trace.weight_percent, value=seen[one.guard.name]
                ))
                for one in expected
            ]  # fmt: skip
        assert tx.rollouts.metrics(rollout) == sorted(expected, key=lambda one: one.guard.name)

    store.write_now(work)
