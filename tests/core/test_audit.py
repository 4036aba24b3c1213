"""The audit chain: whoever changes, removes, adds or reorders entries is found out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.audit import GENESIS, Entry, entry_digest, sealed, verify

AT = datetime(2026, 1, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
EVENTS = st.tuples(
    st.sampled_from(["ada", "system", ""]), st.sampled_from(["decide", "move"]), st.text(max_size=4), JSON
)
CHAINS = st.lists(EVENTS, min_size=1, max_size=5)


def chain(events: list[tuple[str, str, str, Any]]) -> list[Entry]:
    entries: list[Entry] = []
    for number, (actor, action, subject, payload) in enumerate(events):
        last = (entries[-1].seq, entries[-1].digest) if entries else None
        at = AT + timedelta(seconds=number)
        entries.append(sealed(last, at=at, actor=actor, action=action, subject=subject, payload={"what": payload}))
    return entries


def head_of(entries: list[Entry]) -> tuple[int, str]:
    return entries[-1].seq, entries[-1].digest


@given(CHAINS)
def test_an_untouched_chain_is_intact_with_every_head_it_ever_had(events: list[tuple[str, str, str, Any]]) -> None:
    entries = chain(events)
    found = verify(entries)
    assert (found.intact, found.entries, found.head) == (True, len(entries), entries[-1].digest)
    assert (found.broken_at, found.problem) == (None, "")
    for head in ((0, GENESIS), *((entry.seq, entry.digest) for entry in entries)):
        assert verify(entries, head=head).intact


def test_an_empty_record_is_intact_unless_something_was_there() -> None:
    assert verify([]).intact
    assert verify([], head=(0, GENESIS)).intact
    lost = verify([], head=(3, "abc"))
    assert (lost.intact, lost.broken_at) == (False, 1)
    assert "removed" in lost.problem


def changed(entry: Entry, field: str) -> Entry:
    changes: dict[str, Any] = {
        "seq": entry.seq + 1, "at": entry.at + timedelta(microseconds=1), "actor": entry.actor + "x",
        "action": entry.action + "x", "subject": entry.subject + "x", "payload": {**entry.payload, "more": 1},
        "previous": "f" * 64, "digest": "f" * 64,
    }  # fmt: skip
    return replace(entry, **{field: changes[field]})


@given(CHAINS, st.sampled_from(tuple(Entry.__slots__)), st.data())
def test_a_change_of_any_field_of_any_entry_is_found_at_that_entry(
    events: list[tuple[str, str, str, Any]], field: str, data: st.DataObject
) -> None:
    entries = chain(events)
    at = data.draw(st.integers(0, len(entries) - 1))
    entries[at] = changed(entries[at], field)
    found = verify(entries)
    assert (found.intact, found.broken_at) == (False, at + 1)
    assert found.problem


@given(CHAINS, st.data())
def test_a_change_with_its_digest_made_good_is_found_at_the_next_entry_or_by_the_head(
    events: list[tuple[str, str, str, Any]], data: st.DataObject
) -> None:
    entries = chain(events)
    head, at = head_of(entries), data.draw(st.integers(0, len(entries) - 1))
    forged = replace(entries[at], actor="mallory")
    mark = entry_digest(
        forged.previous, forged.seq, forged.at, "mallory", forged.action, forged.subject, forged.payload
    )
    entries[at] = replace(forged, digest=mark)
    assert not verify(entries, head=head).intact
    assert verify(entries).intact == (at == len(entries) - 1), "without a head only the last entry can be forged"


@given(CHAINS, st.data())
def test_a_whole_chain_forged_anew_is_found_by_the_head(
    events: list[tuple[str, str, str, Any]], data: st.DataObject
) -> None:
    entries = chain(events)
    at = data.draw(st.integers(0, len(entries) - 1))
    forged = chain([*events[:at], ("mallory", *events[at][1:]), *events[at + 1 :]])
    assert verify(forged).intact
    found = verify(forged, head=head_of(entries))
    assert (found.intact, found.broken_at) == (False, len(entries))


@given(CHAINS, st.data())
def test_a_removed_entry_is_found_and_a_removed_tail_with_the_head(
    events: list[tuple[str, str, str, Any]], data: st.DataObject
) -> None:
    entries = chain(events)
    at = data.draw(st.integers(0, len(entries) - 1))
    found = verify(entries[:at] + entries[at + 1 :], head=head_of(entries))
    assert (found.intact, found.broken_at) == (False, at + 1)
    tail = verify(entries[:at], head=head_of(entries))
    assert (tail.intact, tail.broken_at, tail.entries) == (False, at + 1, at)
    assert "removed" in tail.problem


@given(CHAINS, st.data())
def test_reordered_doubled_and_inserted_entries_are_found(
    events: list[tuple[str, str, str, Any]], data: st.DataObject
) -> None:
    entries = chain(events)
    at = data.draw(st.integers(0, len(entries) - 1))
    assert not verify([*entries[: at + 1], entries[at], *entries[at + 1 :]]).intact
    if len(entries) > 1:
        to = data.draw(st.integers(0, len(entries) - 1).filter(lambda other: other != at))
        mixed = list(entries)
        mixed[at], mixed[to] = mixed[to], mixed[at]
        assert verify(mixed).broken_at == min(at, to) + 1
    last = (entries[at - 1].seq, entries[at - 1].digest) if at else None
    new = sealed(last, at=AT, actor="mallory", action="approve", subject="v9", payload={})
    assert not verify([*entries[:at], new, *entries[at:]]).intact


@given(CHAINS)
def test_a_record_is_intact_after_a_journey_through_json_and_another_time_zone(
    events: list[tuple[str, str, str, Any]],
) -> None:
    entries = chain(events)
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    again = [
        replace(entry, payload=json.loads(json.dumps(entry.payload)), at=entry.at.astimezone(elsewhere))
        for entry in entries
    ]
    assert verify(again, head=head_of(entries)).intact


def test_what_has_no_json_form_cannot_be_sealed() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        sealed(None, at=AT, actor="a", action="b", subject="c", payload={"x": float("nan")})


def test_fields_cannot_be_shifted_into_each_other() -> None:
    one = sealed(None, at=AT, actor="ab", action="c", subject="", payload={})
    other = sealed(None, at=AT, actor="a", action="bc", subject="", payload={})
    assert one.digest != other.digest
    assert (one.seq, one.previous) == (1, GENESIS)


@given(CHAINS, st.integers(0, 5), st.integers(0, 5), st.sampled_from(["", "actor", "digest", "gone"]))
def test_a_walk_in_two_parts_finds_what_one_walk_finds(
    events: list[tuple[str, str, str, Any]], cut: int, at: int, what: str
) -> None:
    entries = chain(events)
    at = min(at, len(entries) - 1)
    if what == "gone":
        del entries[at]
    elif what:
        entries[at] = replace(entries[at], **{what: "f" * 64})
    whole, first = verify(entries), verify(entries[:cut])
    if first.intact:
        assert verify(entries[cut:], since=(first.entries, first.head)) == whole
    else:
        assert first == whole
