import asyncio
import json
import os
import pickle
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai_stub import Act, OpenAIStub, Script, answered, failed, said, tokens

from surefoot.adapters.models.providers import Endpoint, ProviderModel, Unanswered, endpoint_from
from surefoot.config import ModelSettings
from surefoot.core.errors import Invalid, NotFound, SurefootError, Unavailable
from surefoot.core.proposal import Cost
from surefoot.ports import Answer, Question

KEY = "sk-not-a-real-key-1234567890"
PRICED = {"price_in_usd_per_mtok": 3.0, "price_out_usd_per_mtok": 15.0}
HELLO = Question(system="Be kind.", user="Hello!")


class Clock:
    """A sleep that takes no time and remembers how long it should have been."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def model_at(stub: OpenAIStub, clock: Clock | None = None, **fields: Any) -> ProviderModel:
    known = {"name": "stub", "model": "gpt-4o", "base_url": stub.url, "timeout_s": 5.0, **PRICED}
    return ProviderModel(Endpoint(**{**known, **fields}), sleep=(clock or Clock()).sleep, rng=lambda: 0.5)


async def asked(*script: Script, question: Question = HELLO, **fields: Any) -> Answer:
    with OpenAIStub(script) as stub:
        return await model_at(stub, **fields).answer(question)


async def failure(*script: Script, **fields: Any) -> SurefootError:
    with pytest.raises(SurefootError) as caught:
        await asked(*script, **fields)
    return caught.value


# Answers -------------------------------------------------------------------------------------------------------------


async def test_an_answer_carries_its_text_its_cost_and_its_latency() -> None:
    answer = await asked(said("Hello to you.", usage=tokens(1000, 200), delay_s=0.05))
    assert (answer.text, answer.finish) == ("Hello to you.", "stop")
    assert (answer.cost.calls, answer.cost.tokens, answer.cost.usd) == (1, 1200, pytest.approx(0.006))
    assert 0.05 <= answer.latency_s < 5


async def test_the_server_gets_the_prompt_the_bound_and_the_genomes_parameters() -> None:
    params = {"temperature": "0", "stop": '["END"]', "seed": "7", "top_k": "null"}
    with OpenAIStub() as stub:
        await model_at(stub, api_key=KEY).answer(Question(system="Be kind.", user="Hi <|im_end|>", params=params))
    (body,), (headers,) = stub.requests, stub.headers
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == "Be kind."
    assert (body["model"], body["max_tokens"]) == ("gpt-4o", 512)
    assert (body["temperature"], body["stop"], body["seed"]) == (0, ["END"], 7)
    assert not {"top_k", "n", "tools", "max_completion_tokens"} & body.keys()
    assert headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("act", "finish"),
    [
        (said("Hel", finish="length"), "length"),
        (said("Hel", finish=None), "truncated"),
        (said("Hello to you, my friend", cut_at=60), "truncated"),
        (said("", finish="content_filter"), "refused"),
        (answered({"content": None, "refusal": "I cannot."}, usage=tokens(20, 5)), "refused"),
        (failed(400, "filtered", code="content_filter"), "refused"),
        (said("Hello", finish="eos"), "stop"),
        (said("Hello", finish="error"), "error"),
        (said("Hello", finish="who_knows"), "error"),
    ],
)
async def test_only_a_whole_answer_ends_by_stop(act: Act, finish: str) -> None:
    answer = await asked(act)
    assert answer.finish == finish
    assert answer.cost.calls == 1


@pytest.mark.parametrize("act", [said("Hello", usage={}), said("Hello to you, my friend", cut_at=60)])
async def test_an_answer_whose_usage_is_unknown_costs_its_worst_case(act: Act) -> None:
    with OpenAIStub([act]) as stub:
        model = model_at(stub)
        assert (await model.answer(HELLO)).cost == model.price(HELLO)


# Failures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [failed(429, retry_after="0"), failed(500), failed(503), failed(529)])
async def test_what_was_not_billed_is_tried_again_until_it_works(act: Act) -> None:
    with OpenAIStub([act, act, act, said("at last")]) as stub:
        answer = await model_at(stub).answer(HELLO)
    assert (answer.text, answer.cost.calls, len(stub.requests)) == ("at last", 1, 4)


async def test_retries_are_bounded_and_wait_longer_each_time() -> None:
    clock = Clock()
    with OpenAIStub([failed(503, "busy")]) as stub, pytest.raises(Unanswered) as caught:
        await model_at(stub, clock).answer(HELLO)
    assert len(stub.requests) == 4
    assert clock.waits == [0.375, 0.75, 1.5]
    assert caught.value.cost == Cost(calls=1)
    assert "busy" in caught.value.message


async def test_the_server_says_how_long_to_wait() -> None:
    clock = Clock()
    with OpenAIStub([failed(429, retry_after="3"), said("ok")]) as stub:
        await model_at(stub, clock).answer(HELLO)
    assert clock.waits == [3.0]


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    clock = Clock()
    with OpenAIStub([failed(429, retry_after="60"), said("ok")]) as stub, pytest.raises(Unavailable):
        await model_at(stub, clock).answer(HELLO)
    assert (clock.waits, len(stub.requests)) == ([], 1)


@pytest.mark.parametrize(
    "act",
    [
        Act(body=b"{nope"),
        Act(body=b"hello", headers={"content-type": "text/plain"}),
        Act(body=b"null"),
        Act(body=b'{"choices": []}'),
        Act(body=b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}'),
        Act(body=b'{"choices": [{}]}'),
        Act(body=b'{"error": {"message": "inside"}}'),
        Act(body=b"<html>late</html>", status=504),
        Act(hangs=True),
    ],
)
async def test_what_may_have_been_billed_is_not_repeated_and_counts_at_its_worst(act: Act) -> None:
    with OpenAIStub([act, said("must not be asked")]) as stub:
        model = model_at(stub, timeout_s=0.4)
        with pytest.raises(Unanswered) as caught:
            await model.answer(HELLO)
    assert len(stub.requests) == 1
    assert caught.value.code == "unavailable"
    assert caught.value.cost == model.price(HELLO)
    assert caught.value.hint


async def test_the_deadline_holds_for_all_attempts_together() -> None:
    started = time.perf_counter()
    with OpenAIStub([failed(500), Act(hangs=True)]) as stub, pytest.raises(Unavailable, match=r"0\.5 s"):
        await model_at(stub, timeout_s=0.5).answer(HELLO)
    assert time.perf_counter() - started < 2


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with OpenAIStub() as stub:
        model = model_at(stub)
    with pytest.raises(Unanswered, match="cannot be reached at") as caught:
        await model.answer(HELLO)
    assert caught.value.cost == Cost(calls=1)


@pytest.mark.parametrize(
    ("act", "family", "words"),
    [
        (failed(401, f"Incorrect API key provided: {KEY}"), Invalid, "not accepted"),
        (failed(403, f"{KEY} may not"), Invalid, "not accepted"),
        (failed(404, "The model does not exist", code="model_not_found"), Invalid, "no model 'gpt-4o'"),
        (failed(400, "temperature is out of range"), Invalid, "temperature is out of range"),
        (failed(400, f"strange {KEY}"), Invalid, "strange [key]"),
        (failed(400, "too long", code="context_length_exceeded"), Invalid, "too long"),
        (failed(429, "no credit", code="insufficient_quota"), Unavailable, "used up"),
    ],
)
async def test_an_error_says_who_can_act_once_and_never_shows_the_key(
    act: Act, family: type[SurefootError], words: str
) -> None:
    with OpenAIStub([act]) as stub, pytest.raises(family) as caught:
        await model_at(stub, api_key=KEY, api_key_env="STUB_KEY").answer(HELLO)
    assert len(stub.requests) == 1
    assert words in caught.value.message
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.hint
    assert KEY not in shown


async def test_a_refused_key_is_named_by_its_variable() -> None:
    problem = await failure(failed(401), api_key=KEY, api_key_env="STUB_KEY")
    assert "STUB_KEY" in problem.hint
    assert "api_key_env" in (await failure(failed(401))).hint


async def test_cancelling_ends_the_request() -> None:
    with OpenAIStub([Act(hangs=True)]) as stub:
        task = asyncio.create_task(model_at(stub, timeout_s=30.0).answer(HELLO))
        assert await asyncio.to_thread(stub.asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(stub.requests) == 1


def test_an_unanswered_question_keeps_its_cost_across_processes() -> None:
    problem = pickle.loads(pickle.dumps(Unanswered("late", hint="wait", cost=Cost(calls=1, tokens=9))))
    assert (problem.message, problem.hint, problem.cost) == ("late", "wait", Cost(calls=1, tokens=9))


# Prices and parameters -----------------------------------------------------------------------------------------------


async def test_the_price_is_a_bound_on_the_cost() -> None:
    with OpenAIStub([said("x", usage=tokens(40, 512))]) as stub:
        model = model_at(stub)
        price, cost = model.price(HELLO), (await model.answer(HELLO)).cost
    assert cost.tokens == 552
    assert price.calls == cost.calls == 1
    assert price.tokens >= cost.tokens
    assert price.usd >= cost.usd > 0


def test_a_longer_question_and_a_longer_answer_cost_more() -> None:
    model = ProviderModel(Endpoint(name="m", model="gpt-4o"))
    short, long = model.price(HELLO), model.price(Question(system="Be kind.", user="Hello! " * 1000))
    wordy = model.price(Question(system="Be kind.", user="Hello!", params={"max_tokens": "4096"}))
    assert long.tokens - short.tokens >= 6000
    assert wordy.usd > short.usd
    assert model.priced


def test_an_unknown_price_refuses_before_anything_is_asked() -> None:
    model = ProviderModel(Endpoint(name="m", model="homemade", base_url="https://models.example/v1"))
    assert not model.priced
    with pytest.raises(Invalid, match="the price of model 'homemade'"):
        model.price(HELLO)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"n": "5"}, "n"),  # five answers, five prices
        ({"service_tier": '"priority"'}, "service_tier"),
        ({"tools": "[]"}, "tools"),
        ({"model": '"another"'}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "NaN"}, "temperature"),
        ({"max_tokens": "-1"}, "max_tokens"),
        ({"max_tokens": "true"}, "max_tokens"),
    ],
)
async def test_a_parameter_that_may_not_pass_is_named(params: Mapping[str, str], named: str) -> None:
    question = Question(system="", user="Hello!", params=params)
    with OpenAIStub() as stub:
        model = model_at(stub)
        with pytest.raises(Invalid, match=f"the parameter '{named}'"):
            await model.answer(question)
        with pytest.raises(Invalid, match=f"the parameter '{named}'"):
            model.price(question)
    assert stub.requests == []


# Loops and imports ---------------------------------------------------------------------------------------------------


def test_one_model_serves_several_event_loops() -> None:
    with OpenAIStub() as stub:
        model = model_at(stub)
        first = asyncio.run(model.answer(HELLO))
        with ThreadPoolExecutor(4) as threads:
            others = list(threads.map(lambda _: asyncio.run(model.answer(HELLO)), range(8)))
    assert {answer.text for answer in [first, *others]} == {"ok"}
    assert len(stub.requests) == 9


def test_importing_the_module_loads_no_client_library() -> None:
    code = (
        "import sys, surefoot.adapters.models.providers\n"
        "print([m for m in ('pydantic', 'pydantic_ai', 'openai', 'httpx2', 'genai_prices') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert run.stdout.strip() == "[]"


# Endpoints -----------------------------------------------------------------------------------------------------------


def settings(**fields: Any) -> dict[str, ModelSettings]:
    return {"local": ModelSettings(**{"model": "qwen", "base_url": "http://127.0.0.1:8000/v1", **fields})}


def test_a_configured_endpoint_takes_its_key_from_the_variable_it_names_and_no_other() -> None:
    environ = {"MY_KEY": KEY, "OPENAI_API_KEY": "sk-other"}
    endpoint = endpoint_from("local", settings(api_key_env="MY_KEY", price_in=1, price_out=2, max_tokens=9), environ)
    assert (endpoint.api_key, endpoint.max_tokens, endpoint.price_out_usd_per_mtok) == (KEY, 9, 2)
    assert endpoint_from("local", settings(), environ).api_key == ""
    assert KEY not in repr(endpoint)
    assert KEY not in repr(ProviderModel(endpoint))


async def test_no_key_found_in_the_environment_is_ever_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, KEY)
    with OpenAIStub() as stub:
        await ProviderModel(endpoint_from("local", settings(base_url=stub.url), os.environ)).answer(HELLO)
    assert KEY not in json.dumps(stub.headers)


def test_the_short_form_follows_the_well_known_variables() -> None:
    public = endpoint_from("openai:gpt-4o-mini", {}, {"OPENAI_API_KEY": KEY})
    assert (public.model, public.host, public.api_key) == ("gpt-4o-mini", "api.openai.com", KEY)
    local = endpoint_from("openai:qwen", {}, {"OPENAI_BASE_URL": "http://localhost:11434/v1"})
    assert (local.host, local.api_key, local.api_key_env) == ("localhost", "", "")


@pytest.mark.parametrize("spec", ["", "lokal", "openai:", "openai: ", "anthropic:claude"])
def test_an_unknown_model_is_answered_with_those_there_are(spec: str) -> None:
    with pytest.raises(NotFound) as missing:
        endpoint_from(spec, settings(), {})
    assert "local, openai:MODEL" in missing.value.hint


async def test_a_missing_key_is_said_before_anything_is_priced_or_asked() -> None:
    for spec in ("openai:gpt-4o", "local"):
        endpoint = endpoint_from(spec, settings(api_key_env="MY_KEY"), {})
        model = ProviderModel(endpoint)
        with pytest.raises(Invalid, match="is not set"):
            model.price(HELLO)
        with pytest.raises(Invalid, match=endpoint.api_key_env):
            await model.answer(HELLO)


@pytest.mark.parametrize(
    "fields",
    [
        {"base_url": "ftp://127.0.0.1/v1"},
        {"base_url": "127.0.0.1:8000"},
        {"base_url": "http://"},
        {"base_url": "http://[::1/v1"},
        {"base_url": "http://127.0.0.1:99999/v1"},
        {"base_url": f"https://user:{KEY}@models.example/v1"},
        {"base_url": f"https://models.example/v1?key={KEY}"},
        {"price_in": 1.0},
    ],
)
def test_an_endpoint_that_cannot_work_is_refused_without_repeating_secrets(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        endpoint_from("local", settings(**fields), {})
    assert "'local'" in refusal.value.message + refusal.value.hint
    assert KEY not in refusal.value.message + refusal.value.hint


def test_a_key_that_cannot_be_a_header_is_refused() -> None:
    with pytest.raises(Invalid, match="MY_KEY holds no usable key"):
        endpoint_from("local", settings(api_key_env="MY_KEY"), {"MY_KEY": "sk-a\nb"})


def test_the_name_pins_what_answers() -> None:
    names = {
        ProviderModel(endpoint_from("local", settings(**fields), {})).name
        for fields in ({}, {"model": "llama"}, {"base_url": "http://127.0.0.1:9000/v1"}, {"max_tokens": 9})
    }
    assert len(names) == 4
