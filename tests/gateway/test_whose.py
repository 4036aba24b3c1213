"""A trace goes through several agents: none of them loses, hides, judges or shows another's part by speaking first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest
import sqlalchemy as sa
from gateway_house import BROAD, OPERATOR, OTHER, TOKEN, House, genome
from test_otlp_in import SPAN, START, TRACE, post, read, request, span, verdict

from surefoot.adapters.store import tables
from surefoot.adapters.store.spans import SqlSpans
from surefoot.core.agent import Habits
from surefoot.core.errors import NotFound
from surefoot.core.trace import GONE, apart
from surefoot.engine.find import whole_trace
from surefoot.engine.observe import Said, observe_all
from surefoot.engine.register import create_agent
from surefoot.engine.unfold import unfold

THEIRS = {"gen_ai.agent.name": "other"}
MINE = apart(TRACE, "support")
AGENT = {"gen_ai.operation.name": "invoke_agent"}


@pytest.fixture
def shared(house: House) -> House:
    """A house with two agents, each with a token that is good for it alone."""
    asyncio.run(create_agent(house.app.ports, "other", genome("You are other."), by="ann", habits=Habits(model="main")))
    post(house, request(span(trace_id="11" * 16)), token=OPERATOR)
    return house


def call(house: House, path: str, body: Any, token: str) -> httpx.Response:
    """Post to the REST API."""
    door = httpx.ASGITransport(app=house.app.api(loopback=True, environ={}))

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=door, base_url="http://127.0.0.1") as client:
            return await client.post(f"/api/v1{path}", json=body, headers={"authorization": f"Bearer {token}"})

    return asyncio.run(asked())


def only(agent: str) -> Callable[[str], bool]:
    return agent.__eq__


def whole(house: House, trace_id: str, agent: str) -> Any:
    return asyncio.run(whole_trace(house.app.ports, trace_id, sees=only(agent)))


def agents_in(branches: Any) -> set[str]:
    return {one.span.agent for one in branches} | {name for one in branches for name in agents_in(one.below)}


def evaluation(name: str, label: str = "fail", **rest: Any) -> dict[str, Any]:
    said = verdict(label=label, **rest)
    said["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"][0]["value"]["stringValue"] = name
    return said


def said_of(house: House, trace_id: str) -> list[tuple[str, str]]:
    return [(one.verdict, one.source) for one in read(house, lambda tx: tx.outcomes.of(trace_id))]


def displaced(house: House) -> None:
    """The callee tells of the trace first, as its root, with an error; then the one whose request it is."""
    theirs = span(attributes={**THEIRS, "input.value": "theirs"}, status={"code": 2, "message": "theirs broke"})
    assert post(house, request(theirs), token=OTHER).json() == {}
    assert post(house, request(span(attributes={"input.value": "mine"})), token=TOKEN).json() == {}


def test_who_speaks_first_in_a_trace_neither_loses_nor_hides_the_request_of_another_agent(shared: House) -> None:
    displaced(shared)
    assert read(shared, lambda tx: tx.traces.get(TRACE)).agent == "other"
    mine = read(shared, lambda tx: tx.traces.get(MINE))
    assert (mine.agent, mine.input) == ("support", "mine")
    for name in (TRACE, MINE):  # its program knows only the id that it made
        found = whole(shared, name, "support")
        assert (found.found.trace.id, found.found.trace.input, found.outcomes) == (MINE, "mine", ())
        assert agents_in(found.spans) == {"support"}
        page = asyncio.run(unfold(shared.app.ports, name, sees=only("support"), reads=only("support")))
        assert (page.found.trace.id, page.total, page.errors) == (MINE, 1, 0)


def test_who_may_see_only_one_agent_of_a_trace_sees_nothing_of_the_other(shared: House) -> None:
    displaced(shared)
    theirs = whole(shared, TRACE, "other")
    assert (theirs.found.trace.input, agents_in(theirs.spans)) == ("theirs", {"other"})
    assert [one.verdict for one in theirs.outcomes] == ["failure"]
    with pytest.raises(NotFound):
        whole(shared, MINE, "other")
    with pytest.raises(NotFound):
        whole(shared, TRACE, "third")
    both = asyncio.run(whole_trace(shared.app.ports, TRACE, sees=lambda _: True))
    assert (both.found.trace.id, agents_in(both.spans)) == (TRACE, {"other", "support"})


def test_each_agent_of_a_trace_is_judged_by_its_own_only(shared: House) -> None:
    displaced(shared)
    post(shared, evaluation("other"), path="/v1/logs", token=OTHER)
    assert said_of(shared, MINE) == []
    assert said_of(shared, TRACE) == [("failure", "otlp"), ("failure", "otlp:policy")]
    post(shared, evaluation("support", "pass"), path="/v1/logs", token=TOKEN)
    assert said_of(shared, MINE) == [("success", "otlp:policy")]
    assert len(said_of(shared, TRACE)) == 2
    for token, agent, kept in ((OTHER, "other", TRACE), (TOKEN, "support", MINE)):
        for path in (f"/agents/{agent}/outcomes", "/outcomes"):
            done = call(shared, path, {"trace_id": TRACE, "verdict": "success"}, token)
            assert (done.status_code, done.json()["trace_id"]) == (201, kept), done.text
    assert [one for one, _ in said_of(shared, MINE)] == ["success"] * 3
    assert call(shared, "/outcomes", {"trace_id": MINE, "verdict": "failure"}, OTHER).status_code == 404
    assert len(said_of(shared, MINE)) == 3


def test_what_was_said_of_a_request_before_it_came_waits_for_it_and_counts_once(shared: House) -> None:
    post(shared, evaluation("support", "pass"), path="/v1/logs", token=TOKEN)
    post(shared, evaluation("other"), path="/v1/logs", token=OTHER)
    displaced(shared)
    assert said_of(shared, MINE) == [("success", "otlp:policy")]
    assert sorted(said_of(shared, TRACE)) == [("failure", "otlp"), ("failure", "otlp:policy")]


def test_a_judge_that_sees_both_judges_the_step_that_it_names(shared: House) -> None:
    theirs = span(span_id="00000000000000bb", attributes=THEIRS)
    post(shared, request(theirs), token=OTHER)
    post(shared, request(span(attributes=AGENT)), token=TOKEN)
    post(shared, evaluation("judges", "pass"), path="/v1/logs", token=BROAD)  # about SPAN
    assert (said_of(shared, MINE), said_of(shared, TRACE)) == ([("success", "otlp:policy")], [])


def test_it_does_not_matter_which_agent_comes_first_nor_through_whose_token(shared: House) -> None:
    """Also one collector for all agents tells of each agent's request, in one batch or in two."""
    root = span(attributes={**AGENT, "input.value": "mine"})
    part = span(span_id="00000000000000bb", parentSpanId=SPAN, startTimeUnixNano=str(START + 9),
                attributes={**AGENT, **THEIRS, "input.value": "theirs"})  # fmt: skip
    batches = ([root, part],), ([part, root],), ([root], [part]), ([part], [root])
    for n, batch in enumerate(batches):
        trace_id = f"{n + 1:032x}"
        for some in batch:
            post(shared, request(*({**one, "traceId": trace_id} for one in some)), token=BROAD)
        for agent, text in (("support", "mine"), ("other", "theirs")):
            assert whole(shared, trace_id, agent).found.trace.input == text
    for _ in range(2):  # what comes again changes nothing
        post(shared, request(root, part), token=BROAD)
        post(shared, request(part), token=OTHER)
    rows = read(shared, lambda tx: tx.finding.under(TRACE))
    assert rows == [(TRACE, "support"), (apart(TRACE, "other"), "other")]


def test_an_evaluation_waits_for_the_agent_that_it_names_and_counts_once(shared: House) -> None:
    """The callee opens the trace; what is said of its caller's step is not said of the callee."""
    theirs = span(span_id="00000000000000bb", parentSpanId=SPAN, attributes={**AGENT, **THEIRS})
    post(shared, request(theirs), token=BROAD)
    post(shared, evaluation("support"), path="/v1/logs", token=BROAD)  # its step is not known yet
    assert said_of(shared, TRACE) == []
    post(shared, request(span(attributes=AGENT)), token=BROAD)
    assert (said_of(shared, MINE), said_of(shared, TRACE)) == ([("failure", "otlp:policy")], [])


def test_an_evaluation_of_another_s_step_is_about_its_request_and_not_counted_again(shared: House) -> None:
    theirs = span(span_id="00000000000000bb", parentSpanId=SPAN, attributes={**AGENT, **THEIRS})
    post(shared, request(theirs), token=BROAD)
    post(shared, evaluation("support", spanId="00000000000000bb"), path="/v1/logs", token=BROAD)
    post(shared, evaluation("judges", "pass", spanId="00000000000000cc"), path="/v1/logs", token=BROAD)
    once = [("failure", "otlp:policy"), ("success", "otlp:policy")]
    assert said_of(shared, TRACE) == once
    post(shared, request(span(attributes=AGENT)), token=BROAD)
    assert (said_of(shared, MINE), said_of(shared, TRACE)) == ([], once)


def test_evaluations_of_one_trace_look_through_its_steps_once(shared: House, monkeypatch: pytest.MonkeyPatch) -> None:
    displaced(shared)
    looks = list[int]()
    monkeypatch.setattr(SqlSpans, "some", lambda _, trace_id, ids: looks.append(len(ids)) or [])
    many = [evaluation("judges", spanId=f"{n + 1:016x}")["resourceLogs"][0] for n in range(20)]
    post(shared, {"resourceLogs": many}, path="/v1/logs", token=BROAD)
    assert looks == [20]


@pytest.mark.parametrize("first", ["support", "other"])
def test_a_request_told_under_a_uuid_is_the_one_that_spans_with_the_bare_bits_are_of(
    shared: House, first: str
) -> None:  # fmt: skip
    """A program tells of its request under a UUID; its spans, and what is said of them, come with 32 digits."""
    name = str(UUID(TRACE))
    tokens = {"support": TOKEN, "other": OTHER}
    for agent in (first, *(set(tokens) - {first})):
        call(shared, f"/agents/{agent}/traces", told(name, agent), tokens[agent])
    rows = read(shared, lambda tx: tx.finding.under(name))
    for token, agent in ((TOKEN, {}), (OTHER, THEIRS)):
        for _ in range(2):
            post(shared, request(span(attributes={**AGENT, **agent})), token=token)
    assert read(shared, lambda tx: tx.finding.under(TRACE)) == rows
    assert len(rows) == 2
    post(shared, evaluation("support", "pass"), path="/v1/logs", token=BROAD)
    own = {agent: one for one, agent in rows}
    assert [source for _, source in said_of(shared, own["support"])] == ["sdk", "otlp:policy"]
    assert [source for _, source in said_of(shared, own["other"])] == ["sdk"]


def test_an_agent_has_one_request_in_a_trace_also_where_another_was_refused(shared: House) -> None:
    """It was told apart from one of a version that there is not, so nobody has the id itself."""
    part = span(span_id="00000000000000bb", parentSpanId=SPAN, attributes={**AGENT, **THEIRS})
    mine = span(attributes=AGENT)
    mine["attributes"].append({"key": "surefoot.version", "value": {"intValue": "99"}})
    post(shared, request(mine, part), token=BROAD)
    again = span(span_id="00000000000000cc", parentSpanId=SPAN, attributes={**AGENT, **THEIRS})
    post(shared, request(again), token=BROAD)
    assert read(shared, lambda tx: tx.finding.under(TRACE)) == [(apart(TRACE, "other"), "other")]


def test_an_outcome_with_an_agent_is_about_that_agent_s_request(shared: House) -> None:
    displaced(shared)
    for agent, one in (("support", MINE), ("other", TRACE)):
        done = call(shared, "/outcomes", {"trace_id": TRACE, "agent": agent, "verdict": "success"}, BROAD)
        assert (done.status_code, done.json()["trace_id"]) == (201, one)
    for agent, token in (("third", BROAD), ("other", TOKEN)):
        said = {"trace_id": TRACE, "agent": agent, "verdict": "success"}
        assert call(shared, "/outcomes", said, token).status_code == 404


def test_steps_told_under_an_id_in_capitals_are_shown_and_deleted(shared: House) -> None:
    name = "AB" * 16
    step = {"id": SPAN, "name": "look", "kind": "tool", "started": 1.0, "ended": 2.0}
    said = told(name, "mine")
    said["traces"][0]["steps"] = [step]
    assert call(shared, "/agents/support/traces", said, TOKEN).json()["kept"] == 1
    assert agents_in(whole(shared, name, "support").spans) == {"support"}
    shared.app.store.write_now(lambda tx: tx.deleting.traces([name]))
    assert read(shared, lambda tx: tx.spans.of_trace(name.lower())) == []


def test_a_person_makes_a_lever_of_a_failure_by_the_id_that_its_program_knows(shared: House) -> None:
    displaced(shared)
    call(shared, "/outcomes", {"trace_id": MINE, "expected": "right"}, TOKEN)
    done = call(shared, "/agents/support/levers", {"failure": TRACE, "reason": "look"}, OPERATOR)
    assert done.status_code == 201, done.text


def test_a_request_that_is_gone_is_meant_last(shared: House) -> None:
    displaced(shared)
    gone = sa.update(tables.traces).where(tables.traces.c.id == TRACE).values(finish=GONE)
    shared.app.store.write_now(lambda tx: tx.connection.execute(gone))
    assert asyncio.run(whole_trace(shared.app.ports, TRACE, sees=lambda _: True)).found.trace.id == MINE


def test_two_tokens_at_once_keep_both_requests(shared: House) -> None:
    """What waits is written in one transaction, whoever sent it."""

    async def story() -> None:
        headers = [{"authorization": f"Bearer {token}", "content-type": "application/json"} for token in (OTHER, TOKEN)]
        async with httpx.AsyncClient(timeout=30) as client:
            await asyncio.gather(*(
                client.post(f"{shared.served.address}/v1/traces", headers=headers[n % 2], content=json.dumps(request(
                    span(trace_id=f"{n // 2 + 1:032x}", attributes=THEIRS if n % 2 == 0 else {})
                ))) for n in range(40)
            ))  # fmt: skip

    asyncio.run(story())
    for n in range(1, 21):
        assert sorted(agent for _, agent in read(shared, lambda tx, n=n: tx.finding.under(f"{n:032x}"))) == [
            "other", "support",
        ]  # fmt: skip


def test_a_flood_of_steps_in_a_trace_does_not_push_those_of_its_agent_out(shared: House) -> None:
    for start in range(0, 1_200, 400):
        many = [span(span_id=f"{n + 1:016x}", startTimeUnixNano=str(START - 5_000 + n), attributes=THEIRS)
                for n in range(start, start + 400)]  # fmt: skip
        post(shared, request(*many), token=OTHER)
    post(shared, request(span()), token=TOKEN)
    assert agents_in(whole(shared, TRACE, "support").spans) == {"support"}


def told(trace_id: str, text: str) -> dict[str, Any]:
    return {"traces": [{"id": trace_id, "version": 1, "unit": "u", "input": text, "output": "x", "finish": "error",
                        "at": "2026-01-05T08:00:00Z"}]}  # fmt: skip


def test_a_program_that_tells_of_a_request_loses_nothing_to_one_that_told_first(shared: House) -> None:
    bare, name = "cd" * 16, "order-12345678"
    for theirs, trace_id in ((TRACE, TRACE), (bare, str(UUID(bare))), (name, name)):
        first = call(shared, "/agents/other/traces", told(theirs, "theirs"), OTHER).json()
        for again in (False, True):
            done = call(shared, "/agents/support/traces", told(trace_id, "mine"), TOKEN).json()
            assert (done["kept"], done["known"], done["refused"]) == (not again, again, {}), (first, done)
        found = whole(shared, trace_id, "support")
        assert (found.found.trace.input, [one.verdict for one in found.outcomes]) == ("mine", ["failure"])
    gone = call(shared, "/agents/other/traces", told("order-1~support", "forged"), OTHER)
    assert gone.status_code == 422


def test_a_request_at_the_gateway_is_its_agent_s_whatever_others_tell_of_its_id(shared: House) -> None:
    shared.chat("hello")
    trace = next(one for one in shared.traces() if one.input == "hello")
    bare = trace.id.replace("-", "")
    post(shared, request(span(trace_id=bare, attributes=THEIRS)), token=OTHER)
    post(shared, evaluation("other", traceId=bare), path="/v1/logs", token=OTHER)
    found = whole(shared, trace.id, "support")
    assert (found.found.trace.agent, found.outcomes, found.spans) == ("support", (), ())
    done = call(shared, "/outcomes", {"trace_id": trace.id, "verdict": "failure"}, OTHER)
    assert (done.status_code, done.json()["trace_id"]) == (201, bare), "its own request, in another spelling"
    assert said_of(shared, trace.id) == []


def test_who_deletes_one_agent_s_request_of_a_trace_leaves_the_other_whole(shared: House) -> None:
    displaced(shared)
    gone = shared.app.store.write_now(lambda tx: tx.deleting.traces([TRACE]))
    assert gone.counts["traces"] == 1
    assert agents_in(whole(shared, TRACE, "support").spans) == {"support"}
    (kept,) = asyncio.run(observe_all(
        shared.app.ports, [Said(trace_id=TRACE, verdict="success")], sees=only("support")
    ))  # fmt: skip
    assert getattr(kept, "trace_id", kept) == MINE
    shared.app.store.write_now(lambda tx: tx.deleting.traces([MINE]))
    assert read(shared, lambda tx: tx.spans.of_trace(TRACE)) == []
