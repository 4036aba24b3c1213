"""Running counts: verdicts by version, and of a rollout its units by arm and its labels by slice, arm and outcome.

Every write that changes a count changes it here, in the same transaction, so that a reconcile reads a few rows
whatever the store holds. One label per unit counts: that of its earliest labelled request, as it stands now. A
correction or an earlier request that gets its label late moves the unit from one count to another. `recounted`
computes the same from the facts, for tests and for `surefoot doctor`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from surefoot.adapters.store import tables
from surefoot.adapters.store.rows import put
from surefoot.core.evidence.betting import MetricState, Observation
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.metric import observed
from surefoot.core.score import Outcome
from surefoot.core.trace import Pin, Trace

WHOLE = ""
SLICES = 16
"""How many slices of one request are counted; more would let a caller fill the table."""


def slices_of(trace: Trace, outcome: Outcome) -> list[str]:
    """Name the slices a labelled request belongs to, such as `tenant=acme`, and the label it should have had."""
    named = {**trace.slices, **({"label": outcome.expected.strip().lower()} if outcome.expected.strip() else {})}
    return [f"{dimension}={value}" for dimension, value in sorted(named.items())][:SLICES]


def judged(connection: sa.Connection, trace: Trace, before: str, after: str) -> None:
    """Count a trace under its new verdict instead of the one before."""
    if before != after:
        connection.execute(PLUS_VERDICT, [_verdict(trace, before, -1), _verdict(trace, after, 1)])


def verdicts(connection: sa.Connection, agent: str, version: int | None) -> dict[str, int]:
    """Give how many traces of an agent, or of one of its versions, have which verdict."""
    table = tables.verdict_counts
    query = sa.select(table.c.verdict, sa.func.sum(table.c.n).label("n")).where(table.c.agent == agent)
    if version is not None:
        query = query.where(table.c.version == version)
    return {row.verdict: int(row.n) for row in connection.execute(query.group_by(table.c.verdict))}


def _verdict(trace: Trace, verdict: str, by: int) -> dict[str, Any]:
    return {"agent": trace.agent, "version": trace.version, "verdict": verdict, "n": by}


def drawn(connection: sa.Connection, pin: Pin) -> None:
    """Count a unit that was given its arm just now."""
    row = {"rollout": pin.rollout, "epoch": pin.epoch, "arm": pin.arm, "weight_percent": pin.weight_percent, "n": 1}
    connection.execute(_PLUS_UNIT, row)


def labelled(connection: sa.Connection, trace: Trace, outcome: Outcome) -> None:
    """Count the label of a request for its unit; a request that is not the unit's earliest labelled one is ignored."""
    if not trace.rollout or outcome.verdict == "unknown":
        return
    known = connection.execute(_KNOWN, {"b_rollout": trace.rollout, "b_unit": trace.unit}).mappings().one_or_none()
    if known is not None and (known["at"], known["trace_id"]) < (trace.at, trace.id):
        return
    pin = connection.execute(_PIN, {"b_rollout": trace.rollout, "b_unit": trace.unit}).mappings().one_or_none()
    if pin is None:
        return
    slices, seen = slices_of(trace, outcome), observed(trace, outcome)
    if known is not None and known["trace_id"] == trace.id:  # what is not said again stays as it was
        slices = slices if outcome.expected.strip() else known["slices"]
        seen = known["observed"] | seen
    if known is not None:
        _shift(connection, pin, known["verdict"], known["slices"], -1)
    _shift(connection, pin, outcome.verdict, slices, 1)
    _weigh(connection, pin, {} if known is None else known["observed"], seen)
    connection.execute(_PUT_LABEL, {
        "rollout": trace.rollout, "unit": trace.unit, "trace_id": trace.id, "at": trace.at,
        "verdict": outcome.verdict, "slices": slices, "observed": seen,
    })  # fmt: skip


def _weigh(
    connection: sa.Connection, pin: sa.RowMapping, before: Mapping[str, float], now: Mapping[str, float]
) -> None:
    """Take out of each watched metric what the unit said before, and put in what it says now."""
    if before == now:
        return
    for state in metrics(connection, pin["rollout"]):
        after = state
        if (old := _observation(pin, before, state.guard.name)) is not None:
            after = after.minus(old)
        if (new := _observation(pin, now, state.guard.name)) is not None:
            after = after.plus(new)
        if after != state:
            keep_metric(connection, pin["rollout"], after)


def _observation(pin: sa.RowMapping, said: Mapping[str, float], metric: str) -> Observation | None:
    if metric not in said:
        return None
    return Observation(arm=pin["arm"], weight_percent=pin["weight_percent"], value=said[metric])


def metrics(connection: sa.Connection, rollout_id: str) -> list[MetricState]:
    """Give what each watched metric of a rollout has shown, by name."""
    return [MetricState.from_dict(row.document) for row in connection.execute(_METRICS, {"b_rollout": rollout_id})]


def keep_metric(connection: sa.Connection, rollout_id: str, state: MetricState) -> None:
    """Keep a metric's state; a metric without one is not watched."""
    put(connection, tables.metric_states, {
        "rollout": rollout_id, "metric": state.guard.name, "document": state.as_dict()
    })  # fmt: skip


def _shift(connection: sa.Connection, pin: sa.RowMapping, verdict: str, slices: Iterable[str], by: int) -> None:
    where = {"rollout": pin["rollout"], "epoch": pin["epoch"], "arm": pin["arm"],
             "weight_percent": pin["weight_percent"], "verdict": verdict, "n": by}  # fmt: skip
    connection.execute(_PLUS_LABEL, [where | {"slice": name} for name in (WHOLE, *slices)])


def strata(connection: sa.Connection, rollout_id: str) -> dict[str, list[Stratum]]:
    """Give the labels by slice (the whole is `""`), epoch, arm and outcome."""
    cells: dict[tuple[str, int, float], dict[str, int]] = {}
    for row in connection.execute(_STRATA, {"b_rollout": rollout_id}):
        cell = cells.setdefault((row.slice, row.epoch, row.weight_percent), {})
        cell[f"{row.arm}_{'failures' if row.verdict == 'failure' else 'successes'}"] = row.n
    found: dict[str, list[Stratum]] = {}
    for (name, epoch, weight), counts in sorted(cells.items()):
        found.setdefault(name, []).append(Stratum(epoch=epoch, weight_percent=weight, **counts))
    return found


def assigned(connection: sa.Connection, rollout_id: str) -> list[tuple[int, float, int, int]]:
    """Give the units by epoch: (epoch, weight percent, challenger units, incumbent units)."""
    seen: dict[tuple[int, float], Counter[str]] = {}
    for row in connection.execute(_UNITS, {"b_rollout": rollout_id}):
        seen.setdefault((row.epoch, row.weight_percent), Counter())[row.arm] = row.n
    return [(e, w, arms["challenger"], arms["incumbent"]) for (e, w), arms in sorted(seen.items())]


def recounted(connection: sa.Connection, rollout_id: str) -> tuple[list[Stratum], list[tuple[int, float, int, int]]]:
    """Compute labels and units of a rollout anew from its traces, outcomes and pins."""
    cells: dict[tuple[int, float], dict[str, int]] = {}
    for row in connection.execute(_LABELS_ANEW, {"rollout": rollout_id}):
        cell = cells.setdefault((row.epoch, row.weight_percent), {})
        cell[f"{row.arm}_{'failures' if row.verdict == 'failure' else 'successes'}"] = row.n
    labels = [Stratum(epoch=e, weight_percent=w, **counts) for (e, w), counts in sorted(cells.items())]
    units: dict[tuple[int, float], Counter[str]] = {}
    for row in connection.execute(_UNITS_ANEW, {"rollout": rollout_id}):
        units.setdefault((row.epoch, row.weight_percent), Counter())[row.arm] = row.n
    return labels, [(e, w, arms["challenger"], arms["incumbent"]) for (e, w), arms in sorted(units.items())]


def _plus(table: sa.Table) -> Any:
    """Add `n` to the count with this key, or begin it."""
    keys = [column.name for column in table.primary_key]
    adding = insert(table)
    return adding.on_conflict_do_update(index_elements=keys, set_={"n": table.c.n + adding.excluded.n})


PLUS_VERDICT = _plus(tables.verdict_counts)
PLUS_DELETED = _plus(tables.deleted_counts)
_PLUS_UNIT = _plus(tables.unit_counts)
_PLUS_LABEL = _plus(tables.label_counts)
_put = insert(tables.unit_labels)
_PUT_LABEL = _put.on_conflict_do_update(
    index_elements=["rollout", "unit"],
    set_={name: getattr(_put.excluded, name) for name in ("trace_id", "at", "verdict", "slices", "observed")},
)
_KNOWN = sa.select(tables.unit_labels).where(
    tables.unit_labels.c.rollout == sa.bindparam("b_rollout"), tables.unit_labels.c.unit == sa.bindparam("b_unit")
)
_PIN = sa.select(tables.pins).where(
    tables.pins.c.rollout == sa.bindparam("b_rollout"), tables.pins.c.unit == sa.bindparam("b_unit")
)
_STRATA = sa.select(tables.label_counts).where(
    tables.label_counts.c.rollout == sa.bindparam("b_rollout"), tables.label_counts.c.n > 0
)
_METRICS = (
    sa.select(tables.metric_states.c.document)
    .where(tables.metric_states.c.rollout == sa.bindparam("b_rollout"))
    .order_by(tables.metric_states.c.metric)
)
_UNITS = sa.select(tables.unit_counts).where(tables.unit_counts.c.rollout == sa.bindparam("b_rollout"))

# The label of a request is its latest known outcome; the label of a unit is that of its earliest labelled request.
_LABELS_ANEW = sa.text("""
    WITH labelled AS (
        SELECT t.unit AS unit, o.verdict AS verdict,
               ROW_NUMBER() OVER (PARTITION BY t.unit ORDER BY t.at, t.id) AS nth
        FROM traces t
        JOIN outcomes o ON o.seq = (
            SELECT MAX(x.seq) FROM outcomes x WHERE x.trace_id = t.id AND x.verdict <> 'unknown'
        )
        WHERE t.rollout = :rollout
    )
    SELECT p.epoch AS epoch, p.weight_percent AS weight_percent, p.arm AS arm, l.verdict AS verdict, COUNT(*) AS n
    FROM labelled l JOIN pins p ON p.rollout = :rollout AND p.unit = l.unit
    WHERE l.nth = 1
    GROUP BY p.epoch, p.weight_percent, p.arm, l.verdict
""")
_UNITS_ANEW = sa.text("""
    SELECT epoch, weight_percent, arm, COUNT(*) AS n FROM pins WHERE rollout = :rollout
    GROUP BY epoch, weight_percent, arm
""")
