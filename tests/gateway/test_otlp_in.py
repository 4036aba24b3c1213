"""OpenTelemetry in: what instrumented programs send becomes spans and traces, once each."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from gateway_house import BROAD, OPERATOR, OTHER, TOKEN, VIEWER, House, genome
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from surefoot.core.agent import Habits
from surefoot.core.errors import NotFound
from surefoot.engine.register import create_agent

PROGRAM = Path(__file__).parent / "otel_program.py"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
START = 1_767_600_000_000_000_000


def run(house: House, *words: str, token: str = TOKEN) -> dict[str, str]:
    """Run the instrumented program; gives the ids that it made."""
    form, *rest = words
    done = subprocess.run(
        [sys.executable, str(PROGRAM), form, house.served.address, token, *rest], capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Failed to export" not in done.stderr
    return json.loads(done.stdout)


def read(house: House, work: Callable[[Any], Any]) -> Any:
    return house.app.store.read_now(work)


def span(trace_id: str = TRACE, span_id: str = SPAN, **rest: Any) -> dict[str, Any]:
    """A span in JSON."""
    given = {"gen_ai.agent.name": "support", **rest.pop("attributes", {})}
    return {
        "traceId": trace_id, "spanId": span_id, "name": "invoke_agent", "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 5_000_000),
        "attributes": [{"key": name, "value": {"stringValue": value}} for name, value in given.items()], **rest,
    }  # fmt: skip


def request(*spans: dict[str, Any], service: str = "shop") -> dict[str, Any]:
    named = [{"key": "service.name", "value": {"stringValue": service}}]
    return {"resourceSpans": [{"resource": {"attributes": named}, "scopeSpans": [{"spans": list(spans)}]}]}


def verdict(trace_id: str = TRACE, label: str = "fail", **rest: Any) -> dict[str, Any]:
    """A request for logs with one evaluation."""
    said = {"gen_ai.agent.name": "support", "gen_ai.evaluation.name": "policy", "gen_ai.evaluation.score.label": label}
    record = {
        "timeUnixNano": str(START), "eventName": "gen_ai.evaluation.result", "traceId": trace_id, "spanId": SPAN,
        "attributes": [{"key": name, "value": {"stringValue": value}} for name, value in said.items()], **rest,
    }  # fmt: skip
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def post(house: House, body: Any, *, path: str = "/v1/traces", token: str = TOKEN, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(timeout=30) as client:
        return client.post(f"{house.served.address}{path}", content=content, headers=given)


def kept(house: House, trace_id: str = TRACE) -> list[Any]:
    return read(house, lambda tx: tx.spans.of_trace(trace_id))


def outcomes(house: House, trace_id: str = TRACE) -> list[tuple[str, str]]:
    return [(one.verdict, one.source) for one in read(house, lambda tx: tx.outcomes.of(trace_id))]


@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_an_instrumented_program_appears_as_a_trace_with_its_spans_under_the_right_ids(house: House, form: str) -> None:
    ids = run(house, form, "evaluate")
    spans = {one.kind: one for one in kept(house, ids["trace"])}
    assert set(spans) == {"agent", "chat", "tool", "evaluation"}
    assert (spans["agent"].span_id, spans["agent"].parent_id) == (ids["agent"], "")
    assert (spans["chat"].span_id, spans["chat"].parent_id) == (ids["chat"], ids["agent"])
    assert (spans["chat"].tokens_in, spans["chat"].tokens_out, spans["chat"].model) == (12, 5, "m-1")
    assert spans["chat"].output == "yes"
    assert spans["agent"].resource["deployment.environment"] == "test"
    trace = read(house, lambda tx: tx.traces.get(ids["trace"]))
    assert (trace.agent, trace.version, trace.session, trace.actor) == ("support", 1, "c-7", "u-3")
    assert (trace.input, trace.finish, trace.unit) == ("May I return it?", "stop", "session:c-7")
    assert dict(trace.slices) == {"tenant": "acme"}
    assert trace.output.startswith("Yes, write to [email:")
    assert outcomes(house, ids["trace"]) == [("failure", "otlp:policy")]


def test_an_agent_span_that_ended_in_an_error_is_a_failure_of_its_version(house: House) -> None:
    ids = run(house, "protobuf", "fail")
    assert outcomes(house, ids["trace"]) == [("failure", "otlp")]
    assert read(house, lambda tx: tx.spans.failure_counts("support")) == {0: 1}
    assert [one.message for one in read(house, lambda tx: tx.spans.failures("support"))] == ["the tool broke"]
    assert [one.trace_id for one in read(house, lambda tx: tx.outcomes.failures("support", limit=9))] == [ids["trace"]]


def test_what_is_sent_again_is_kept_once(house: House) -> None:
    for _ in range(3):
        assert post(house, request(span(status={"code": 2}))).json() == {}
        assert post(house, verdict(), path="/v1/logs").json() == {}
    assert [one.kind for one in kept(house)].count("evaluation") == 1
    assert len(kept(house)) == 2
    assert outcomes(house) == [("failure", "otlp"), ("failure", "otlp:policy")]
    assert read(house, lambda tx: tx.outcomes.labelled("support")).failure == 1


def test_what_is_sent_again_in_other_company_is_kept_once(house: House) -> None:
    """A collector that lost its answer may pack what it has anew."""
    one, two, three = (span(span_id=f"{n:016x}", parentSpanId=SPAN, status={"code": 2}) for n in (1, 2, 3))
    for many in ((one, two), (two, three), (three, one), (one, two, three, span())):
        assert post(house, request(*many)).json() == {}
    assert sorted(each.span_id for each in kept(house)) == [f"{n:016x}" for n in (1, 2, 3)] + [SPAN]
    assert read(house, lambda tx: tx.spans.failure_counts("support")) == {0: 3}
    assert len(read(house, lambda tx: tx.spans.failures("support"))) == 3


def test_an_evaluation_that_comes_before_its_trace_counts_when_the_trace_is_there(house: House) -> None:
    post(house, verdict(label="pass"), path="/v1/logs")
    child = span(span_id="00000000000000aa", parentSpanId=SPAN)
    post(house, request(child))
    with pytest.raises(NotFound):
        read(house, lambda tx: tx.traces.get(TRACE))
    post(house, request(span()))
    assert outcomes(house) == [("success", "otlp:policy")]
    post(house, verdict(label="fail"), path="/v1/logs")
    assert [one for one, _ in outcomes(house)] == ["success", "failure"]


def test_spans_of_one_trace_may_come_in_any_order_and_in_many_requests(house: House) -> None:
    ids = [f"{n:016x}" for n in range(1, 8)]
    for n in (4, 2, 6, 0, 1, 5, 3):
        part = span(span_id=ids[n], parentSpanId=ids[n - 1] if n else "", startTimeUnixNano=START + n)
        assert post(house, request(part)).status_code == 200
    assert [one.span_id for one in kept(house)] == ids
    assert read(house, lambda tx: tx.traces.get(TRACE)).agent == "support"


def test_of_agents_inside_agents_the_outermost_speaks(house: House) -> None:
    kind = {"gen_ai.operation.name": "invoke_agent"}
    inner = span(span_id="00000000000000aa", parentSpanId="00000000000000bb", startTimeUnixNano=START + 5,
                 attributes={**kind, "input.value": "inner"})  # fmt: skip
    outer = span(span_id="00000000000000bb", parentSpanId=SPAN, startTimeUnixNano=START + 2,
                 attributes={**kind, "input.value": "outer"})  # fmt: skip
    post(house, request(inner, span(attributes={"input.value": "root"}), outer))
    assert read(house, lambda tx: tx.traces.get(TRACE)).input == "outer"


def test_spans_of_an_agent_that_is_not_known_are_kept_without_a_trace(house: House) -> None:
    bare = span()
    bare["attributes"] = []
    assert post(house, request(bare, service="elsewhere"), token=OPERATOR).json() == {}
    assert [one.agent for one in kept(house)] == ["elsewhere"]
    with pytest.raises(NotFound):
        read(house, lambda tx: tx.traces.get(TRACE))


def test_an_agent_made_a_moment_ago_is_known(house: House) -> None:
    post(house, request(span(trace_id="11" * 16)))
    asyncio.run(create_agent(house.app.ports, "fresh", genome("You are new."), by="ann", habits=Habits(model="main")))
    mine = span(attributes={"gen_ai.agent.name": "fresh"})
    assert post(house, request(mine), token=OPERATOR).json() == {}
    assert read(house, lambda tx: tx.traces.get(TRACE)).agent == "fresh"


def test_a_token_for_one_agent_brings_spans_of_that_agent_only(house: House) -> None:
    other = span(span_id="00000000000000aa", attributes={"gen_ai.agent.name": "billing"})
    answer = post(house, request(span(), other))
    said = answer.json()["partialSuccess"]
    assert (answer.status_code, said["rejectedSpans"]) == (200, "1")
    assert "the token is not for the agent billing" in said["errorMessage"]
    assert len(kept(house)) == 1


def test_who_may_not_see_an_agent_neither_judges_its_requests_nor_displaces_its_steps(house: House) -> None:
    """The callee of a request knows the ids of its trace, and sends first."""
    other = {"gen_ai.agent.name": "other"}
    post(house, request(span(span_id="00000000000000bb", parentSpanId=SPAN, attributes=other)), token=OTHER)
    assert post(house, request(span(), span(span_id="00000000000000bb", parentSpanId=SPAN))).json() == {}
    mine = [one.agent for one in kept(house) if one.span_id == "00000000000000bb"]
    assert sorted(mine) == ["other", "support"]
    forged = verdict(label="fail")
    forged["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"][0]["value"]["stringValue"] = "other"
    assert post(house, forged, path="/v1/logs", token=OTHER).status_code == 200
    assert outcomes(house) == []
    early = "ab" * 16
    forged["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["traceId"] = early
    post(house, forged, path="/v1/logs", token=OTHER)
    post(house, request(span(trace_id=early)))
    assert outcomes(house, early) == []
    assert post(house, verdict(label="pass"), path="/v1/logs").status_code == 200
    assert outcomes(house) == [("success", "otlp:policy")]


def test_a_judge_of_another_name_is_believed_where_its_token_sees_the_agent(house: House) -> None:
    post(house, request(span()))
    said = verdict(label="pass")
    said["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"][0]["value"]["stringValue"] = "judges"
    assert post(house, said, path="/v1/logs", token=BROAD).json() == {}
    assert outcomes(house) == [("success", "otlp:policy")]


def test_the_version_is_the_one_that_the_span_names_if_there_is_one(house: House) -> None:
    version = {"key": "surefoot.version", "value": {"intValue": "1"}}
    mine = span()
    mine["attributes"].append(version)
    assert post(house, request(mine)).json() == {}
    assert read(house, lambda tx: tx.traces.get(TRACE)).version == 1
    none = span(trace_id="22" * 16, attributes={"surefoot.version": "9"})
    said = post(house, request(none)).json()["partialSuccess"]
    assert (said["rejectedSpans"], "no version 9" in said["errorMessage"]) == ("0", True)
    assert len(kept(house, "22" * 16)) == 1
    with pytest.raises(NotFound):
        read(house, lambda tx: tx.traces.get("22" * 16))


def test_what_is_redacted_nowhere_reaches_the_disk(house: House) -> None:
    secret, mail = "sk-abcdefghijklmnop1234567890", "ann@example.org"
    nested = {"arrayValue": {"values": [{"kvlistValue": {"values": [
        {"key": mail, "value": {"stringValue": f"nested {secret}"}}]}}]}}  # fmt: skip
    mine = span(
        name=f"for {mail}", status={"code": 2, "message": f"key {secret}"}, traceState=f"a={secret}",
        attributes={"input.value": f"I am {mail}", "user.id": mail, "session.id": mail},
        events=[{"name": f"e {mail}", "timeUnixNano": 5, "attributes": [
            {"key": "x", "value": {"stringValue": secret}}]}],
        links=[{"traceId": TRACE, "spanId": SPAN, "attributes": [{"key": "x", "value": {"stringValue": secret}}]}],
    )  # fmt: skip
    mine["attributes"].append({"key": "nested", "value": nested})
    mine["attributes"].append({"key": "raw", "value": {"bytesValue": "c2stYWJjZGVmZ2hpamtsbW5vcDEyMzQ1Njc4OTA="}})
    body = request(mine)
    group = body["resourceSpans"][0]
    group["resource"]["attributes"].append({"key": "host", "value": {"stringValue": f"of {mail}"}})
    group["scopeSpans"][0]["scope"] = {"name": f"scope {secret}", "attributes": [
        {"key": "k", "value": {"stringValue": mail}}]}  # fmt: skip
    assert post(house, body).json() == {}
    found = kept(house)[0]
    assert found.input.startswith("I am [email:")
    assert found.actor.startswith("h:")
    assert read(house, lambda tx: tx.traces.get(TRACE)).actor == found.actor
    folder = Path(house.app.store.path).parent
    stored = b"".join(one.read_bytes() for one in folder.glob("store.db*"))
    assert mail.encode() not in stored
    assert secret.encode() not in stored


def test_in_mode_hash_no_text_is_kept_but_the_kinds_are(opened: Callable[..., House]) -> None:
    house = opened(redact="hash")
    post(house, request(span(attributes={"gen_ai.operation.name": "chat", "input.value": "plain words"})))
    found = kept(house)[0]
    assert (found.kind, found.input.startswith("[text:")) == ("chat", True)


# Bad input ----------------------------------------------------------------------------------------------------------


def status_in(answer: httpx.Response) -> tuple[int, str]:
    """The google.rpc.Status of a refusal in JSON."""
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    return told["code"], told["message"]


@pytest.mark.parametrize(
    ("token", "status", "code"), [("sf_nobody", 401, 16), (VIEWER, 403, 7)], ids=["unknown", "viewer"]
)
def test_who_may_not_record_brings_nothing(house: House, token: str, status: int, code: int) -> None:
    answer = post(house, request(span()), token=token)
    assert (answer.status_code, status_in(answer)[0]) == (status, code)
    assert kept(house) == []


def test_what_is_no_request_is_refused_in_the_form_of_otlp(house: House) -> None:
    for body in (b"[]", b"\xff\xfe{}", b"[" * 100_000):
        answer = post(house, body)
        assert answer.status_code == 400
        assert status_in(answer)[0] == 3
    wrong = post(house, b"\xff{}", content_type="application/x-protobuf")
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, "application/x-protobuf")
    assert wrong.content.startswith(b"\x08\x03\x12")


def test_a_span_that_is_wrong_in_itself_is_refused_and_the_others_are_kept(house: House) -> None:
    said = post(house, request(span(traceId="zz" * 16), span(), span(name={}))).json()["partialSuccess"]
    assert said["rejectedSpans"] == "2"
    assert "traceId is not hexadecimal (1)" in said["errorMessage"]
    assert len(kept(house)) == 1


def test_in_protobuf_too_the_receipt_says_how_many_were_refused_and_why(house: House) -> None:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for size in (16, 3):
        one = spans.add(trace_id=b"\x01" * size, span_id=b"\x02" * 8, status=Status(code=1))
        one.attributes.add(key="surefoot.agent").value.string_value = "support"
    answer = post(house, message.SerializeToString(), content_type="application/x-protobuf")
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (told.rejected_spans, "a trace_id is not 16 bytes" in told.error_message) == (1, True)
    assert [one.status for one in kept(house, "01" * 16)] == ["ok"]


def test_numbers_of_64_bits_may_be_texts_or_numbers(house: House) -> None:
    values = {"a": {"intValue": "9007199254740993"}, "b": {"intValue": 7}, "c": {"doubleValue": "NaN"},
              "d": {"doubleValue": 0.5}, "e": {"boolValue": False}, "f": {}}  # fmt: skip
    mine = span(startTimeUnixNano=START, status={"code": "STATUS_CODE_ERROR"}, kind="SPAN_KIND_CLIENT")
    mine["attributes"] += [{"key": name, "value": value} for name, value in values.items()]
    assert post(house, request(mine)).json() == {}
    found = kept(house)[0]
    assert (found.started_ns, found.status) == (START, "error")
    assert (found.attributes["a"], found.attributes["b"], found.attributes["d"]) == (9007199254740993, 7, 0.5)


def test_other_logs_are_refused_and_said_to_be(house: House) -> None:
    said = post(house, verdict(eventName="chat.line"), path="/v1/logs").json()["partialSuccess"]
    assert (said["rejectedLogRecords"], "only gen_ai.evaluation.result" in said["errorMessage"]) == ("1", True)


def test_what_is_packed_is_unpacked_up_to_the_bound(opened: Callable[..., House]) -> None:
    house = opened(otlp_bytes=100_000)
    assert post(house, gzip.compress(json.dumps(request(span())).encode()), content_encoding="gzip").status_code == 200
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    over = post(house, bomb, content_encoding="gzip")
    assert (over.status_code, status_in(over)[0]) == (413, 3)
    for broken in (b"no gzip", gzip.compress(b"{}")[:-4], zlib.compress(b"{}"), gzip.compress(b"{}") + b"more"):
        assert post(house, broken, content_encoding="gzip").status_code == 400
    assert post(house, b"{}", content_encoding="br").status_code == 415
    assert post(house, b"{}", content_type="text/plain").status_code == 415
    assert len(kept(house)) == 1


def test_ten_megabytes_are_read_where_they_may_be_and_refused_where_not(opened: Callable[..., House]) -> None:
    long = request(span(attributes={"input.value": "word " * 2_000_000}))
    house = opened()
    assert post(house, long).json() == {}
    assert len(kept(house)[0].input) == 10_000_000


def test_more_than_may_wait_is_refused_with_a_time_to_come_again(opened: Callable[..., House]) -> None:
    house = opened(otlp_waiting_bytes=2_000)
    assert post(house, request(span())).status_code == 200
    answer = post(house, request(span(attributes={"input.value": "x" * 3_000})))
    assert (answer.status_code, answer.headers["retry-after"], status_in(answer)[0]) == (429, "1", 8)
    assert house.gateway.house.taking.waiting_bytes == 0
    assert post(house, request(span(span_id="00000000000000aa"))).status_code == 200


def test_a_full_recorder_says_so(opened: Callable[..., House]) -> None:
    house = opened(queue=1)
    recorder = house.gateway.house.recorder
    recorder.close()  # type: ignore[attr-defined]
    answer = post(house, request(span()))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_many_that_come_at_once_after_the_start_all_have_their_trace(house: House) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: post(house, request(span(trace_id=f"{n:032x}"))), range(1, 25)))
    assert {one.status_code for one in answers} == {200}
    assert len(house.traces()) == 24
