"""A duration is read in one form everywhere: what it sums up to, and what is refused with which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.duration import CENTURY, duration, written
from surefoot.core.errors import Invalid

UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
SECONDS = st.integers(1, int(CENTURY.total_seconds()))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("4w", 2_419_200), (" 90d ", 7_776_000), ("1h30m", 5400),
     ("1h 30m", 5400), ("0.5h", 1800), ("2H", 7200), ("1w1d1h1m1s", 694_861), ("0.01s", 0.01)],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit_or_several(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "7",
        "d",
        "-1h",
        "1y",
        "1M1",
        "30m1h",
        "1h1h",
        "1.h",
        ".5h",
        "1e3s",
        "٣d",
        "1 0s",
        "1  h",
        "inf",
        "nan s",
        "P7D",
    ],
)
def test_anything_else_is_no_duration_and_the_hint_says_how_to_write_one(text: str) -> None:
    with pytest.raises(Invalid, match="is no duration") as raised:
        duration(text)
    assert "30s, 15m, 2h, 7d or 4w" in raised.value.hint


def test_what_is_nothing_or_longer_than_makes_sense_is_refused_with_the_bound() -> None:
    for none in ("0s", "0d", "0.000000s", "0.0000004s", "0h0m"):
        with pytest.raises(Invalid, match=r"no time at all|no duration"):
            duration(none)
    with pytest.raises(Invalid, match="too long") as raised:
        duration("2h", most=timedelta(minutes=90))
    assert raised.value.hint == "1h30m at most"
    assert duration("90m", most=timedelta(minutes=90)) == timedelta(minutes=90)


@given(SECONDS)
def test_what_is_written_is_read_as_the_same(seconds: int) -> None:
    assert duration(written(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@given(
    st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 5000), min_size=1).filter(
        lambda one: any(one.values())
    )
)
def test_the_parts_add_up(parts: dict[str, int]) -> None:
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    expected = timedelta(seconds=sum(number * UNITS[unit] for unit, number in parts.items()))
    if expected <= CENTURY:
        assert duration(text) == expected
    else:
        with pytest.raises(Invalid, match="too long"):
            duration(text)


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,40}[smhdw]", fullmatch=True))
def test_no_text_breaks_it_and_whatever_it_gives_can_be_taken_from_now(text: str) -> None:
    try:
        found = duration(text)
    except Invalid:
        return
    assert timedelta() < found <= CENTURY
    assert datetime(2026, 1, 1, tzinfo=UTC) - found < datetime(2026, 1, 1, tzinfo=UTC)
