"""Figures in sentences: few digits, none lost that matters, and never the notation of programs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.figure import figure

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
