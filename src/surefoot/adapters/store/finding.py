"""Finding requests: an index gives the order and the bounds, and the rest is tried on a bounded stretch of it.

Each page first asks the index alone how far its stretch reaches, then reads within it until the page is full. The
conditions name no index; the partial ones on session and actor are found by the literal `<> ''`. There is no full text
index: it would make every request dearer to keep (a row and a half more) for a list that a person reads a page at a
time, and it finds words, where people look for pieces of them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from surefoot.adapters.store import tables
from surefoot.core.score import Verdict
from surefoot.core.sought import MOST_COUNTED, STRETCH, Found, SessionFound, Sought, Spot
from surefoot.core.trace import GONE, Trace, apart, spellings

_T = tables.traces.c
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqlFinding:
    """Requests by what is known of them; implements `ports.finding.Finding`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def traces(self, sought: Sought, *, after: Spot | None, limit: int) -> tuple[list[Found], Spot | None]:
        """Give at most `limit` requests older than `after`, newest first, and where to go on (None = at the end)."""
        within, end = self._stretch(_indexed(sought), after, STRETCH[sought.scan])
        query = sa.select(tables.traces, VERDICT.label("verdict")).where(*within, *_tried(sought))
        rows = self._connection.execute(_newest(query).limit(limit + 1)).mappings().all()
        found = [Found(trace=_trace(row), verdict=row["verdict"]) for row in rows[:limit]]
        if len(rows) > limit:
            return found, Spot(found[-1].trace.at, found[-1].trace.id)
        return found, end

    def trace(self, trace_id: str) -> Found | None:
        """Give a request with its verdict; None if nobody recorded it, or its texts were deleted."""
        query = sa.select(tables.traces, VERDICT.label("verdict")).where(_T.id == trace_id, _T.finish != GONE)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else Found(trace=_trace(row), verdict=row["verdict"])

    def under(self, trace_id: str) -> list[tuple[str, str]]:
        """Give the requests that are known by an id, in any spelling, each with its agent.

        The one that has the id itself is first, those whose texts were deleted are last.
        """
        rows = [row for name in spellings(trace_id) for row in self._connection.execute(_UNDER, {
            "b_id": name, "b_first": apart(name, ""), "b_last": apart(name, chr(0x10FFFF))
        })]  # fmt: skip
        return [(row.id, row.agent) for row in sorted(rows, key=lambda row: row.finish == GONE)]

    def external(self, agent: str, external_id: str) -> str | None:
        """Give the id of the request that an agent's app calls so."""
        query = sa.select(_T.id).where(_T.agent == agent, _T.external_id == external_id, _some(_T.external_id))
        return self._connection.scalar(query)

    def agents_of(self, session: str) -> list[str]:
        """Give the agents that answered in a session."""
        here = _of("session", session)
        return list(self._connection.scalars(sa.select(_T.agent).where(*here).distinct().order_by(_T.agent)))

    def sessions(
        self, agent: str, *, actor: str, after: Spot | None, limit: int
    ) -> tuple[list[SessionFound], Spot | None]:
        """Give at most `limit` sessions, the one that was used last (by this actor, if one is named) first."""
        later = tables.traces.alias()
        newest = ~sa.exists().where(
            later.c.session == _T.session, _some(later.c.session), later.c.agent == _T.agent,
            *([later.c.actor == actor] if actor else []),
            sa.or_(later.c.at > _T.at, sa.and_(later.c.at == _T.at, later.c.id > _T.id)),
        )  # fmt: skip
        within, end = self._stretch(_indexed(Sought(agent=agent, actor=actor)), after, STRETCH["rows"])
        query = sa.select(_T.session, _T.at, _T.id).where(*within, _some(_T.session), newest)
        rows = self._connection.execute(_newest(query).limit(limit + 1)).all()
        found = [one for row in rows[:limit] if (one := self.session(agent, row.session)) is not None]
        if len(rows) > limit:
            return found, Spot(rows[limit - 1].at, rows[limit - 1].id)
        return found, end

    def session(self, agent: str, session: str) -> SessionFound | None:
        """Give a session, counted from its newest requests."""
        row = self._connection.exec_driver_sql(_SESSION, (session, agent)).one()
        if not row.requests:
            return None
        return SessionFound(
            agent=agent, session=session, actor=row.actor, requests=row.requests, failures=row.failures,
            cost_usd=row.cost_usd, first_at=_moment(row.first_at), last_at=_moment(row.last_at),
            versions=tuple(sorted(int(one) for one in row.versions.split(","))),
        )  # fmt: skip

    def beside(self, agent: str, session: str, spot: Spot) -> tuple[str, str]:
        """Give the ids of the requests right before and right after a place in a session, each empty without one."""
        here = [_T.agent == agent, *_of("session", session), _T.finish != GONE]
        query = sa.select(_T.id).where(*here).limit(1)
        older = sa.or_(_T.at < spot.at, sa.and_(_T.at == spot.at, _T.id < spot.id))
        newer = sa.or_(_T.at > spot.at, sa.and_(_T.at == spot.at, _T.id > spot.id))
        before = query.where(_T.at <= spot.at, older).order_by(_T.at.desc(), _T.id.desc())
        after = query.where(_T.at >= spot.at, newer).order_by(_T.at, _T.id)
        return self._connection.scalar(before) or "", self._connection.scalar(after) or ""

    def _stretch(
        self, where: list[sa.ColumnElement[bool]], after: Spot | None, length: int
    ) -> tuple[list[sa.ColumnElement[bool]], Spot | None]:
        """Give the conditions of one page's stretch, and where the next one begins if this one has an end."""
        times = within = where
        if after is not None:
            times = [*where, _T.at <= after.at if after.id else _T.at < after.at]
            within = [*times, sa.or_(_T.at < after.at, _T.id < after.id)]
        if not length:
            return within, None
        bound: datetime | None = self._connection.scalar(  # the index alone answers, without the ids
            sa.select(_T.at).where(*times).order_by(_T.at.desc()).limit(1).offset(length)
        )
        return (within, None) if bound is None else ([*within, _T.at >= bound], Spot(bound))


_known = sa.select(tables.outcomes.c.verdict).where(
    tables.outcomes.c.trace_id == _T.id, tables.outcomes.c.verdict != "unknown"
)
VERDICT: sa.ColumnElement[Verdict] = sa.func.coalesce(
    _known.order_by(tables.outcomes.c.seq.desc()).limit(1).correlate(tables.traces).scalar_subquery(), "unknown"
)


# Written out, since a page asks it once a session; in SQLite `actor` is that of the row with the latest time.
_SESSION = f"""
    SELECT COUNT(*) AS requests, SUM(COALESCE(verdict = 'failure', 0)) AS failures, SUM(cost_usd) AS cost_usd,
           MIN(at) AS first_at, GROUP_CONCAT(DISTINCT version) AS versions, MAX(at) AS last_at, actor
    FROM (
        SELECT t.actor, t.cost_usd, t.at, t.version, (
            SELECT o.verdict FROM outcomes o WHERE o.trace_id = t.id AND o.verdict <> 'unknown'
            ORDER BY o.seq DESC LIMIT 1
        ) AS verdict
        FROM traces t
        WHERE t.session = ? AND t.session <> '' AND t.agent = ? AND t.finish <> '{GONE}'
        ORDER BY t.at DESC LIMIT {MOST_COUNTED}
    )
"""  # noqa: S608  constants of this house only


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _newest(query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    return query.order_by(_T.at.desc(), _T.id.desc())


def _some(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return column != sa.literal_column("''")


def _of(name: str, value: str) -> list[sa.ColumnElement[bool]]:
    """Equal to a value that is not empty, in words by which SQLite finds the partial index."""
    column = _T[name]
    return [column == value, _some(column)]


def _indexed(sought: Sought) -> list[sa.ColumnElement[bool]]:
    """What an index answers: agent, session or actor, and time."""
    where: list[sa.ColumnElement[bool]] = [_T.agent == sought.agent]
    if sought.session:
        where += _of("session", sought.session)
    elif sought.actor:
        where += _of("actor", sought.actor)
    if sought.since is not None:
        where.append(_T.at >= sought.since)
    if sought.until is not None:
        where.append(_T.at < sought.until)
    return where


def _tried(sought: Sought) -> list[sa.ColumnElement[bool]]:
    """What is tried on each request."""
    where: list[sa.ColumnElement[bool]] = [_T.finish != GONE]
    if sought.session and sought.actor:
        where.append(_T.actor == sought.actor)
    for column, value in ((_T.version, sought.version), (_T.arm, sought.arm), (_T.finish, sought.finish or None)):
        if value is not None:
            where.append(column == value)
    if sought.slower_s is not None:
        where.append(_T.latency_s >= sought.slower_s)
    if sought.costlier_usd is not None:
        where.append(_T.cost_usd >= sought.costlier_usd)
    for name, value in sought.slices.items():
        each = sa.func.json_each(_T.slices).table_valued("key", "value")
        where.append(sa.exists(sa.select(1).select_from(each).where(each.c.key == name, each.c.value == value)))
    if sought.text:
        where.append(sa.or_(*(column.contains(sought.text, autoescape=True) for column in (_T.input, _T.output))))
    if sought.verdict is not None:
        where.append(sa.literal(sought.verdict) == VERDICT)
    return where


def _trace(row: sa.RowMapping) -> Trace:
    return Trace(**{name: row[name] for name in Trace.__slots__})


_UNDER = sa.text(
    "SELECT id, agent, finish FROM traces WHERE id = :b_id OR (id > :b_first AND id < :b_last) ORDER BY id"
)
