"""Erasing a person: their requests and all that was made of them, then what hangs on the person alone.

Requests go a few at a time. Before some go, everything else in the store is searched for their texts, whatever table it
is in (those of parts that do not exist yet too): quotes are overwritten, but for genomes, which are listed, and the
record, whose chain must hold and which quotes no requests. What counts rest on stays under names made anew, which lead
to nobody. What is deleted is overwritten on the disk (`secure_delete`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from surefoot.adapters.store import memory_tables, process_tables, tables
from surefoot.adapters.store.deleting import SqlDeleting, counted
from surefoot.adapters.store.spans import delete, spans_in
from surefoot.core.case import case_id
from surefoot.core.trace import GONE
from surefoot.ports.deleting import Doomed, Gone, Hit, Quoted

_T = tables.traces.c
LEAST_PHRASE = 16
ERASED = "[erased]"
LONG_ANSWER = 80
DRAFT = 0
# Those go by id; genomes and drafts are listed, and the record is not touched.
_BY_ID = frozenset({"traces", "outcomes", "failures", "spans", "executions", "execution_notes", "cases"})
_NOT_SEARCHED = _BY_ID | {"audit", "genomes", "drafts"}


class SqlErasing:
    """Deleting all that is kept of a person; implements `ports.deleting.Erasing`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def doomed(self, persons: Collection[str], *, limit: int) -> Doomed:
        """Give the next requests of a person, with what was made of them."""
        query = sa.select(_T.id, _T.agent, _T.input, _T.output, _T.session).where(*_theirs(persons)).limit(limit)
        rows = self._connection.execute(query).all()
        ids = [row.id for row in rows]
        said = tables.outcomes.c
        wanted = self._connection.execute(
            sa.select(said.trace_id, said.expected, said.feedback).where(said.trace_id.in_(ids))
        ).all()
        texts = [row.input for row in rows] + [row.feedback for row in wanted]
        texts += [row.output for row in rows if len(row.output) >= LONG_ANSWER]  # short ones are said to everybody
        return Doomed(
            ids=tuple(ids), cases=self._cases(rows, wanted), phrases=tuple(sorted({t for t in texts if _phrase(t)})),
            sessions=tuple(sorted({row.session for row in rows if row.session})),
        )  # fmt: skip

    def quoting(self, doomed: Doomed) -> tuple[list[Hit], list[Quoted]]:
        """Give where else these texts stand: in rows that can be mended, and in genomes."""
        forms = _forms(doomed.phrases)
        hits = [hit for table in _searched() for hit in self._hits(table, forms)] if forms else []
        return hits, self._quoted(doomed)

    def erase(self, doomed: Doomed, hits: Sequence[Hit], *, new_id: Callable[[], str]) -> Gone:
        """Delete requests and all that was made of them; what counts rest on gets another name."""
        self._overwriting()
        gone = Gone()
        for hit in hits:
            gone.add("quotes", self._mend(hit, doomed.phrases))
        for agent, case in doomed.cases:
            gone.merge(self._case(agent, case, new_id))
        self._rename_units(doomed.ids, new_id)
        skeletons = self._connection.scalars(sa.select(_T.id).where(_T.id.in_(doomed.ids), counted())).all()
        gone.merge(SqlDeleting(self._connection).traces(doomed.ids))
        self._rename_traces(skeletons, new_id)
        for session in doomed.sessions:
            if not self._shared("session", session):
                gone.add("memory", self._forget("session", session))
        return gone

    def erase_rest(self, persons: Collection[str], *, new_id: Callable[[], str]) -> Gone:
        """Delete what hangs on the person and on no request: memory, spans, executions, places in rollouts."""
        self._overwriting()
        gone = Gone()
        gone.add("memory", sum(self._forget("actor", person) for person in persons))
        executions = process_tables.executions
        gone.add("spans", delete(self._connection, tables.spans.c.actor.in_(persons)))
        theirs = executions.c.document["actor"].as_string().in_(persons)
        ids = list(self._connection.scalars(sa.select(executions.c.id).where(theirs)))
        gone.add("executions", SqlDeleting(self._connection).executions(ids))
        units = [unit for person in persons for unit in (person, f"user:{person}", f"actor:{person}")]
        pins = tables.pins.c
        places = self._connection.execute(sa.select(pins.rollout, pins.unit).where(pins.unit.in_(units))).all()
        for place in places:
            self._rename_unit(place.rollout, place.unit, new_id())
        gone.add("places", len(places))
        return gone

    def of_person(self, persons: Collection[str]) -> Gone:
        """Count what there is of a person, by kind."""
        found = Gone()
        traces = sa.select(_T.id).where(*_theirs(persons))
        found.add("traces", self._count(traces))
        for table in (tables.outcomes, tables.failures):
            found.add(table.name, self._count(sa.select(table.c.trace_id).where(table.c.trace_id.in_(traces))))
        memory, executions = memory_tables.memory.c, process_tables.executions.c
        found.add("memory", self._count(
            sa.select(memory.key).where(memory.scope == "actor", memory.owner.in_(persons))
        ))  # fmt: skip
        spans = sa.select(spans_in(tables.spans)).where(tables.spans.c.actor.in_(persons))
        found.add("spans", self._connection.scalar(spans) or 0)
        theirs = executions.document["actor"].as_string().in_(persons)
        found.add("executions", self._count(sa.select(executions.id).where(theirs)))
        return found

    # What was made of requests --------------------------------------------------------------------------------------

    def _cases(self, rows: Sequence[Any], wanted: Sequence[Any]) -> tuple[tuple[str, str], ...]:
        """The cases of these requests: by what they were expected to be answered, and by their very words."""
        by_id = {row.id: row for row in rows}
        named = {
            (by_id[one.trace_id].agent, case_id(by_id[one.trace_id].agent, by_id[one.trace_id].input, one.expected))
            for one in wanted if one.expected
        }  # fmt: skip
        cases = tables.cases.c
        for agent in {row.agent for row in rows}:
            said = {row.input for row in rows if row.agent == agent and row.input}
            query = sa.select(cases.id).where(cases.agent == agent, cases.origin != "file", cases.input.in_(said))
            named |= {(agent, case) for case in self._connection.scalars(query)}
        return tuple(sorted(named))

    def _case(self, agent: str, case: str, new_id: Callable[[], str]) -> Gone:
        """Delete a case with the answers to it; a pair of a rollout keeps its two scores, which are evidence."""
        gone = Gone()
        cases, scores, banked, pairs = tables.cases, tables.scores, tables.banked, tables.pairs
        gone.add("cases", self._delete(cases, sa.and_(cases.c.agent == agent, cases.c.id == case)))
        gone.add("answers", self._delete(scores, scores.c.case == case))
        gone.add("answers", self._delete(banked, sa.and_(banked.c.agent == agent, banked.c.case == case)))
        for row in self._connection.execute(sa.select(pairs).where(pairs.c.case == case)).all():
            name = f"erased-{new_id()}"
            document = _bare_pair(row.document, name)
            here = sa.and_(pairs.c.rollout == row.rollout, pairs.c.case == case)
            self._connection.execute(sa.update(pairs).where(here).values(case=name, document=document))
            gone.add("pairs", 1)
        return gone

    # Units and ids --------------------------------------------------------------------------------------------------

    def _rename_units(self, ids: Sequence[str], new_id: Callable[[], str]) -> None:
        """Give the places that these requests had in rollouts other names, unless somebody else has them too."""
        query = sa.select(_T.rollout, _T.unit, _T.actor).where(_T.id.in_(ids), _T.rollout != "").distinct()
        for row in self._connection.execute(query).all():
            others = sa.select(_T.id).where(_T.rollout == row.rollout, _T.unit == row.unit, _T.actor != row.actor)
            if self._connection.execute(others.where(_T.finish != GONE).limit(1)).first() is None:
                self._rename_unit(row.rollout, row.unit, new_id())

    def _rename_unit(self, rollout: str, unit: str, name: str) -> None:
        for table in (tables.pins, tables.unit_labels, tables.traces):
            here = sa.and_(table.c.rollout == rollout, table.c.unit == unit)
            self._connection.execute(sa.update(table).where(here).values(unit=f"erased:{name}"))

    def _rename_traces(self, ids: Sequence[str], new_id: Callable[[], str]) -> None:
        """Give what counts rest on an id that nobody knows."""
        for old in ids:
            new = f"erased-{new_id()}"
            self._connection.execute(sa.update(tables.traces).where(_T.id == old).values(id=new))
            for table in (tables.outcomes, tables.unit_labels, tables.violations):
                self._connection.execute(sa.update(table).where(table.c.trace_id == old).values(trace_id=new))

    # Quotes ---------------------------------------------------------------------------------------------------------

    def _hits(self, table: sa.Table, forms: Sequence[str]) -> Iterable[Hit]:
        key = list(table.primary_key)
        texts = [column for column in table.columns if isinstance(column.type, sa.Text | sa.JSON)]
        raw = [sa.type_coerce(column, sa.Text) for column in texts]
        for row in self._connection.execute(sa.select(*key, *raw).execution_options(yield_per=500)):
            for column, text in zip(texts, row[len(key) :], strict=True):
                if text and any(form in text for form in forms):
                    yield Hit(table=table.name, key=tuple(row[: len(key)]), column=column.name)

    def _mend(self, hit: Hit, phrases: Sequence[str]) -> int:
        """Overwrite the texts in one column of one row, as it is now."""
        table = tables.metadata.tables[hit.table]
        here = sa.and_(*(column == value for column, value in zip(table.primary_key, hit.key, strict=True)))
        column = table.c[hit.column]
        before: Any = self._connection.scalar(sa.select(column).where(here))
        after = _without(before, phrases)
        if after == before:
            return 0
        return self._connection.execute(sa.update(table).where(here).values({hit.column: after})).rowcount

    def _quoted(self, doomed: Doomed) -> list[Quoted]:
        """The blocks of genomes and drafts that quote a text, or rest on a case of it, by agent and block."""
        cases = {case for _, case in doomed.cases}
        found: dict[tuple[str, str], set[int]] = {}
        versions, genomes = tables.versions.c, tables.genomes.c
        query = sa.select(versions.agent, versions.number, genomes.document).where(genomes.digest == versions.genome)
        for row in self._connection.execute(query):
            for block in row.document:
                if _rests_on(block, ("text", "answer"), doomed.phrases, cases):
                    found.setdefault((row.agent, block["id"]), set()).add(row.number)
        for row in self._connection.execute(sa.select(tables.drafts.c.agent, tables.drafts.c.document)):
            for edit in (edit for part in row.document["accepted"] for edit in part["edits"]):
                if _rests_on(edit, ("text", "answer"), doomed.phrases, cases):
                    found.setdefault((row.agent, edit.get("target", "")), set()).add(DRAFT)
        agents = self._connection.execute(sa.select(tables.agents.c.name, tables.agents.c.document))
        live = {row.name: row.document["live"] for row in agents}
        return [
            Quoted(agent=agent, block=block, versions=tuple(sorted(numbers - {DRAFT})), live=live[agent] in numbers,
                   draft=DRAFT in numbers)
            for (agent, block), numbers in sorted(found.items())
        ]  # fmt: skip

    # Plain things ---------------------------------------------------------------------------------------------------

    def _overwriting(self) -> None:
        self._connection.exec_driver_sql("PRAGMA secure_delete=ON")

    def _shared(self, name: str, value: str) -> bool:
        """Whether requests of others are left that belong to the same session."""
        where = [_T[name] == value, _T[name] != sa.literal_column("''")]
        return self._connection.execute(sa.select(_T.id).where(*where).limit(1)).first() is not None

    def _forget(self, scope: str, owner: str) -> int:
        memory, changes = memory_tables.memory, memory_tables.memory_changes
        self._delete(changes, sa.and_(changes.c.scope == scope, changes.c.owner == owner))
        return self._delete(memory, sa.and_(memory.c.scope == scope, memory.c.owner == owner))

    def _count(self, query: sa.Select[Any]) -> int:
        return self._connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0

    def _delete(self, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        return self._connection.execute(sa.delete(table).where(where)).rowcount


def _theirs(persons: Collection[str]) -> list[sa.ColumnElement[bool]]:
    return [_T.actor.in_(persons), _T.actor != sa.literal_column("''"), _T.finish != GONE]


def _searched() -> list[sa.Table]:
    return [table for name, table in sorted(tables.metadata.tables.items()) if name not in _NOT_SEARCHED]


def _phrase(text: str) -> bool:
    """Whether a text says enough to be looked for: a label or a yes would be found everywhere."""
    return len(text) >= LEAST_PHRASE and len(text.split()) > 1


def _forms(phrases: Sequence[str]) -> list[str]:
    """How a text may stand in a column: as it is, or in JSON with or without escapes."""
    return sorted({form for text in phrases for form in (
        text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
    )})  # fmt: skip


def _without(value: object, phrases: Sequence[str]) -> object:
    """The same text or document with the phrases overwritten, longest first."""
    if isinstance(value, str):
        for form in sorted(_forms(phrases), key=len, reverse=True):
            value = value.replace(form, ERASED)
        return value
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return {str(_without(name, phrases)): _without(one, phrases) for name, one in named.items()}
    if isinstance(value, list):
        return [_without(one, phrases) for one in cast("list[object]", value)]
    return value


def _bare_pair(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    sides = {side: {**document[side], "text": ""} for side in ("incumbent", "challenger")}
    return {**document, **sides, "case": name, "input": "", "expected": "", "trace": "", "unit": "", "slices": {}}


def _rests_on(block: Mapping[str, Any], names: Sequence[str], phrases: Sequence[str], cases: Collection[str]) -> bool:
    texts = [str(block.get(name, "")) for name in names]
    if any(text in one for text in phrases for one in texts):
        return True
    return any(case in evidence for evidence in block.get("evidence", ()) for case in cases)
