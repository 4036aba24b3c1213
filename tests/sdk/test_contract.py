"""What an agent promises a program, held alike inside the program and at a server."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from pydantic import BaseModel
from sdk_house import Scene, soon

from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.rollout.assign import unit_share
from surefoot.engine.pause import decide_pause


class Verdict(BaseModel):
    label: str
    sure: float


# Calls ---------------------------------------------------------------------------------------------------------------


def test_a_call_has_the_version_that_was_assigned_to_it_and_leaves_one_trace(scene: Scene) -> None:
    agent = scene.agent

    @agent.entry
    async def classify(text: str) -> dict[str, Any]:
        said = await agent.ai(user=text)
        return {"label": said, "version": agent.version, "trace": agent.trace_id, "prompt": agent.prompt}

    answer = asyncio.run(classify("hello"))
    assert answer["version"] == 1
    assert answer["prompt"] == "Support.\n\nYou are v1."
    assert answer["label"] == "[Support.\n\nYou are v1.] hello"
    trace = scene.trace()
    assert (trace.id, trace.input, trace.output) == (answer["trace"], "hello", answer["label"])
    assert (trace.version, trace.finish, trace.arm) == (1, "stop", "incumbent")
    assert trace.id == agent.last_trace_id


def test_a_plain_function_is_an_entry_as_well_also_inside_a_running_loop(scene: Scene) -> None:
    agent = scene.agent

    @agent.entry
    def classify(text: str) -> str:
        return agent.sync.ai(text)

    assert classify("plain").endswith("plain")

    async def within() -> str:
        return classify("within a loop")

    assert asyncio.run(within()).endswith("within a loop")
    assert [one.input for one in scene.traces()] == ["plain", "within a loop"]


def test_what_the_function_raises_is_recorded_as_a_failure_and_raised_again(scene: Scene) -> None:
    @scene.agent.entry
    async def breaks(text: str) -> str:
        raise KeyError("no such customer")

    with pytest.raises(KeyError, match="no such customer"):
        asyncio.run(breaks("hi"))
    trace = scene.trace()
    assert (trace.finish, trace.output) == ("error", "")
    (outcome,) = scene.outcomes(trace.id)
    assert outcome.verdict == "failure"
    assert "KeyError: 'no such customer'" in outcome.feedback


def test_a_call_that_is_cancelled_is_no_failure_of_its_version(scene: Scene) -> None:
    @scene.agent.entry
    async def waits(text: str) -> str:
        await asyncio.sleep(30)
        return text

    async def main() -> None:
        task = asyncio.create_task(waits("hi"))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    trace = scene.trace()
    assert trace.finish == "cancelled"
    assert scene.outcomes(trace.id) == []


def test_an_answer_that_was_cut_off_is_a_failure_at_once(scene: Scene) -> None:
    @scene.agent.entry
    async def talks(text: str) -> str:
        return await scene.agent.ai(text)

    assert asyncio.run(talks("talk at length")) == "On and on"
    trace = scene.trace()
    assert trace.finish == "length"
    assert [one.verdict for one in scene.outcomes(trace.id)] == ["failure"]


def test_what_was_asked_is_without_the_arguments_that_say_whose_it_is(scene: Scene) -> None:
    @scene.agent.entry(session="customer", actor="who", external_id="order", slices=("plan",))
    def answer(text: str, customer: str, who: str, order: str, plan: str, how: str = "") -> str:
        return text

    @scene.agent.entry(session="customer")
    def greet(customer: str) -> str:
        return customer

    answer("Where is it?", "c-1", "ada", "4711", "vip")
    answer("Where is it?", "c-1", "ada", "4712", "vip", how="short")
    greet("c-2")
    first, second, third = scene.traces()
    assert (first.session, first.actor, dict(first.slices)) == ("c-1", "ada", {"plan": "vip"})
    assert first.input == '{"text": "Where is it?", "how": ""}'
    assert second.input == '{"text": "Where is it?", "how": "short"}'
    assert third.input == "c-2", "else nothing would have been asked"


def test_a_session_keeps_its_version_and_the_evidence_goes_by_its_pin(scene: Scene) -> None:
    rollout, agent = scene.rollout(30), scene.agent

    @agent.entry(session="session")
    async def which(text: str, session: str) -> str:
        inner = await agent.ai(text)
        assert f"You are v{agent.version}" in inner, "the model speaks as the version that was assigned"
        return str(agent.version)

    async def main() -> tuple[list[str], list[str]]:
        sessions = [f"s{n}" for n in range(24)]
        return (list(await asyncio.gather(*(which("hi", one) for one in sessions))),
                list(await asyncio.gather(*(which("hi", one) for one in sessions))))  # fmt: skip

    first, again = asyncio.run(main())
    assert first == again
    drawn = ["2" if unit_share(rollout.salt, f"session:s{n}") < 0.3 else "1" for n in range(24)]
    assert first == drawn
    assert set(first) == {"1", "2"}
    traces = scene.traces()
    assert len(traces) == 48, "the model's answers inside a call are no requests of their own"
    assert {one.rollout for one in traces} == {rollout.id}
    assert all((one.arm == "challenger") == (one.version == 2) for one in traces)
    assert {one.weight_percent for one in traces} == {30.0}


def test_calls_at_once_never_see_each_others_version(scene: Scene) -> None:
    scene.rollout(50)
    agent = scene.agent

    @agent.entry
    async def twice(text: str) -> tuple[str, str, int]:
        before = agent.trace_id
        await asyncio.sleep(0.05)
        return before, agent.trace_id, agent.version

    async def main() -> list[tuple[str, str, int]]:
        return list(await asyncio.gather(*(twice(str(n)) for n in range(30))))

    found = asyncio.run(main())
    assert all(before == after for before, after, _ in found)
    assert len({before for before, _, _ in found}) == 30
    assert {one.id: one.version for one in scene.traces()} == {trace: version for trace, _, version in found}


def test_a_call_inside_a_call_is_a_step_of_it_and_one_of_another_agent_is_not(scene: Scene) -> None:
    agent, other = scene.agent, scene.another()

    @agent.entry
    async def inner(text: str) -> str:
        return agent.trace_id

    @other.entry
    async def beside(text: str) -> str:
        assert other.version == 1
        return f"{agent.trace_id} {other.trace_id}"

    @agent.entry
    async def outer(text: str) -> str:
        assert await inner("in") == agent.trace_id
        mine, theirs = (await beside("by")).split()
        assert mine == agent.trace_id != theirs
        return "done"

    asyncio.run(outer("out"))
    assert [one.input for one in scene.traces()] == ["out"]
    assert [one.input for one in scene.traces(other.name)] == ["by"]


def test_what_happens_inside_a_call_is_kept_as_steps_of_its_trace(scene: Scene) -> None:
    agent = scene.agent

    @agent.entry(session="session")
    async def inner(text: str, session: str = "") -> str:
        return await agent.ai("deeper")

    @agent.entry(session="session", external_id="order")
    async def outer(text: str, session: str, order: str) -> str:
        with agent.step("look up", input=order) as step:
            step.output = "found"
        with pytest.raises(ZeroDivisionError), agent.step("count"):
            _ = 1 // 0
        await asyncio.gather(agent.ai("one"), agent.ai("two"))
        return await inner(text)

    asyncio.run(outer("hi", session="s-1", order="4711"))
    trace = scene.trace()
    assert (trace.session, trace.external_id) == ("s-1", "4711")
    spans = scene.see(lambda tx: tx.spans.of_trace(trace.id.replace("-", "")))
    by_name = {one.name: one for one in spans}
    chat = f"chat {agent.name}"
    assert sorted(one.name for one in spans) == sorted(["look up", "count", chat, chat, chat, "inner"])
    assert (by_name["look up"].input, by_name["look up"].output, by_name["look up"].kind) == ("4711", "found", "tool")
    assert (by_name["count"].status, by_name["count"].message[:17]) == ("error", "ZeroDivisionError")
    (deep,) = [one for one in spans if one.input == "deeper"]
    assert deep.parent_id == by_name["inner"].span_id
    assert {one.version for one in spans} == {1}
    assert agent.sync.outcome(external_id="4711", success=True)
    assert [one.verdict for one in scene.outcomes(trace.id)] == ["success"]


def test_rules_apply_by_the_slices_that_a_call_names(scene: Scene) -> None:
    @scene.agent.entry(slices=("plan",))
    async def answers(text: str, plan: str = "") -> str:
        return scene.agent.prompt + (await scene.agent.ai(text))

    assert asyncio.run(answers("hi", plan="vip")).count("Be brief.") == 2
    assert "Be brief." not in asyncio.run(answers("hi"))
    assert [dict(one.slices) for one in scene.traces()] == [{"plan": "vip"}, {}]


@pytest.mark.parametrize("session", [" Zoë \n", "a\r\nx-surefoot-part-of: 12345678", "\ud800", "x" * 5000])
def test_a_session_by_any_name_has_one_version_inside_and_outside(scene: Scene, session: str) -> None:
    scene.rollout(50)
    agent = scene.agent

    @agent.entry(session="session")
    async def which(text: str, session: str) -> tuple[int, str]:
        await agent.memory.set("mine", text)
        return agent.version, await agent.ai(text)

    for _ in range(2):
        version, said = asyncio.run(which("hi", session=session))
        assert f"You are v{version}." in said
    first, second = scene.traces()
    assert (first.unit, first.version) == (second.unit, second.version)
    with agent.context(session=session):
        assert agent.sync.memory.get("mine") == "hi"
    assert agent.sync.memory.get("mine") is None


def test_threads_started_in_a_call_belong_to_it(scene: Scene) -> None:
    agent = scene.agent

    @agent.entry
    def spreads(text: str) -> str:
        with ThreadPoolExecutor(2) as pool:
            return pool.submit(
                copy_context().run, lambda: f"{agent.trace_id} {agent.sync.ai('from a thread')}"
            ).result()

    assert spreads("hi").startswith(agent.last_trace_id)
    assert len(scene.traces()) == 1


# The model -----------------------------------------------------------------------------------------------------------


def test_outside_of_calls_the_model_can_be_asked_and_leaves_a_trace(scene: Scene) -> None:
    said = asyncio.run(scene.agent.ai("hello"))
    assert said == "[Support.\n\nYou are v1.] hello"
    assert scene.trace().id == scene.agent.last_trace_id


def test_a_system_prompt_of_ones_own_takes_the_place_of_the_genome(scene: Scene) -> None:
    assert asyncio.run(scene.agent.ai("hi", system="Be a pirate.")) == "[Be a pirate.] hi"


def test_an_answer_by_a_schema_comes_as_its_object(scene: Scene) -> None:
    found = scene.agent.sync.ai("as json", schema=Verdict)
    assert found == Verdict(label="billing", sure=0.9)
    shape = {"type": "object", "required": ["label"], "properties": {"label": {"type": "string"}}}
    assert scene.agent.sync.ai("as json", schema=shape)["label"] == "billing"
    with pytest.raises(Invalid, match="does not fit the schema"):
        scene.agent.sync.ai("as json", schema={**shape, "required": ["reason"]})
    with pytest.raises(Invalid, match="the answer is no JSON"):
        scene.agent.sync.ai("as prose", schema=shape)


# Outcomes ------------------------------------------------------------------------------------------------------------


def test_an_outcome_is_kept_with_its_call_even_if_it_is_said_at_once(scene: Scene) -> None:
    agent = scene.agent

    @agent.entry
    def label(text: str) -> dict[str, str]:
        return {"label": "Billing"}

    label("one")
    assert agent.sync.outcome(agent.last_trace_id, expected="billing", comment="as usual")
    label("two")
    assert agent.sync.outcome(agent.last_trace_id, success=False, score=0.25)
    first, second = (scene.outcomes(one.id)[0] for one in scene.traces())
    assert (first.verdict, first.expected, first.feedback) == ("success", "billing", "as usual")
    assert (second.verdict, second.score) == ("failure", 0.25)


def test_an_outcome_that_makes_no_sense_is_told_to_whoever_said_it(scene: Scene) -> None:
    with pytest.raises(Invalid, match="of nothing"):
        scene.agent.sync.outcome(expected="x")
    with pytest.raises(NotFound, match="no trace"):
        scene.agent.sync.outcome("01a1fd94-1a63-72d2-9316-08b267b5f222", expected="x")
    assert scene.agent.health().refused >= 1


# Memory --------------------------------------------------------------------------------------------------------------


def test_values_are_set_found_appended_to_listed_searched_and_forgotten(scene: Scene) -> None:
    async def main() -> None:
        memory = scene.agent.memory
        assert await memory.get("k", default=[]) == []
        await memory.set("k", {"n": 1})
        assert await memory.get("k") == {"n": 1}
        await memory.append("failures", {"text": "the invoice is wrong"})
        await memory.append("failures", {"text": "the app crashed"})
        assert await memory.keys() == ["failures", "k"]
        assert await memory.keys("f*") == ["failures"]
        (nearest, *_) = await memory.search("invoice")
        assert nearest.value == {"text": "the invoice is wrong"}
        assert [one.action for one in await memory.changes()] == ["set", "set", "append"]
        assert await memory.delete("k")
        assert not await memory.delete("k")
        with pytest.raises(Invalid):
            await memory.set("bad*key", 1)
        await memory.set("text", "x")
        with pytest.raises(Conflict):
            await memory.append("text", "y")

    asyncio.run(main())


@pytest.mark.parametrize(
    "key", ["rules/billing", "/a", "a//b", "a/", "a/append", "a?b#c", "a%2Fb", "ü 漢", "…", "x" * 200]
)
def test_a_key_is_found_again_by_the_name_it_was_given(scene: Scene, key: str) -> None:
    memory = scene.agent.sync.memory
    assert memory.set(key, [1])
    assert memory.append(key, 2)
    assert memory.get(key) == [1, 2]
    assert memory.keys() == [key]
    assert [one.key for one in memory.changes()] == [key, key]
    assert memory.delete(key)
    assert memory.get(key, "gone") == "gone"


@pytest.mark.parametrize("key", ["", ".", "..", "a/../b", "../../agents", "a*", " a", "a\nb", "x" * 201, "\ud800"])
def test_a_key_that_could_not_be_found_again_is_refused_before_it_is_sent(scene: Scene, key: str) -> None:
    memory = scene.agent.sync.memory
    for deed in (memory.get, memory.delete, lambda key: memory.set(key, 1), lambda key: memory.append(key, 1)):
        with pytest.raises(Invalid, match="is not usable"):
            deed(key)
    assert scene.agent.health().waiting == 0


NESTED: Any = []
for _ in range(70):
    NESTED = [NESTED]
ENDLESS: Any = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, [10**400], float("nan"), float("inf"), b"x", object(), NESTED, ENDLESS, "x" * 70_000]
)
def test_a_value_that_would_not_come_back_the_same_is_refused(scene: Scene, value: Any) -> None:
    memory = scene.agent.sync.memory
    for deed in (memory.set, memory.append):
        with pytest.raises(Invalid):
            deed("k", value)
    assert memory.get("k", "nothing") == "nothing"


@pytest.mark.parametrize(
    "value", [2**63 - 1, -(2**63), 0.1, True, None, "漢 \x1b[1m", {"a": [{"b": None}]}, "x" * 65_000]
)
def test_a_value_comes_back_as_it_was(scene: Scene, value: Any) -> None:
    scene.agent.sync.memory.set("k", value)
    found = scene.agent.sync.memory.get("k", "nothing")
    assert found == value
    assert type(found) is type(value)


def test_a_list_is_whole_however_many_there_are(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.sdk.memory.PAGE", 3)
    memory = scene.agent.sync.memory
    names = [f"{kind}/{n:02}" for kind in ("rule", "über") for n in range(7)]
    for name in names:
        memory.set(name, name)
    assert memory.keys() == names
    assert memory.keys("rule*") == names[:7]
    assert memory.keys("*/03") == ["rule/03", "über/03"]
    assert memory.keys("nothing") == []
    assert memory.session("s-1").keys() == []


def test_a_value_with_a_time_to_live_is_gone_after_it(scene: Scene) -> None:
    scene.agent.sync.memory.set("short", 1, ttl_s=0.3)
    assert scene.agent.sync.memory.get("short") == 1
    soon(lambda: scene.agent.sync.memory.get("short", default="gone") == "gone", 3)


def test_fifty_writers_append_and_nothing_is_lost(scene: Scene) -> None:
    async def main() -> list[int]:
        memory = scene.agent.memory.agent
        await asyncio.gather(*(memory.append("log", n) for n in range(25)))
        return await memory.get("log")

    threads = [threading.Thread(target=scene.agent.sync.memory.agent.append, args=("log", n)) for n in range(25, 50)]
    for one in threads:
        one.start()
    asyncio.run(main())
    for one in threads:
        one.join()
    assert sorted(scene.agent.sync.memory.agent.get("log")) == list(range(50))


def test_siblings_do_not_see_each_other_and_what_is_the_agents_is_seen_by_all(scene: Scene) -> None:
    """The trap S1-09: a default write in one workflow is lost for another, such as the improver's."""
    agent = scene.agent

    @agent.entry
    async def fails(text: str) -> str:
        await agent.memory.append("failures", text)
        await agent.memory.agent.append("failures", text)
        return "done"

    async def main() -> tuple[Any, Any, Any]:
        with agent.context(workflow="w-1"):
            await fails("wrong")
            own = await agent.memory.find("failures")
        with agent.context(workflow="w-2"):
            improver = await agent.memory.find("failures")
        sibling = await agent.memory.workflow("w-2").find("failures")
        return own, improver, sibling

    own, improver, sibling = asyncio.run(main())
    assert (own.scope, own.owner) == ("workflow", "w-1")
    assert sibling is None, "a sibling's default write is not seen"
    assert (improver.scope, improver.owner, improver.value) == ("agent", agent.name, ["wrong"])


def test_scoped_memories_are_of_one_owner_alone(scene: Scene) -> None:
    memory = scene.agent.sync.memory
    memory.session("s-1").set("k", "session")
    memory.actor("ada").set("k", "actor")
    memory.everybody.set("k", "everybody")
    assert memory.session("s-1").get("k") == "session"
    assert memory.session("s-2").get("k") is None
    assert memory.get("k") == "everybody"
    with scene.agent.context(actor="ada", session="s-9"):
        assert memory.get("k") == "actor"
    assert scene.another().sync.memory.get("k") == "everybody"


def test_somebody_who_listens_is_told_of_changes_and_of_nothing_else(scene: Scene) -> None:
    agent, heard = scene.agent, []
    agent.sync.memory.set("rule.old", 0)
    watch = agent.memory.on_change("rule.*")(lambda change: heard.append((change.key, change.action)))
    try:
        agent.sync.memory.set("rule.new", 1)
        agent.sync.memory.set("else", 1)
        agent.sync.memory.delete("rule.new")
        soon(lambda: len(heard) >= 2)
    finally:
        watch.stop()
    assert heard == [("rule.new", "set"), ("rule.new", "delete")]


def test_a_listener_that_raises_goes_on_listening(scene: Scene) -> None:
    heard: list[str] = []

    @scene.agent.memory.on_change("*")
    async def watch(change: Any) -> None:
        heard.append(change.key)
        raise ValueError("mine")

    try:
        scene.agent.sync.memory.set("a", 1)
        soon(lambda: heard == ["a"])
        scene.agent.sync.memory.set("b", 1)
        soon(lambda: heard == ["a", "b"])
    finally:
        watch.stop()


# People --------------------------------------------------------------------------------------------------------------


def _decide(scene: Scene, name: str, word: Any, feedback: str = "", by: str = "rita") -> None:
    soon(lambda: scene.see(lambda tx: tx.pauses.find(scene.agent.name, name)))
    asyncio.run(decide_pause(scene.app.ports, scene.agent.name, name, word, by=by, feedback=feedback))


def test_a_decision_comes_with_its_feedback_and_asking_again_is_the_same_wait(scene: Scene) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(scene.agent.sync.pause, "promote-2.1.0", reason="ready?", url="https://example.org/pr")
        _decide(scene, "promote-2.1.0", "request_changes", "shorter, please")
        decision = waiting.result(10)
    assert (decision.decision, decision.feedback, decision.decided_by) == (
        "request_changes", "shorter, please", "rita")  # fmt: skip
    assert decision.changes_requested
    assert not decision.approved
    assert decision.raw["reason"] == "ready?"
    again = scene.agent.sync.pause("promote-2.1.0", timeout_s=5)
    assert again.feedback == "shorter, please"
    assert len(scene.see(lambda tx: tx.pauses.listed(agents=[scene.agent.name]))) == 1


def test_what_nobody_decides_expires_and_is_no_success(scene: Scene) -> None:
    decision = scene.agent.sync.pause("soon", expires_in_hours=0.5 / 3600)
    assert decision.decision == "expired"
    assert not decision.approved
    with pytest.raises(Conflict, match="is expired"):
        _decide(scene, "soon", "approved")
    assert asyncio.run(scene.agent.pause("soon")).expired, "asked again it is still the same wait"


def test_time_spent_waiting_for_people_is_not_the_calls(scene: Scene) -> None:
    @scene.agent.entry
    async def asks(text: str) -> str:
        return (await scene.agent.pause("slow")).decision

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(asyncio.run, asks("hi"))
        soon(lambda: scene.see(lambda tx: tx.pauses.find(scene.agent.name, "slow")))
        threading.Event().wait(1.0)
        _decide(scene, "slow", "approved")
        assert done.result(10) == "approved"
    trace = scene.trace()
    assert trace.latency_s < 0.9
    assert scene.see(lambda tx: tx.pauses.find(scene.agent.name, "slow")).execution == trace.id


def test_a_wait_that_takes_too_long_for_the_program_goes_on_without_it(scene: Scene) -> None:
    with pytest.raises(TimeoutError):
        scene.agent.sync.pause("later", timeout_s=0.5)
    _decide(scene, "later", "approved")
    assert scene.agent.sync.pause("later").approved


# What a caller does wrong --------------------------------------------------------------------------------------------


def test_an_agent_that_is_not_there_is_named_with_what_to_do(scene: Scene) -> None:
    ghost = scene.named("ghost")

    @ghost.entry
    def never(text: str) -> str:
        raise AssertionError("nothing serves it")

    with pytest.raises(NotFound, match="there is no agent 'ghost'"):
        never("hi")
    with pytest.raises(NotFound):
        asyncio.run(ghost.pause("x"))


def test_outside_of_calls_it_is_the_live_version_whatever_is_being_tried(scene: Scene) -> None:
    rollout, agent = scene.rollout(50), scene.agent
    assert {agent.version for _ in range(12)} == {1}
    assert "You are v1." in agent.prompt
    with agent.context(session="s-1"):
        mine = {agent.version for _ in range(5)}
    assert len(mine) == 1
    with agent.context(actor="ada"):
        assert len({agent.version for _ in range(5)}) == 1
    with scene.app.store.engine.connect() as connection:
        query = "SELECT count(*) FROM pins WHERE rollout = ?"
        assert connection.exec_driver_sql(query, (rollout.id,)).scalar() == 2, "nobody in particular draws no lot"


def test_the_trace_of_a_call_is_known_inside_it_alone(scene: Scene) -> None:
    with pytest.raises(Invalid, match="is going on here"):
        _ = scene.agent.trace_id
    assert scene.agent.last_trace_id == ""
    assert scene.agent.version == 1, "outside of calls it is the version that would serve now"
