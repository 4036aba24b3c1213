"""An improver of one's own talks to a model, with tools and a schema, and never beyond its limits."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sdk_house import create, settings_for

from surefoot.app import App, build, misfit
from surefoot.config import ModelSettings
from surefoot.core.budget import Budget
from surefoot.core.errors import BudgetExhausted, Conflict, Invalid, Unavailable
from surefoot.core.proposal import Cost
from surefoot.engine.converse import Talk, turn
from surefoot.engine.evaluate import spent
from surefoot.ports.turn import Setback, Turned
from surefoot.sdk.agent import Agent
from surefoot.sdk.connect import agent_at
from surefoot.sdk.harness import TurnTaken
from surefoot.sdk.house import closed


class Revision(BaseModel):
    revised_system_prompt: str
    rationale: str


GOOD = {"revised_system_prompt": "Be brief.", "rationale": "it talks too much"}


class Scripted(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that gives what the test wrote, and keeps what it was asked."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server.asked.append(body)
        step = server.script.pop(0) if server.script else GOOD
        if isinstance(step, int):
            self.send_response(step)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        message: dict[str, Any] = {"role": "assistant", "content": json.dumps(step) if isinstance(step, dict) else step}
        if isinstance(step, list):
            calls = [{"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
                     for n, (name, given) in enumerate(step)]  # fmt: skip
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        usage = {"prompt_tokens": 1000, "completion_tokens": 100}
        answer = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.asked, server.script = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def bounded(app: App, budget: Budget) -> None:
    """Give the agent this budget a day."""
    from dataclasses import replace

    def work(tx: Any) -> None:
        agent = tx.agents.get("support")
        tx.agents.swap(replace(agent, habits=replace(agent.habits, day_budget=budget)))

    app.store.write_now(work)


@pytest.fixture(scope="module")
def house(endpoint: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, Agent]]:
    folder: Path = tmp_path_factory.mktemp("harness")
    url = f"http://127.0.0.1:{endpoint.server_address[1]}/v1"
    models = {
        "writer": ModelSettings(model="w-1", base_url=url, price_in=10.0, price_out=20.0, max_tokens=500),
        "secret": ModelSettings(model="s-1", base_url="http://models.example.org/v1"),
    }
    chosen = settings_for(folder / "store.db", models=models, improver_model="writer")
    app = build(chosen, environ={})
    create(app, "support", model="local-lexical")
    bounded(app, Budget())  # what is tested here are the limits of a conversation
    agent = agent_at(
        "support", url=None, token=None, store=chosen.store, environ={},
        opens=lambda _: build(chosen, environ={}).inside(), misfit=misfit,
    )  # fmt: skip
    yield app, agent
    closed(agent._house)
    app.close()


@pytest.fixture
def agent(house: tuple[App, Agent], endpoint: Any) -> Agent:
    endpoint.asked.clear()
    endpoint.script.clear()
    return house[1]


def test_an_answer_comes_parsed_with_what_it_took(agent: Agent, endpoint: Any) -> None:
    found = asyncio.run(agent.harness("Improve this.", Revision, system="You improve prompts."))
    assert found.ok
    assert found.parsed == Revision(**GOOD)
    assert (found.turns, found.tokens, found.cost_usd) == (1, 1100, pytest.approx(0.012))
    assert found.duration_s > 0
    (asked,) = endpoint.asked
    assert asked["model"] == "w-1"
    assert [one["role"] for one in asked["messages"]] == ["system", "user"]
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["revised_system_prompt", "rationale"]
    assert asked["max_tokens"] > 0


def test_tools_are_called_and_nothing_else_is(agent: Agent, endpoint: Any) -> None:
    read: list[str] = []

    def failures(limit: int) -> list[str]:
        """Give the last failures."""
        read.append(f"failures {limit}")
        return ["too long"] * limit

    async def look(name: str) -> str:
        raise LookupError(name)

    endpoint.script += [[("failures", {"limit": 2}), ("look", {"name": "x"})],
                        [("rm", {}), ("failures", {"limit": "many"})], GOOD]  # fmt: skip
    found = agent.sync.harness("Improve this.", Revision, tools=[failures, look])
    assert found.ok
    assert (read, found.turns) == (["failures 2"], 3)
    said = [one["content"] for one in endpoint.asked[-1]["messages"] if one["role"] == "tool"]
    assert said[0] == '["too long", "too long"]'
    assert said[1] == "error: LookupError: x"
    assert "there is no tool 'rm'" in said[2]
    assert said[3].startswith("error: ValidationError")
    tool = endpoint.asked[0]["tools"][0]["function"]
    assert (tool["name"], tool["description"]) == ("failures", "Give the last failures.")
    assert tool["parameters"]["properties"]["limit"]["type"] == "integer"


def test_an_answer_that_does_not_fit_is_sent_back_twice_and_no_more(agent: Agent, endpoint: Any) -> None:
    endpoint.script += ["Sure! I would", {"rationale": "x"}, GOOD]
    assert agent.sync.harness("Improve this.", Revision).parsed == Revision(**GOOD)
    said = [one["content"] for one in endpoint.asked[-1]["messages"] if one["role"] == "user"]
    assert "revised_system_prompt: Field required" in said[-1]
    endpoint.script += [{"rationale": "x"}] * 4
    found = agent.sync.harness("Improve this.", Revision)
    assert (found.stopped, found.parsed, found.turns) == ("schema", None, 3)
    endpoint.script.clear()


def test_what_may_work_soon_is_asked_again_three_times(agent: Agent, endpoint: Any) -> None:
    endpoint.script += [503, 429, GOOD]
    found = agent.sync.harness("Improve this.", Revision)
    assert (found.ok, found.turns, found.cost_usd) == (True, 1, pytest.approx(0.012))
    endpoint.script += [400]
    with pytest.raises(Invalid, match="refuses the request"):
        agent.sync.harness("Improve this.", Revision)


def test_the_turns_are_counted_where_the_limits_are_kept(agent: Agent, endpoint: Any) -> None:
    def again() -> str:
        return "again"

    endpoint.script += [[("again", {})]] * 10
    found = agent.sync.harness("Loop.", Revision, tools=[again], max_turns=4)
    assert (found.stopped, found.turns, len(endpoint.asked)) == ("turns", 4, 4)
    endpoint.script.clear()


def test_dollars_end_it_before_they_are_spent(agent: Agent, endpoint: Any) -> None:
    def again() -> str:
        return "again"

    endpoint.script += [[("again", {})]] * 20
    found = agent.sync.harness("Loop.", Revision, tools=[again], max_turns=20, max_budget_usd=0.14, max_tokens=500)
    assert found.stopped == "budget"
    assert 0.1 < found.cost_usd <= 0.14
    assert len(endpoint.asked) == found.turns
    endpoint.asked.clear()
    none = agent.sync.harness("Loop.", Revision, max_budget_usd=0.0)
    assert (none.stopped, none.turns, endpoint.asked) == ("budget", 0, [])
    endpoint.script.clear()


def test_a_price_that_is_unknown_cannot_be_held_to_a_budget(agent: Agent, endpoint: Any) -> None:
    with pytest.raises(Invalid, match="the price of model 's-1'"):
        agent.sync.harness("Improve this.", Revision, model="secret")
    assert endpoint.asked == []


def test_it_ends_when_its_time_is_over(agent: Agent, endpoint: Any) -> None:
    async def dawdle() -> str:
        await asyncio.sleep(30)
        return ""

    endpoint.script += [[("dawdle", {})]]
    assert agent.sync.harness("Wait.", Revision, tools=[dawdle], timeout_s=0.8).stopped == "time"


# Turn by turn --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [True, False])
def test_each_turn_is_told_when_it_was_taken(agent: Agent, endpoint: Any, plain: bool) -> None:
    def failures(limit: int) -> list[str]:
        return ["too long"] * limit

    told: list[TurnTaken] = []

    def listen(turn: TurnTaken) -> Any:
        assert len(endpoint.asked) == turn.number + 1, "before the next one is asked for"
        told.append(turn)
        return None if plain else asyncio.sleep(0)

    endpoint.script += [[("failures", {"limit": 1}), ("rm", {})], {"rationale": "x"}, GOOD]
    found = agent.sync.harness("Improve this.", Revision, tools=[failures], on_turn=listen)
    assert found.ok
    assert [one.number for one in told] == [0, 1, 2]
    first, second, third = told
    assert [(one.name, one.arguments) for one in first.called] == [("failures", '{"limit": 1}'), ("rm", "{}")]
    assert first.called[0].result == '["too long"]'
    assert "there is no tool 'rm'" in first.called[1].result
    assert "revised_system_prompt: Field required" in second.problem
    assert (third.problem, third.text, third.called) == ("", found.text, ())
    assert [one.cost_usd for one in told] == pytest.approx([0.012, 0.024, 0.036])
    assert third.tokens == found.tokens == 3300


@pytest.mark.parametrize("problem", [KeyError("enough"), TimeoutError("mine"), BudgetExhausted("of another kind")])
def test_what_the_listener_raises_ends_it_and_is_raised(agent: Agent, endpoint: Any, problem: Exception) -> None:
    def again() -> str:
        return "again"

    def listen(turn: TurnTaken) -> None:
        if turn.number == 1:
            raise problem

    endpoint.script += [[("again", {})]] * 5
    with pytest.raises(type(problem)) as raised:
        agent.sync.harness("Loop.", Revision, tools=[again], on_turn=listen)
    assert raised.value is problem
    assert len(endpoint.asked) == 2
    endpoint.script.clear()


def test_a_listener_gives_no_more_time_turns_or_dollars(agent: Agent, endpoint: Any) -> None:
    def again() -> str:
        return "again"

    told: list[TurnTaken] = []
    endpoint.script += [[("again", {})]] * 20
    found = agent.sync.harness("Loop.", Revision, tools=[again], max_turns=3, on_turn=told.append)
    assert (found.stopped, len(told), len(endpoint.asked)) == ("turns", 3, 3)

    async def dawdle(turn: TurnTaken) -> None:
        await asyncio.sleep(30)

    found = agent.sync.harness("Loop.", Revision, tools=[again], timeout_s=0.8, on_turn=dawdle)
    assert (found.stopped, found.turns) == ("time", 1)
    endpoint.script.clear()


# The limits themselves -----------------------------------------------------------------------------------------------


class Fickle:
    """A model with worst cases and true costs, and setbacks, as the example says."""

    name = "fickle"

    def __init__(self, worst_usd: float, steps: list[Any]) -> None:
        self.worst_usd, self.steps, self.paid = worst_usd, list(steps), 0.0

    def price(self, body: Any) -> Cost:
        return Cost(calls=1, tokens=10, usd=self.worst_usd)

    async def take(self, body: Any) -> Turned:
        step = self.steps.pop(0) if self.steps else 1.0
        if step in ("again", "billed"):
            self.paid += self.worst_usd if step == "billed" else 0.0
            raise Setback("no", again=step == "again", billed=step == "billed")
        self.paid += self.worst_usd * step
        return Turned(message={"content": "x"}, finish="stop", cost=Cost(calls=1, tokens=5, usd=self.worst_usd * step))


async def _at_once(_: float) -> None: ...


STEPS = st.lists(st.one_of(st.just("again"), st.just("billed"), st.floats(min_value=0, max_value=1)), max_size=12)


@settings(max_examples=25)
@given(worst=st.floats(min_value=0.001, max_value=0.4), steps=STEPS, usd=st.floats(min_value=0, max_value=1),
       calls=st.integers(min_value=1, max_value=6))  # fmt: skip
def test_no_order_of_answers_and_setbacks_exceeds_a_limit(house, worst, steps, usd, calls) -> None:
    from dataclasses import replace

    app, model, taken = house[0], Fickle(worst, steps), 0
    ports = replace(app.ports, turns_named=lambda _: model)
    talk = Talk(agent="support", id=ports.new_id(), model="", limits=Budget(calls=calls, usd=usd))

    async def main() -> None:
        nonlocal taken
        for number in range(10):
            try:
                await turn(ports, talk, number, {"messages": []}, sleep=_at_once, rng=lambda: 0.5)
                taken += 1
            except BudgetExhausted:
                return
            except Unavailable:
                continue

    asyncio.run(main())
    assert model.paid <= usd + 1e-9
    assert taken <= calls


def test_no_number_of_conversations_exceeds_the_day_of_their_agent(house: Any) -> None:
    """The limits of a conversation come from whoever begins it, and each begins at zero."""
    from dataclasses import replace

    app, model = house[0], Fickle(0.1, [])
    ports = replace(app.ports, turns_named=lambda _: model)

    async def one(number: int) -> bool:
        talk = Talk(agent="support", id=ports.new_id(), model="", limits=Budget(calls=1000, usd=1000.0))
        try:
            await turn(ports, talk, number % 2, {"messages": []}, sleep=_at_once)
        except BudgetExhausted:
            return False
        return True

    async def main() -> list[bool]:
        return [await one(n) for n in range(3)] + await asyncio.gather(*(one(n) for n in range(9)))

    before = asyncio.run(spent(ports, "support"))[1].committed.usd
    bounded(app, Budget(usd=before + 0.55))
    try:
        took = asyncio.run(main())
    finally:
        bounded(app, Budget())
    assert (sum(took), round(model.paid, 6)) == (5, 0.5)
    after = asyncio.run(spent(ports, "support"))[1]
    assert (round(after.settled.usd - before, 6), after.reserved) == (0.5, ()), (
        "settled there too, nothing is left over"
    )


def test_turns_of_one_conversation_at_once_are_each_held_to_its_limits(house: Any) -> None:
    """Whatever number they call themselves."""
    from dataclasses import replace

    model = Fickle(0.1, [])
    ports = replace(house[0].ports, turns_named=lambda _: model)
    talk = Talk(agent="support", id=ports.new_id(), model="", limits=Budget(calls=2, usd=1.0))

    async def main() -> list[Any]:
        same = (turn(ports, talk, 0, {"messages": []}, sleep=_at_once) for _ in range(6))
        return await asyncio.gather(*same, return_exceptions=True)

    refused = [one for one in asyncio.run(main()) if isinstance(one, BudgetExhausted)]
    assert (len(refused), round(model.paid, 6)) == (4, 0.2)


def test_a_conversation_keeps_the_limits_it_began_with(house: Any) -> None:
    from dataclasses import replace

    ports = replace(house[0].ports, turns_named=lambda _: Fickle(0.1, []))
    talk = Talk(agent="support", id=ports.new_id(), model="", limits=Budget(calls=1, usd=1.0))
    asyncio.run(turn(ports, talk, 0, {"messages": []}))
    with pytest.raises(BudgetExhausted):
        asyncio.run(turn(ports, talk, 1, {"messages": []}))
    with pytest.raises(Conflict, match="were set by its first turn"):
        asyncio.run(turn(ports, replace(talk, limits=Budget(calls=9, usd=9.0)), 1, {"messages": []}))
