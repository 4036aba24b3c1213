"""Requests of OTLP are read the same in both forms, whatever is in them, and nothing in them can break the reader."""

from __future__ import annotations

import base64
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from surefoot.adapters.otlp import answers, body
from surefoot.adapters.otlp.packing import Packing
from surefoot.adapters.redactor import Redactor
from surefoot.core.errors import Invalid
from surefoot.core.redaction import redact
from surefoot.ports.spans import Parcel, Terms

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
TERMS = Terms(now=NOW, sees=lambda _: True, knows=lambda _: True)
KEY = "a key of the tests"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def packing(**given: Any) -> Packing:
    plain = {"redact": str, "redact_name": str, "redact_label": str} | given
    return Packing(**plain)


suspect = Redactor("typed", Path(), {}).suspect


def scrubbed(text: str) -> str:
    return redact(text, KEY).text


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAF = st.one_of(
    TEXT.map(lambda text: AnyValue(string_value=text)), st.booleans().map(lambda told: AnyValue(bool_value=told)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: AnyValue(int_value=number)),
    st.floats(allow_nan=False).map(lambda number: AnyValue(double_value=number)),
    st.binary(max_size=12).map(lambda content: AnyValue(bytes_value=content)),
)  # fmt: skip
VALUE = st.recursive(LEAF, lambda inside: st.one_of(
    st.lists(inside, max_size=3).map(lambda many: AnyValue(array_value=ArrayValue(values=many))),
    st.dictionaries(TEXT, inside, max_size=3).map(lambda many: AnyValue(kvlist_value=KeyValueList(
        values=[KeyValue(key=name, value=value) for name, value in many.items()]))),
), max_leaves=6)  # fmt: skip
PAIRS = st.dictionaries(TEXT, VALUE, max_size=4).map(
    lambda many: [KeyValue(key=name, value=value) for name, value in many.items()]
)
NANOS = st.integers(0, 2**64 - 1)
SPANS = st.builds(
    Span, trace_id=st.binary(min_size=16, max_size=16).filter(any),
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    parent_span_id=st.one_of(st.just(b""), st.binary(min_size=8, max_size=8)), name=TEXT, trace_state=TEXT,
    start_time_unix_nano=NANOS, end_time_unix_nano=NANOS, attributes=PAIRS, kind=st.integers(0, 5),
    flags=st.integers(0, 2**32 - 1), status=st.builds(Status, code=st.integers(0, 2), message=TEXT),
    events=st.lists(st.builds(Span.Event, name=TEXT, time_unix_nano=NANOS, attributes=PAIRS), max_size=2),
    links=st.lists(st.builds(Span.Link, trace_id=st.binary(min_size=16, max_size=16), trace_state=TEXT,
                             attributes=PAIRS), max_size=2),
)  # fmt: skip


def told(text: str) -> KeyValue:
    return KeyValue(key="twice", value=AnyValue(string_value=text))


def request_of(spans: list[Span], service: str = "shop") -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    group.scope_spans.add().spans.extend(spans)
    return request


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """The request in OTLP's JSON, written by protobuf, with the ids in hexadecimal."""

    def mended(value: Any) -> Any:
        if isinstance(value, list):
            return [mended(one) for one in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {n: base64.b64decode(one).hex() if n in ids else mended(one) for n, one in value.items()}

    return json.dumps(mended(MessageToDict(request))).encode()


def spans_of(parcel: Parcel) -> list[Any]:
    return [span for group in parcel.groups for span in body.read(group)]


@given(st.lists(SPANS, max_size=4))
@settings(max_examples=60)
def test_both_forms_of_a_request_are_the_same_rows(spans: list[Span]) -> None:
    request = request_of(spans)
    binary = packing().traces(request.SerializeToString(), TERMS, as_json=False)
    text = packing().traces(as_json(request), TERMS, as_json=True)
    assert [group[:-1] for group in text.groups] == [group[:-1] for group in binary.groups]
    assert {(one.trace_id, one.span_id) for one in spans_of(binary)} == {
        (one.trace_id.hex(), one.span_id.hex()) for one in spans
    }
    assert spans_of(text) == spans_of(binary)
    assert not text.rejected
    assert not binary.rejected


@given(st.lists(SPANS, min_size=1, max_size=3))
@settings(max_examples=30)
def test_bodies_one_after_the_other_are_an_export_of_what_was_sent(spans: list[Span]) -> None:
    parcel = packing().traces(request_of(spans).SerializeToString(), TERMS, as_json=False)
    whole = TracesData.FromString(b"".join(body.field(b"\x0a", group.body) for group in parcel.groups))
    sent = [one for group in whole.resource_spans for scoped in group.scope_spans for one in scoped.spans]
    once = {(one.trace_id, one.span_id): one for one in reversed(spans)}
    assert {one.SerializeToString() for one in sent} == {one.SerializeToString() for one in once.values()}
    assert len(sent) == len(once)
    assert {one.resource.attributes[0].value.string_value for one in whole.resource_spans} == {"shop"}


@given(st.one_of(st.binary(max_size=200), st.lists(SPANS, max_size=2).map(
    lambda spans: request_of(spans).SerializeToString()
)).flatmap(lambda whole: st.tuples(st.just(whole), st.integers(0, 300), st.integers(0, 255))))  # fmt: skip
@settings(max_examples=100)
def test_bytes_that_are_broken_anywhere_are_read_or_refused(told: tuple[bytes, int, int]) -> None:
    whole, at, sign = told
    broken = bytearray(whole)
    if broken:
        broken[at % len(broken)] = sign
    for read in (packing().traces, packing().logs):
        for form in (False, True):
            with suppress(Invalid):
                parcel = read(bytes(broken), TERMS, as_json=form)
                for group in parcel.groups:
                    assert [one.span_id for one in body.read(group)] == group.ids


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6)),
    lambda inside: st.one_of(st.lists(inside, max_size=3), st.dictionaries(st.sampled_from([
        "traceId", "spanId", "name", "attributes", "key", "value", "stringValue", "intValue", "doubleValue", "values",
        "arrayValue", "kvlistValue", "bytesValue", "boolValue", "events", "links", "status", "code", "message", "kind",
        "startTimeUnixNano", "flags", "droppedEventsCount", "eventName", "timeUnixNano",
    ]), inside, max_size=5)), max_leaves=12,
)  # fmt: skip


@given(JSON)
@settings(max_examples=150)
def test_a_span_or_record_of_any_shape_is_taken_or_refused(shape: Any) -> None:
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [shape]}]}]}
    records = {"resourceLogs": [{"scopeLogs": [{"logRecords": [shape]}]}]}
    with suppress(Invalid):
        parcel = packing().traces(json.dumps(document).encode(), TERMS, as_json=True)
        assert len(spans_of(parcel)) + sum(parcel.rejected.values()) == 1, "taken or refused, and never both or neither"
    with suppress(Invalid):
        parcel = packing().logs(json.dumps(records).encode(), TERMS, as_json=True)
        assert len(spans_of(parcel)) + sum(parcel.rejected.values()) <= 1, "a record that is no evaluation is neither"


@pytest.mark.parametrize("depth", [33, 400, 20_000])
def test_a_value_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    value = '{"arrayValue":{"values":[' * depth + '{"intValue":1}' + "]}}" * depth
    span = f'{{"traceId":"{TRACE}","spanId":"{SPAN}","attributes":[{{"key":"k","value":{value}}}]}}'
    content = f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}'.encode()
    try:
        parcel = packing().traces(content, TERMS, as_json=True)
    except Invalid:
        return
    assert parcel.groups == []
    assert list(parcel.rejected) == ["a value is nested more than 32 deep"]


@pytest.mark.parametrize("where", range(13))
@given(st.lists(SPANS, min_size=1, max_size=2), st.sampled_from(["ann@example.org", "sk-abcdefghijklmnop1234567890"]))
@settings(max_examples=12)
def test_wherever_a_secret_stands_it_is_not_in_the_row(where: int, spans: list[Span], secret: str) -> None:
    one = spans[0]
    hidden = AnyValue(array_value=ArrayValue(values=[AnyValue(kvlist_value=KeyValueList(
        values=[KeyValue(key=secret, value=AnyValue(bytes_value=secret.encode()))]))]))  # fmt: skip
    places = [
        lambda: one.attributes.add(key="a", value=AnyValue(string_value=f"it is {secret}!")),
        lambda: one.attributes.add(key=secret, value=AnyValue(int_value=1)),
        lambda: one.attributes.add(key="a", value=hidden),
        lambda: setattr(one, "name", f"for {secret}"), lambda: setattr(one.status, "message", secret),
        lambda: setattr(one, "trace_state", secret), lambda: one.events.add(name=secret),
        lambda: one.events.add().attributes.add(key="a", value=AnyValue(string_value=secret)),
        lambda: one.links.add().attributes.add(key="a", value=hidden),
        lambda: one.attributes.add(key="session.id", value=AnyValue(string_value=secret)),
        lambda: one.attributes.extend([told(secret), told("the last of the same name is what counts")]),
        lambda: one.attributes.add(key="a").value.kvlist_value.values.extend([told(secret), told("b")]),
        lambda: one.links.add(trace_state=secret),
    ]  # fmt: skip
    places[where]()
    looking = packing(redact=scrubbed, redact_name=scrubbed, redact_label=scrubbed, suspect=suspect)
    parcel = looking.traces(request_of(spans).SerializeToString(), TERMS, as_json=False)
    assert len(spans_of(parcel)) == len({(each.trace_id, each.span_id) for each in spans})
    for group in parcel.groups:
        assert secret.encode() not in group.body
        assert secret not in "\n".join(str(column) for column in group[:-1])


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "before", [b"", b"\x01", b"\xff\xfe", b"\x07\x00\x00", "äöü ".encode("utf-16-le"), b"\x00x\x00y "]
)
@pytest.mark.parametrize("secret", [
    "ann@example.org", "sk-abcdefghijklmnop1234567890", "4111 1111 1111 1111", "4111\u00a01111\u20131111 1111",
    "030 901820",
])  # fmt: skip
def test_a_secret_in_bytes_of_sixteen_bits_is_not_in_the_row(secret: str, before: bytes, coding: str) -> None:
    one = Span(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    hidden = before + f" {secret} and {secret}".encode(coding)
    one.attributes.add(key="raw").value.bytes_value = hidden
    one.attributes.add(key="more").value.array_value.values.add(bytes_value=hidden + b"!")
    looking = packing(redact=scrubbed, redact_name=scrubbed, redact_label=scrubbed, suspect=suspect)
    (group,) = looking.traces(request_of([one]).SerializeToString(), TERMS, as_json=False).groups
    for part in (secret, secret.replace(" ", "")):
        assert part.encode(coding) not in group.body
    assert " and ".encode(coding) in group.body


@given(st.binary(max_size=60))
@settings(max_examples=150)
def test_bytes_that_hold_nothing_stay_what_they_are(content: bytes) -> None:
    one = Span(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    one.attributes.add(key="raw").value.bytes_value = content
    looking = packing(suspect=lambda content, at: (at, len(content)))
    (group,) = looking.traces(request_of([one]).SerializeToString(), TERMS, as_json=False).groups
    assert content in group.body


def test_what_no_reader_knows_is_not_kept() -> None:
    stranger = b"\xfa\x7f" + body.varint(8) + b"tomorrow"  # a field that no version of the protocol has
    told = Span(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    told.attributes.add(key="surefoot.agent").value.string_value = "shop"
    content = body.field(b"\x0a", body.field(b"\x12", body.field(b"\x12", told.SerializeToString() + stranger)))
    parcel = packing().traces(content, TERMS, as_json=False)
    assert [b"tomorrow" in group.body for group in parcel.groups] == [False]


def test_a_field_of_tomorrow_is_kept_where_it_says_nothing_suspicious() -> None:
    for said, kept in ((b"tomorrow", True), (b"ann@example.org", False)):
        told = Span(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, name="chat")
        told.attributes.add(key="surefoot.agent").value.string_value = "shop"
        content = told.SerializeToString() + body.field(b"\xfa\x7f", said)
        content = body.field(b"\x0a", body.field(b"\x12", body.field(b"\x12", content)))
        looking = packing(redact=scrubbed, redact_name=scrubbed, redact_label=scrubbed, suspect=suspect)
        parcel = looking.traces(content, TERMS, as_json=False)
        assert [said in group.body for group in parcel.groups] == [kept]
        assert [one.name for one in spans_of(parcel)] == ["chat"]


@given(st.lists(SPANS, min_size=1, max_size=4), st.integers(0, 3))
@settings(max_examples=40)
def test_however_a_request_is_laid_out_the_same_is_kept(spans: list[Span], how: int) -> None:
    request = request_of(spans)
    group, scoped = request.resource_spans[0], request.resource_spans[0].scope_spans[0]
    resource, scope = (one.SerializeToString() for one in (group.resource, scoped.scope))
    fields = [body.field(b"\x12", one.SerializeToString()) for one in spans]
    below = [b"".join(fields) + body.field(b"\x0a", scope), body.field(b"\x0a", scope) * 2 + b"".join(fields),
             b"".join(fields) + b"\xfa\x7f\x01x", body.field(b"\x1a", b"schema") + b"".join(fields)][how]  # fmt: skip
    odd = body.field(b"\x0a", body.field(b"\x12", below) + body.field(b"\x0a", resource))
    usual = packing(suspect=lambda *_: None).traces(request.SerializeToString(), TERMS, as_json=False)
    parcel = packing(suspect=lambda *_: None).traces(odd, TERMS, as_json=False)
    assert spans_of(parcel) == spans_of(usual)


def named_span(number: int, trace: str = TRACE, **names: str) -> dict[str, Any]:
    pairs = [{"key": name.replace("_", "."), "value": {"stringValue": value}} for name, value in names.items()]
    return span(traceId=trace, spanId=f"{number:016x}", attributes=pairs)


def test_spans_of_a_trace_are_one_group_and_what_one_of_them_names_holds_for_all() -> None:
    parcel = read(named_span(1), named_span(2, user_id="ann"), named_span(3, session_id="s"), named_span(4, "ab" * 16))
    assert [(len(one.ids), one.session, one.actor) for one in parcel.groups] == [(3, "s", "ann"), (1, "", "")]
    assert {one.actor for one in spans_of(parcel)[:3]} == {"ann"}


def test_a_request_is_of_the_session_that_any_of_its_spans_names() -> None:
    for spans in ((named_span(1), named_span(2, session_id="s")), (named_span(2, session_id="s"), named_span(1))):
        assert {one.session for one in read(*spans).claims} == {"s"}


def test_a_message_within_a_text_is_looked_at_as_what_it_is_and_a_name_may_tell_that_a_value_is_a_secret() -> None:
    looking = packing(redact=scrubbed, redact_name=scrubbed, redact_label=scrubbed, suspect=suspect)
    said = json.dumps([{"role": "user", "content": json.dumps({"password": "hunter22x", "at": "max@example.com"})}])
    told = Span(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    for name, value in (("gen_ai.input.messages", said), ("db.password", "hunter33y"), ("surefoot.agent", "shop"),
                        ("gen_ai.output.messages", said.replace("@", r"\\u0040"))):  # fmt: skip
        told.attributes.add(key=name).value.string_value = value
    parcel = looking.traces(request_of([told]).SerializeToString(), TERMS, as_json=False)
    claim, group = parcel.claims[0], parcel.groups[0]
    for secret in ("hunter22x", "hunter33y", "max@", "example.com"):
        assert secret not in f"{claim.input} {claim.output}", secret
        assert secret.encode() not in group.body, secret
    assert json.loads(claim.input)["password"].startswith("[secret:")


def test_a_name_is_cut_after_it_was_looked_at() -> None:
    looking = packing(redact=scrubbed, redact_name=scrubbed, redact_label=scrubbed, suspect=suspect)
    told = Span(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    told.attributes.add(key="session.id").value.string_value = "x" * 500 + " max@example.com"
    parcel = looking.traces(request_of([told]).SerializeToString(), TERMS, as_json=False)
    assert "max@" not in parcel.groups[0].session


@pytest.mark.parametrize("content", [
    b"\x0a\x00" * 20_000, body.field(b"\x0a", b"\x12\x00" * 20_000),
    body.field(b"\x0a", body.field(b"\x12", b"\x12\x00" * 200_000)), b"\xfa\x7f\x01x" + b"\x0a\x00" * 600_000,
], ids=["resources", "scopes", "spans", "oddly laid out"])  # fmt: skip
def test_more_parts_than_anybody_sends_are_refused_before_they_cost_anything(content: bytes) -> None:
    for read_one in (packing().traces, packing().logs):
        began = time.process_time()
        with pytest.raises(Invalid, match=r"more than|long"):
            read_one(content, TERMS, as_json=False)
        assert time.process_time() - began < 5


def test_more_parts_than_anybody_sends_are_refused_in_json_too() -> None:
    for content in (b'{"resourceSpans":[%s]}', b'{"resourceSpans":[{"scopeSpans":[%s]}]}'):
        with pytest.raises(Invalid, match="more than"):
            packing().traces(content % b",".join([b"{}"] * 20_000), TERMS, as_json=True)


def test_a_trace_of_many_persons_costs_no_more_for_each() -> None:
    def spans(many: int) -> float:
        sent = [Span(trace_id=b"\x01" * 16, span_id=n.to_bytes(8, "big"), name="n") for n in range(1, many + 1)]
        for n, one in enumerate(sent):
            one.attributes.add(key="session.id").value.string_value = f"s-{n}"
        content, began = request_of(sent).SerializeToString(), time.process_time()
        parcel = packing(suspect=lambda *_: None).traces(content, TERMS, as_json=False)
        assert len(parcel.groups) == many
        return time.process_time() - began

    few, lots = (min(spans(many) for _ in range(2)) for many in (500, 8_000))
    assert lots < 16 * 5 * max(few, 0.005), "a square would be 256 times"


def test_what_two_persons_did_in_one_trace_is_kept_apart() -> None:
    parcel = read(named_span(1, user_id="ann"), named_span(2, user_id="bob"), named_span(3, user_id="ann"))
    assert [(one.actor, len(one.ids)) for one in parcel.groups] == [("ann", 2), ("bob", 1)]


def test_of_a_group_only_what_is_new_is_left() -> None:
    failing = span(spanId=f"{2:016x}", status={"code": 2})
    group = read(named_span(1), failing, named_span(3)).groups[0]
    left = body.without(group, {f"{1:016x}", f"{3:016x}"})
    assert left is not None
    assert (left.ids, left.failed, [one.span_id for one in body.read(left)]) == ([f"{2:016x}"], 1, [f"{2:016x}"])
    assert body.without(group, set(group.ids)) is None


def span(**rest: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "spanId": SPAN, "name": "n", **rest}


def read(*spans: Any) -> Parcel:
    named = [{"key": "service.name", "value": {"stringValue": "shop"}}]
    group = {"resource": {"attributes": named}, "scopeSpans": [{"spans": list(spans)}]}
    return packing().traces(json.dumps({"resourceSpans": [group]}).encode(), TERMS, as_json=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"traceId": "00" * 16}, "a trace_id is not 16 bytes"), ({"traceId": "ab"}, "a trace_id is not 16 bytes"),
        ({"traceId": "zz" * 16}, "traceId is not hexadecimal"), ({"traceId": 5}, "traceId is no text"),
        ({"spanId": ""}, "a span_id is not 8 bytes"), ({"name": {}}, "name is no text"),
        ({"startTimeUnixNano": "x"}, "startTimeUnixNano is no whole number"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano is no whole number"),
        ({"startTimeUnixNano": 2**64}, "startTimeUnixNano is no whole number"),
        ({"attributes": {}}, "attributes is no list"), ({"kind": {}}, "kind is no number"),
        ({"attributes": [{"key": "k", "value": {"intValue": "1e9"}}]}, "intValue is no whole number"),
        ({"attributes": [{"key": "k", "value": {"boolValue": "yes"}}]}, "boolValue is neither true nor false"),
        ({"attributes": [{"key": "k", "value": {"doubleValue": "much"}}]}, "doubleValue is no number"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "!"}}]}, "bytesValue is not base64"),
        ({"events": [5]}, "events is no list of objects"), ({"status": 5}, "status is no object"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_span_is_said(change: dict[str, Any], why: str) -> None:
    parcel = read(span() | change, span())
    assert [why in reason for reason in parcel.rejected] == [True]
    assert [one.span_id for one in spans_of(parcel)] == [SPAN]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b'{"resourceSpans": 5}', b'{"resourceSpans": [5]}', b"[" * 100_000,
     b'{"resourceSpans": [{"resource": 5}]}', b'{"resourceSpans": [{"scopeSpans": {}}]}',
     b'{"resourceSpans": [{"resource": {"attributes": [{"key": 5}]}}]}'],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_request_at_all_is_invalid(content: bytes) -> None:
    with pytest.raises(Invalid):
        packing().traces(content, TERMS, as_json=True)
    with pytest.raises(Invalid):
        packing().traces(b"\xff" + content, TERMS, as_json=False)


def test_a_clock_that_goes_ahead_is_held_back_but_what_it_said_is_kept() -> None:
    ahead = 2_000_000_000_000_000_000
    group = read(span(startTimeUnixNano=str(ahead), endTimeUnixNano=str(ahead))).groups[0]
    assert group.started == group.ended == int(NOW.timestamp() * 1e6)
    assert body.read(group)[0].started_ns == ahead


def test_the_last_of_the_same_attributes_counts_and_the_agent_is_the_nearest_that_is_named() -> None:
    numbers = count(1)

    def named(*pairs: tuple[str, str]) -> dict[str, Any]:
        number = next(numbers)
        return span(
            spanId=f"{number:016x}",
            attributes=[{"key": name, "value": {"stringValue": value}} for name, value in pairs],
        )

    parcel = read(
        named(), named(("surefoot.agent", "a")), named(("surefoot.agent", "a"), ("gen_ai.agent.name", "b")),
        named(("surefoot.agent", "a"), ("surefoot.agent", "c")),
    )  # fmt: skip
    assert [group.agent for group in parcel.groups] == ["shop", "a", "b", "c"]


def test_evaluations_are_the_same_when_they_come_again_and_differ_when_they_differ() -> None:
    def one(label: str) -> bytes:
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        group.resource.attributes.add(key="service.name").value.string_value = "shop"
        record = group.scope_logs.add().log_records.add(
            trace_id=bytes.fromhex(TRACE), event_name="gen_ai.evaluation.result", time_unix_nano=5
        )
        record.attributes.add(key="gen_ai.evaluation.score.label").value.string_value = label
        return request.SerializeToString()

    ids = [packing().logs(one(label), TERMS, as_json=False).evaluations[0][0].span_ids for label in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]


def test_receipts_and_problems_are_what_the_protocol_says() -> None:
    assert answers.receipt("spans", 0, "", as_json=False) == b""
    assert answers.receipt("spans", 0, "", as_json=True) == b"{}"
    told = ExportTraceServiceResponse.FromString(answers.receipt("spans", 300, "why: ü", as_json=False))
    assert (told.partial_success.rejected_spans, told.partial_success.error_message) == (300, "why: ü")
    assert answers.problem(429, "full", as_json=False) == b"\x08\x08\x12\x04full"
    assert json.loads(answers.problem(401, "who?", as_json=True)) == {"code": 16, "message": "who?"}
