"""What the first page says of the last day, which way a week goes, and how the picture of the lineage is laid out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from dashboard_house import ROLES, Place, serving
from hypothesis import given
from hypothesis import strategies as st

from surefoot.config import TokenSettings
from surefoot.core.dossier import rate_of
from surefoot.core.figure import points
from surefoot.core.token import hashed
from surefoot.dashboard.charts import sparkline
from surefoot.dashboard.lately import lately
from surefoot.dashboard.versions import LANES, VersionRow, buses_of, with_lanes
from surefoot.dashboard.words import money, plain

NOW = datetime(2026, 3, 1, tzinfo=UTC)


# The last day ---------------------------------------------------------------------------------------------------------


def test_the_first_page_tells_what_happened_in_the_last_day_in_sentences(looked_at: Place) -> None:
    page, twin = (looked_at.reader("vera").look(path) for path in ("/", "/agents.json"))
    told = twin.json["lately"]
    assert told["is_day"]
    assert 0 < len(told["lines"]) <= 8
    assert [one["seq"] for one in told["lines"]] == sorted((one["seq"] for one in told["lines"]), reverse=True)
    assert ["asks", "asked a person", 2] in told["tally"]
    assert "2 asked a person" in page.words
    for one in told["lines"]:
        assert one["sentence"][:60] in page.words or one["actor"] in page.words
        assert looked_at.reader("vera").look(one["href"]).status == 200, one["href"]


def test_what_only_keeps_the_house_going_is_no_story(hamlet: Place) -> None:
    at = hamlet.app.ports.clock()
    hamlet.change(lambda tx: [
        tx.audit.append(at=at, actor="x", action=action, subject="refunds", payload={})
        for action in ("tick-started", "tick-ended", "token-created", "levers-ranked", "process-registered")
    ])  # fmt: skip
    lines = hamlet.reader("vera").look("/agents.json").json["lately"]["lines"]
    assert not {one["action"] for one in lines} & {"tick-started", "token-created", "levers-ranked"}


def test_a_silent_day_is_called_silent_and_what_was_before_is_told(looked_at: Place) -> None:
    names = {"refunds", "router", "intake"}
    later = looked_at.app.ports.clock() + timedelta(days=3)
    told = looked_at.see(lambda tx: lately(tx, names, later, held=False, reads=lambda _: True))
    assert not told.is_day
    assert not told.tally
    assert told.lines


def test_who_is_held_to_one_agent_is_told_of_no_other(hamlet_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    store.write_bytes(hamlet_store.read_bytes())
    known = {name: TokenSettings(sha256=hashed(f"sf_{name}"), role=role) for name, role in ROLES.items()}
    known["held"] = TokenSettings(sha256=hashed("sf_held"), role="viewer", agents=("intake",))
    with serving(store, tokens=known) as place:
        at = place.app.ports.clock()
        place.change(
            lambda tx: [tx.audit.append(at=at, actor="x", action="stopped-all", subject="everything", payload={})]
        )
        busy = {"actor": "x", "action": "candidate", "subject": "router/v9", "payload": {"rationale": "secret"}}
        place.change(lambda tx: [tx.audit.append(at=at, **busy) for _ in range(300)])
        told = place.reader("held").look("/agents.json").json["lately"]
        everything = place.reader("vera").look("/agents.json").json["lately"]
    assert {one["agent"] for one in told["lines"]} == {"intake"}
    assert "secret" not in str(told)
    assert {one["agent"] for one in everything["lines"]} == {"router"}


def test_who_may_not_read_is_told_what_happened_without_what_it_quotes(hamlet_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    store.write_bytes(hamlet_store.read_bytes())
    with serving(store) as place:
        at = place.app.ports.clock()
        said = {"rationale": "It fails at “kestrel 7741” and others."}
        place.change(
            lambda tx: tx.audit.append(at=at, actor="x", action="candidate", subject="refunds/v9", payload=said)
        )
        mine, theirs = (place.reader(name).look("/agents.json").json["lately"]["lines"][0] for name in ("bob", "vera"))
    assert mine["seq"] == theirs["seq"]
    assert "kestrel" in mine["sentence"]
    assert theirs["sentence"]
    assert "kestrel" not in theirs["sentence"]


# The picture of the lineage -------------------------------------------------------------------------------------------


@st.composite
def lineages(draw: st.DrawFn) -> tuple[list[VersionRow], set[int]]:
    count = draw(st.integers(1, 30))
    first = draw(st.integers(1, 400))
    rows: list[VersionRow] = []
    for number in range(first, first + count):
        parent = None if number == 1 else draw(st.integers(max(1, number - 9), number - 1))
        rows.append(VersionRow(
            number=number, label=f"v{number}", state="rejected", tone="bad", author="a", rationale="", created_at=NOW,
            parent=parent, share_percent=0.0, lane=0,
        ))  # fmt: skip
    return rows[::-1], draw(st.sets(st.integers(first, first + count - 1)))


@given(lineages())
def test_no_line_runs_along_another_and_none_passes_a_version_of_the_trunk(
    drawn: tuple[list[VersionRow], set[int]],
) -> None:
    """Two lines share a lane only where they lead to one parent, or do not meet; the last lane takes what is left."""
    rows, lived = drawn
    shown = with_lanes(rows, lived)
    buses = buses_of(shown)
    at = {one.number: index for index, one in enumerate(shown)}
    assert all((one.lane == 0) == (one.number in lived or one.parent is None) for one in shown)
    assert all(0 <= lane <= LANES for lane in buses.values())
    spans: dict[tuple[int, int], list[int]] = {}
    for one in shown:
        if one.parent is not None and buses[one.number]:
            spans.setdefault((buses[one.number], one.parent), []).append(at[one.number])
    whole = [(lane, min(tops), at.get(parent, len(shown))) for (lane, parent), tops in spans.items() if lane < LANES]
    for lane in range(1, LANES):
        along = sorted((top, end) for one, top, end in whole if one == lane)
        assert all(before[1] <= after[0] for before, after in pairwise(along)), along
    trunk = [one.number for one in shown if one.lane == 0]
    for number, below in pairwise(trunk):
        parent = shown[at[number]].parent
        assert parent in (None, below) or buses[number] > 0


# Numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "–"), (0, "0"), (3, "3"), (12345, "12\u202f345"), (240_000.4, "240\u202f000"), (0.0943, "0.0943"),
        (2.4e9, "2.4\u202f×\u202f10⁹"), (1e-5, "1.0\u202f×\u202f10⁻⁵"), (float("inf"), "∞"),
    ],
)  # fmt: skip
def test_numbers_are_told_in_the_few_digits_that_people_read(value: float | None, told: str) -> None:
    assert plain(value) == told


def test_differences_have_a_true_sign_and_money_thin_spaces() -> None:
    assert [points(one) for one in (0.07, -0.031, 0.0001, -0.001)] == ["+7", "\u22123", "0", "0"]
    assert [money(one) for one in (None, 0, 0.0024, 1.5, 12345.6)] == [
        "–",
        "$0",
        "$0.0024",
        "$1.50",
        "$12\u202f345.60",
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=9))
def test_a_sparkline_stays_within_its_picture(days: list[tuple[int, int]]) -> None:
    drawn = str(sparkline([rate_of(bad, good + bad) for good, bad in days], "said"))
    for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", drawn):
        assert 0 <= float(x) <= 132
        assert -0.1 <= float(y) <= 34.1
