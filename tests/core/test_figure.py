"""Figures in sentences: few digits, none lost that matters, and never the notation of programs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.figure import count, dollars, figure, percent, points, roughly, size, span, things

READ = re.compile(r"-?(\d{1,3}( \d{3})*|\d+\.\d+)( × 10⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@pytest.mark.parametrize(("value", "said"), [
    (7997, "7 997"), (240_123.4, "240 000"), (2.4e9, "2.4 × 10⁹"), (999.96, "1 000"), (1234.5, "1 230"), (0, "0"),
    (9_999_999.6, "1.0 × 10⁷"), (0.0943, "0.0943"), (1e-5, "1.0 × 10⁻⁵"), (float("-inf"), "\u2212∞"),
    (-3.14159, "-3.14"),
])  # fmt: skip
def test_numbers_stand_in_sentences_as_people_write_them(value: float, said: str) -> None:
    assert figure(value) == said


@given(st.floats(-1e300, 1e300, allow_subnormal=False) | st.integers(-(10**12), 10**12))
def test_what_is_read_is_within_a_twentieth_of_what_was_meant(value: float) -> None:
    said = figure(value)
    assert READ.fullmatch(said), said
    front, _, power = said.replace(" ", "").partition("×10")
    assert float(f"{front}e{power.translate(LOWERED) or 0}") == pytest.approx(value, rel=0.05)


def test_quantities_stand_in_the_unit_that_fits_and_nothing_known_is_a_dash() -> None:
    spans = (None, 0, 3.2e-6, 0.0005, 0.041, 1.24, 59.9, 75, 744, 5400, 90_000, 1e9)
    assert [span(one) for one in spans] == [
        "–", "0 s", "3.2 µs", "500 µs", "41 ms", "1.24 s", "59.9 s", "1.25 min", "12.4 min", "1.5 h", "1.04 d",
        "11 574 d"]  # fmt: skip
    assert [size(one) for one in (12, 1200, 3.4e6, 5e9, -2e6)] == ["12 B", "1.2 kB", "3.4 MB", "5.0 GB", "-2.0 MB"]
    assert [dollars(one) for one in (None, 0, 0.0024, 1.5, 12345.6)] == ["–", "$0", "$0.0024", "$1.50", "$12 345.60"]
    assert [percent(one) for one in (None, 0, 0.6123, 1)] == ["–", "0.0 %", "61.2 %", "100.0 %"]
    assert [points(one) for one in (0.07, -0.031, 0.0001, -0.001)] == ["+7", "\u22123", "0", "0"]
    assert [count(one) for one in (0, 999, 12_345.0)] == ["0", "999", "12 345"]
    assert [things(1, "entry", "entries"), things(2000, "entry", "entries"), things(0, "span")] == [
        "1 entry", "2 000 entries", "0 spans"]  # fmt: skip


@given(st.floats(1e-9, 1e12), st.floats(1e-9, 1e12))
def test_a_longer_time_never_reads_as_a_shorter_one(one: float, other: float) -> None:
    units = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}

    def read(said: str) -> float:
        number, unit = said.rsplit(" ", 1)
        return float(number.replace(" ", "")) * units[unit]

    low, high = sorted((one, other))
    assert read(span(low)) <= read(span(high)) * 1.001
    assert read(roughly(low)) <= read(roughly(high)) * 1.5
    assert read(span(one)) == pytest.approx(one, rel=0.01, abs=1e-6)
