"""The caller's trace is honoured where it is named rightly, and ours has an id outside in any case."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.trace import apart, spellings, steps_id
from surefoot.core.traceparent import Parent, parent_of, span_id_of, trace_id_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_traceparent_names_trace_span_and_whether_it_is_kept() -> None:
    assert parent_of(f"00-{TRACE}-{SPAN}-01") == Parent(trace_id=TRACE, span_id=SPAN, sampled=True)
    assert parent_of(f" 00-{TRACE}-{SPAN}-00 ") == Parent(trace_id=TRACE, span_id=SPAN, sampled=False)
    assert parent_of(f"cc-{TRACE}-{SPAN}-01-what-comes-later") is not None


@pytest.mark.parametrize(
    "header",
    [
        "", "nonsense", f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE[:-1]}-{SPAN}-01", f"00-{TRACE}-{SPAN}-zz",
    ],
)  # fmt: skip
def test_one_that_is_wrong_is_as_if_it_were_not_there(header: str) -> None:
    assert parent_of(header) is None


@given(st.text(max_size=60))
def test_every_trace_of_ours_has_an_id_outside(ours: str) -> None:
    assert re.fullmatch("(?!0{32})[0-9a-f]{32}", trace_id_of(ours))
    assert re.fullmatch("[0-9a-f]{16}", span_id_of(ours, "agent"))
    assert span_id_of(ours, "agent") != span_id_of(ours, "chat")


def test_an_id_that_fits_stays_what_it_is() -> None:
    assert trace_id_of(TRACE) == TRACE
    assert trace_id_of("0af76519-16cd-43dd-8448-eb211c80319c") == TRACE


def test_a_request_apart_is_outside_in_the_trace_that_it_is_a_part_of() -> None:
    assert trace_id_of(apart(TRACE, "support")) == TRACE
    assert trace_id_of(apart("order-1", "support")) != trace_id_of("order-1"), "it has no trace outside but its own"


@given(st.uuids(), st.booleans())
def test_128_bits_are_known_in_every_spelling_and_have_the_same_steps(bits: UUID, capitals: bool) -> None:
    said = str(bits).upper() if capitals else str(bits)
    assert spellings(said)[0] == said
    assert {bits.hex, str(bits)} <= set(spellings(said))
    assert {steps_id(one) for one in spellings(said)} == {steps_id(apart(said, "support"))} == {bits.hex}
    assert spellings("order-1") == ["order-1"]
