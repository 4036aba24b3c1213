"""The tables. Facts are appended; the few rows that change carry a revision that every writer must name.

Records are kept whole as JSON beside the columns that are searched by, so that a new field needs no new column.
Times are microseconds since 1970 in UTC. The migrations under `migrations/` build exactly this (a test compares).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)
MOVED = "json_extract(document, '$.action') <> 'hold'"
"""The looks at a rollout that changed something, in the words by which SQLite finds their index."""
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_text, _document = sa.Text, sa.JSON


def _table(name: str, *parts: Any) -> sa.Table:
    return sa.Table(name, metadata, *parts)


def _column(name: str, kind: Any, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=key, nullable=False)


def _late(name: str) -> sa.Column[Any]:
    """A text column that came after its table; empty is none."""
    return sa.Column(name, _text, nullable=False, server_default="")


def _serial() -> sa.Column[Any]:
    return sa.Column("seq", Serial, primary_key=True, autoincrement=True)


agents = _table(
    "agents",
    _column("name", _text, key=True),
    _column("revision", sa.Integer),
    _column("document", _document),
)
lineage = _table(
    "lineage",
    _serial(),
    _column("agent", _text),
    _column("version", sa.Integer),
    _column("at", Instant),
    _column("by", _text),
    _column("why", _text),
    sa.Index(None, "agent", "seq"),
)
genomes = _table("genomes", _column("digest", _text, key=True), _column("document", _document))
versions = _table(
    "versions",
    _column("agent", _text, key=True),
    _column("number", sa.Integer, key=True),
    _column("genome", _text),
    _column("state", _text),
    _column("document", _document),
    sa.Index("ux_versions_genome", "agent", "genome", unique=True),
)
traces = _table(
    "traces",
    _column("id", _text, key=True),
    _column("agent", _text),
    _column("version", sa.Integer),
    _column("rollout", _text),
    _column("unit", _text),
    _column("arm", _text),
    _column("weight_percent", sa.Float),
    _column("epoch", sa.Integer),
    _column("input", _text),
    _column("output", _text),
    _column("finish", _text),
    _column("source", _text),
    _column("slices", _document),
    _column("latency_s", sa.Float),
    _column("cost_usd", sa.Float),
    _column("at", Instant),
    _column("cased", sa.Boolean),
    _late("session"),
    _late("actor"),
    _late("external_id"),
    sa.Index(None, "agent", "at"),
    sa.Index(None, "rollout", "unit", "at"),
    sa.Index("ix_traces_session", "session", "agent", "at", sqlite_where=sa.text("session <> ''")),
    sa.Index("ix_traces_actor", "actor", "agent", "at", sqlite_where=sa.text("actor <> ''")),
    sa.Index("ux_traces_external", "agent", "external_id", unique=True, sqlite_where=sa.text("external_id <> ''")),
)
outcomes = _table(
    "outcomes",
    _serial(),
    _column("trace_id", _text),
    _column("verdict", _text),
    sa.Column("score", sa.Float, nullable=True),
    _column("expected", _text),
    _column("feedback", _text),
    _column("source", _text),
    _column("at", Instant),
    sa.Index(None, "trace_id", "seq"),
)
failures = _table(
    "failures",
    _serial(),
    _column("agent", _text),
    _column("version", sa.Integer),
    _column("trace_id", _text),
    _column("input", _text),
    _column("predicted", _text),
    _column("expected", _text),
    _column("source", _text),
    _column("slices", _document),
    _column("at", Instant),
    sa.Index(None, "agent", "seq"),
    sa.Index(None, "trace_id"),
)
pins = _table(
    "pins",
    _column("rollout", _text, key=True),
    _column("unit", _text, key=True),
    _column("arm", _text),
    _column("weight_percent", sa.Float),
    _column("epoch", sa.Integer),
)
cases = _table(
    "cases",
    _serial(),
    _column("agent", _text),
    _column("id", _text),
    _column("group", _text),
    _column("split", _text),
    _column("input", _text),
    _column("expected", _text),
    _column("slices", _document),
    _column("origin", _text),
    _column("must_pass", sa.Boolean),
    sa.Index("ux_cases_id", "agent", "id", unique=True),
    sa.Index(None, "agent", "split"),
)
levers = _table(
    "levers", _column("agent", _text, key=True), _column("id", _text, key=True), _column("document", _document)
)
lever_log = _table(
    "lever_log",
    _serial(),
    _column("agent", _text),
    _column("lever", _text),
    _column("at", Instant),
    _column("text", _text),
    sa.Index(None, "agent", "lever"),
)
proposals = _table(
    "proposals",
    _column("id", _text, key=True),
    _column("agent", _text),
    _column("state", _text),
    _column("at", Instant),
    _column("document", _document),
    sa.Index(None, "agent", "at"),
)
scores = _table(
    "scores",
    _column("genome", _text, key=True),
    _column("model", _text, key=True),
    _column("case", _text, key=True),
    _column("repeat", sa.Integer, key=True),
    _column("answer", _text),
    _column("score", sa.Float),
)
drafts = _table(
    "drafts", _column("agent", _text, key=True), _column("revision", sa.Integer), _column("document", _document)
)
looks = _table(
    "looks",
    _serial(),
    _column("agent", _text),
    _column("digest", _text),
    _column("at", Instant),
    _column("verdict", _text),
    _column("cases", sa.Integer),
    _column("evidence", _document),
    sa.Index("ux_looks_digest", "agent", "digest", unique=True),
)
rollouts = _table(
    "rollouts",
    _column("id", _text, key=True),
    _column("agent", _text),
    _column("state", _text),
    _column("active", sa.Boolean),
    _column("revision", sa.Integer),
    _column("started_at", Instant),
    _column("document", _document),
    sa.Index("ux_rollouts_one_active", "agent", unique=True, sqlite_where=sa.text("active")),
)
reconciles = _table(
    "reconciles",
    _column("rollout", _text, key=True),
    _column("seq", sa.Integer, key=True),
    _column("at", Instant),
    _column("document", _document),
    sa.Index("ix_reconciles_moved", "rollout", "seq", sqlite_where=sa.text(MOVED)),
)
violations = _table(
    "violations",
    _serial(),
    _column("rollout", _text),
    _column("trace_id", _text),
    _column("what", _text),
    _column("at", Instant),
    sa.Index(None, "rollout"),
)
approvals = _table(
    "approvals",
    _column("id", _text, key=True),
    _column("agent", _text),
    _column("state", _text),
    _column("requested_at", Instant),
    _column("document", _document),
    sa.Index(None, "agent", "requested_at"),
)
lessons = _table("lessons", _serial(), _column("agent", _text), _column("document", _document), sa.Index(None, "agent"))
ledger = _table(
    "ledger",
    _column("scope", _text, key=True),
    _column("key", _text, key=True),
    _column("settled", sa.Boolean),
    _column("calls", sa.Integer),
    _column("tokens", sa.Integer),
    _column("usd", sa.Float),
    _column("at", Instant),
)
audit = _table(
    "audit",
    sa.Column("seq", Serial, primary_key=True, autoincrement=False),
    _column("at", Instant),
    _column("actor", _text),
    _column("action", _text),
    _column("subject", _text),
    _column("payload", _document),
    _column("previous", _text),
    _column("digest", _text),
    sa.Index(None, "actor"),
    sa.Index(None, "action"),
    sa.Index(None, "subject"),
)
marks = _table("marks", _column("key", _text, key=True), _column("result", _document), _column("at", Instant))
executors = _table(
    "executors",
    _column("id", _text, key=True),
    _column("host", _text),
    _column("pid", sa.Integer),
    _column("seen_at", Instant),
)
spans = _table(
    "spans",
    _serial(),
    _column("trace_id", _text),
    _column("span_ids", _text),
    _column("agent", _text),
    _column("version", sa.Integer),
    _column("evaluation", sa.Integer),
    _column("failed", sa.Integer),
    _column("started", Instant),
    _column("ended", Instant),
    _column("session", _text),
    _column("actor", _text),
    _column("body", sa.LargeBinary),
    sa.Index(None, "trace_id"),
    sa.Index(None, "agent", "started"),
    sa.Index("ix_spans_failures", "agent", "version", "started", sqlite_where=sa.text("failed > 0")),
    sa.Index("ix_spans_evaluations", "trace_id", sqlite_where=sa.text("evaluation = 1")),
)
# Running counts: what a rollout decides from, kept up to date by each write so that a reconcile reads a few rows.
unit_labels = _table(
    "unit_labels",
    _column("rollout", _text, key=True),
    _column("unit", _text, key=True),
    _column("trace_id", _text),
    _column("at", Instant),
    _column("verdict", _text),
    _column("slices", _document),
    _column("observed", _document),
)
label_counts = _table(
    "label_counts",
    _column("rollout", _text, key=True),
    _column("slice", _text, key=True),
    _column("epoch", sa.Integer, key=True),
    _column("arm", _text, key=True),
    _column("verdict", _text, key=True),
    _column("weight_percent", sa.Float),
    _column("n", sa.Integer),
)
unit_counts = _table(
    "unit_counts",
    _column("rollout", _text, key=True),
    _column("epoch", sa.Integer, key=True),
    _column("arm", _text, key=True),
    _column("weight_percent", sa.Float),
    _column("n", sa.Integer),
)
verdict_counts = _table(
    "verdict_counts",
    _column("agent", _text, key=True),
    _column("version", sa.Integer, key=True),
    _column("verdict", _text, key=True),
    _column("n", sa.Integer),
)
deleted_counts = _table(
    "deleted_counts",
    _column("agent", _text, key=True),
    _column("version", sa.Integer, key=True),
    _column("verdict", _text, key=True),
    _column("n", sa.Integer),
)
metric_states = _table(
    "metric_states",
    _column("rollout", _text, key=True),
    _column("metric", _text, key=True),
    _column("document", _document),
)
pairs = _table(
    "pairs",
    _column("rollout", _text, key=True),
    _column("case", _text, key=True),
    _column("seq", sa.Integer),
    _column("at", Instant),
    _column("document", _document),
)
banked = _table(
    "banked",
    _column("agent", _text, key=True),
    _column("window", _text, key=True),
    _column("case", _text, key=True),
    _column("seq", sa.Integer),
    _column("version", sa.Integer),
    _column("at", Instant),
    _column("document", _document),
    sa.Index(None, "agent", "case"),
)
incidents = _table(
    "incidents",
    _column("id", _text, key=True),
    _column("agent", _text),
    _column("kind", _text),
    _column("state", _text),
    _column("at", Instant),
    _column("revision", sa.Integer),
    _column("document", _document),
    sa.Index(None, "agent", "at"),
)
notices = _table(
    "notices",
    _column("id", _text, key=True),
    _column("state", _text),
    _column("next_at", Instant),
    _column("revision", sa.Integer),
    _column("document", _document),
    sa.Index(None, "state", "next_at"),
)
nonces = _table("nonces", _column("nonce", _text, key=True), _column("at", Instant))
switches = _table("switches", _column("name", _text, key=True), _column("document", _document))
pauses = _table(
    "pauses",
    _column("agent", _text, key=True),
    _column("name", _text, key=True),
    _column("execution", _text),
    _column("requested_at", Instant),
    _column("revision", sa.Integer),
    _column("document", _document),
    sa.Index(None, "name"),
    sa.Index(None, "execution"),
)
