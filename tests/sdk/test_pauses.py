"""Pauses by HTTP and on the command line: who may ask, who may decide, and that people are told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sdk_house import REVIEWER, SECRET, TOKEN, VIEWER, Served, create, opened, settings_for

from surefoot.app import App
from surefoot.cli import main
from surefoot.core.execution import Execution, overdue
from surefoot.core.signature import sign
from surefoot.core.token import EVERY_AGENT
from surefoot.engine.dispatch import Dispatching
from surefoot.engine.notify import listed
from surefoot.engine.pause import decide_pause, pause, pause_named

PAUSES = "/api/v1/agents/support/pauses"
HOOK = "/api/v1/webhooks/approval-response"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, str]]:
    folder = tmp_path_factory.mktemp("pauses")
    app = opened(settings_for(folder / "store.db"))
    create(app, "support")
    create(app, "other")
    gateway = app.gateway(behind=app.api(loopback=True, environ={"SUREFOOT_APPROVAL_SECRET": SECRET}))
    served = Served(gateway)
    yield app, served.address
    served.end(gateway.aclose)
    app.close()


@pytest.fixture
def http(desk: tuple[App, str]) -> Iterator[Callable[..., httpx2.Response]]:
    with httpx2.Client(base_url=desk[1], trust_env=False, timeout=40) as client:

        def ask(method: str, path: str, body: Any = None, *, token: str = TOKEN, **more: Any) -> httpx2.Response:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            return client.request(method, path, json=body, headers=headers | more.pop("headers", {}), **more)

        yield ask


def test_the_whole_way_by_http(http: Any) -> None:
    asked = http("POST", PAUSES, {"name": "p-1", "reason": "ready?", "url": "https://example.org/pr/1"}).json()
    assert (asked["state"], asked["decision"], asked["requested_by"]) == ("pending", None, "prog")
    later = http("POST", PAUSES, {"name": "p-1", "expires_in_hours": 1}).json()
    assert later == asked, "asked again it is the same wait, with its own end"
    assert [one["name"] for one in http("GET", "/api/v1/pauses?agent=support", token=REVIEWER).json()["pauses"]] == [
        "p-1"
    ]
    body = {"decision": "request_changes", "feedback": "shorter", "response": {"lines": 3}}
    done = http("POST", f"{PAUSES}/p-1/decision", body, token=REVIEWER).json()
    heard = http("GET", f"{PAUSES}/p-1").json()
    assert heard == done
    assert (heard["decision"], heard["feedback"], heard["response"]) == ("request_changes", "shorter", {"lines": 3})
    assert heard["decided_by"] == "rita"


def test_a_wait_is_answered_as_soon_as_it_is_decided(http: Any) -> None:
    http("POST", PAUSES, {"name": "p-2"})
    began, heard = time.monotonic(), []
    waiting = threading.Thread(target=lambda: heard.append(http("GET", f"{PAUSES}/p-2?wait_s=20").json()))
    waiting.start()
    time.sleep(0.4)
    assert not heard
    http("POST", f"{PAUSES}/p-2/decision", {"decision": "approved"}, token=REVIEWER)
    waiting.join(10)
    assert heard[0]["decision"] == "approved"
    assert time.monotonic() - began < 5


def test_nobody_decides_who_may_not(http: Any) -> None:
    http("POST", PAUSES, {"name": "p-3"})
    yes = {"decision": "approved"}
    assert http("POST", f"{PAUSES}/p-3/decision", yes, token="").status_code == 401
    assert http("POST", f"{PAUSES}/p-3/decision", yes, token="sf_guessed").status_code == 401
    assert http("POST", f"{PAUSES}/p-3/decision", yes).status_code == 403, "a program decides nothing"
    assert http("POST", f"{PAUSES}/p-3/decision", yes, token=VIEWER).status_code == 403
    assert http("POST", PAUSES, {"name": "mine"}, token=REVIEWER).status_code == 200
    own = http("POST", f"{PAUSES}/mine/decision", yes, token=REVIEWER)
    assert (own.status_code, own.json()["code"]) == (403, "forbidden"), "who asks cannot decide, also an admin"
    assert http("GET", f"{PAUSES}/p-3").json()["state"] == "pending"
    for path in ("/api/v1/agents/ghost/pauses/p-3", f"{PAUSES}/ghost", "/api/v1/agents/other/pauses/p-3"):
        assert http("GET", path).status_code == 404


@pytest.mark.parametrize("body", [
    {}, {"name": ""}, {"name": "a b"}, {"name": "../x"}, {"name": "x" * 101}, {"name": "x", "expires_in_hours": 0},
    {"name": "x", "expires_in_hours": -1}, {"name": "x", "colour": "red"}, {"name": "x", "reason": "r" * 2001},
])  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(http: Any, body: Any) -> None:
    assert http("POST", PAUSES, body).status_code == 422


def test_a_signed_message_decides_and_a_copy_of_it_does_not(http: Any) -> None:
    http("POST", PAUSES, {"name": "p-4"})
    raw = json.dumps({"agent": "support", "pause": "p-4", "decision": "approved", "by": "bob", "feedback": "go"})

    def send(nonce: str, secret: str = SECRET) -> httpx2.Response:
        stamp = str(int(time.time()))
        signature = sign(secret, timestamp=stamp, nonce=nonce, body=raw.encode())
        headers = {"x-surefoot-timestamp": stamp, "x-surefoot-nonce": nonce, "x-surefoot-signature": signature,
                   "content-type": "application/json"}  # fmt: skip
        return http("POST", HOOK, token="", headers=headers, content=raw)

    assert send("nonce-0001", "another secret, quite long").status_code == 401
    assert http("GET", f"{PAUSES}/p-4").json()["state"] == "pending"
    assert send("nonce-0002").json()["decided_by"] == "bob"
    assert send("nonce-0002").status_code == 409
    assert http("GET", f"{PAUSES}/p-4").json()["feedback"] == "go"


def test_people_are_told_of_the_question_and_of_the_answer(http: Any, desk: tuple[App, str]) -> None:
    http("POST", PAUSES, {"name": "p-5", "reason": "may I?"})
    http("POST", f"{PAUSES}/p-5/decision", {"decision": "rejected", "feedback": "not today"}, token=REVIEWER)
    found = asyncio.run(listed(desk[0].ports, all_of_them=True, agents=EVERY_AGENT))
    told = [one for one in found if one.facts.get("pause") == "p-5"]
    assert [one.kind for one in told] == ["pause_requested", "pause_decided"]
    assert "surefoot pauses decide p-5 --agent support" in str(told[0].facts["look"])
    assert told[1].sentence == "rita said rejected: not today"
    actions = [one.action for one in desk[0].store.read_now(lambda tx: tx.audit.all()) if one.subject == "support/p-5"]
    assert actions == ["pause-requested", "pause-rejected"]


def test_what_is_secret_in_a_question_or_an_answer_is_kept_nowhere(http: Any, desk: tuple[App, str]) -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    asked = {"name": "p-6", "reason": f"may I use {key}?", "url": f"https://example.org/?key={key}"}
    assert key not in http("POST", PAUSES, asked).text
    said = {"decision": "approved", "feedback": f"use {key}\nand say so",
            "response": {"deep": [{"key": key, key: 1}], "lines": 3}}  # fmt: skip
    heard = http("POST", f"{PAUSES}/p-6/decision", said, token=REVIEWER).json()
    assert heard["feedback"].endswith("\nand say so")
    assert heard["response"]["lines"] == 3
    again = http("POST", f"{PAUSES}/p-6/decision", said, token=REVIEWER)
    assert (again.status_code, again.json()) == (200, heard), "saying the same again is still the same"

    def everything(tx: Any) -> str:
        rows = [tx.pauses.listed(agents=EVERY_AGENT), tx.audit.all(), tx.notices.listed(agents=EVERY_AGENT)]
        return repr(rows)

    assert key not in desk[0].store.read_now(everything)
    assert "p-6" in desk[0].store.read_now(everything)


def test_lists_come_in_pages_without_what_the_caller_may_not_see(http: Any) -> None:
    for n in range(5):
        http("POST", "/api/v1/agents/other/pauses", {"name": f"q-{n}"})
    seen, cursor = [], ""
    while True:
        page = http("GET", f"/api/v1/pauses?agent=other&limit=2&cursor={cursor}", token=REVIEWER).json()
        seen += [one["name"] for one in page["pauses"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == [f"q-{n}" for n in range(5)]


def test_an_execution_waits_and_its_deadline_stands_still(http: Any, desk: tuple[App, str]) -> None:
    now = datetime.now(UTC)
    one = Execution(
        id="exec-0001", agent="support", reasoner="r", version="1.0", number=1, process="p", base_url="", path="",
        unit="u",
        at=now, deadline=now + timedelta(seconds=0.5), by="prog", state="running", accepted=True,
    )  # fmt: skip
    store, place = desk[0].store, "/api/v1/executions/exec-0001"
    store.write_now(lambda tx: tx.executions.add(one))
    assert http("GET", f"{place}/approval-status").status_code == 404
    asked = {"approval_request_id": "e-1", "approval_request_url": "https://example.org", "expires_in_hours": 1}
    begun = http("POST", f"{place}/request-approval", asked).json()
    assert (begun["status"], begun["request_url"], begun["responded_at"]) == ("pending", "https://example.org", None)
    waiting = store.read_now(lambda tx: tx.executions.get("exec-0001"))
    assert waiting.state == "waiting"
    assert not overdue(waiting, now + timedelta(hours=1))
    answer = {"decision": "approved", "feedback": "go", "response": {"by": "chat"}}
    assert http("POST", f"{place}/approval-response", answer).status_code == 403, "a program decides nothing"
    done = http("POST", f"{place}/approval-response", answer, token=REVIEWER).json()
    assert (done["status"], done["feedback"], done["response"]) == ("approved", "go", {"by": "chat"})
    assert http("GET", f"{place}/approval-status").json() == done
    going_on = store.read_now(lambda tx: tx.executions.get("exec-0001"))
    assert (going_on.state, going_on.deadline > one.deadline) == ("running", True)
    assert http("POST", "/api/v1/executions/ghost/request-approval", asked).status_code == 404


def execution(app: App, name: str, agent: str, now: datetime) -> Execution:
    one = Execution(
        id=name, agent=agent, reasoner="r", version="1.0", number=1, process="p", base_url="", path="", unit="u",
        at=now, deadline=now + timedelta(seconds=60), by="prog", state="running", accepted=True,
    )  # fmt: skip
    app.store.write_now(lambda tx: tx.executions.add(one))
    return one


def test_nobody_stops_the_execution_of_another_agent(http: Any, desk: tuple[App, str]) -> None:
    one = execution(desk[0], "exec-other", "other", datetime.now(UTC))
    asked = {"name": "p-7", "execution": one.id}
    assert http("POST", PAUSES, asked).status_code == 404
    assert http("GET", f"{PAUSES}/p-7").status_code == 404, "nothing was begun"
    http("POST", PAUSES, {"name": "p-8"})
    assert http("POST", PAUSES, asked | {"name": "p-8"}).status_code == 404, "nor under a name that is there"
    assert desk[0].store.read_now(lambda tx: tx.executions.get(one.id)) == one


class Idle:
    """Processes that nobody asks anything."""

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("decided", [False, True], ids=["alone", "beside one that is decided"])
def test_an_execution_goes_on_when_its_pause_expires_and_its_time_runs_again(
    desk: tuple[App, str], decided: bool
) -> None:
    """Trap S1-47: silence is no success, and does not stop an execution for ever either."""
    app, begun = desk[0], datetime.now(UTC)
    at, name = [begun], f"exec-late-{decided}"
    ports = replace(app.ports, clock=lambda: at[0])
    serving = Dispatching(ports, Idle())  # pyright: ignore[reportArgumentType]
    execution(app, name, "support", begun)

    async def at_minute(minute: float) -> Execution:
        at[0] = begun + timedelta(minutes=minute)
        await serving.look_after()
        return app.store.read_now(lambda tx: tx.executions.get(name))

    async def story() -> None:
        await pause(ports, "support", f"{name}-a", by="prog", hours=1, execution=name)
        if decided:
            await pause(ports, "support", f"{name}-b", by="prog", hours=2, execution=name)
            await decide_pause(ports, "support", f"{name}-b", "approved", by="rita")
        assert (await at_minute(59)).state == "waiting", "one wait is open still"
        after = await at_minute(60.5)
        assert (after.state, after.paused_at) == ("running", None)
        assert after.deadline == begun + timedelta(minutes=61), "the hour is not counted, and what came after is"
        assert (await pause_named(ports, "support", f"{name}-a")).state == "expired"
        assert (await at_minute(60.9)).state == "running"
        assert (await at_minute(61.1)).state == "timeout"
        told = [one for one in app.store.read_now(lambda tx: tx.audit.all()) if one.subject == f"support/{name}"]
        assert [one.action for one in told].count("pause-expired") == 1

    asyncio.run(story())


# On the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def told(desk: tuple[App, str], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    store = str(desk[0].settings.store)

    def run(*words: str) -> tuple[int, Any]:
        code = main([*words, "--store", store, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_a_person_lists_and_decides_on_the_command_line(http: Any, told: Any) -> None:
    http("POST", PAUSES, {"name": "c-1", "reason": "ready?"})
    code, listing = told("pauses", "--agent", "support")
    assert code == 0
    assert "c-1" in [one["name"] for one in listing["pauses"]]
    code, done = told("pauses", "decide", "c-1", "--changes", "--by", "rita", "--feedback", "shorter")
    assert (code, done["state"]) == (0, "request_changes")
    assert http("GET", f"{PAUSES}/c-1").json()["feedback"] == "shorter"
    assert told("pauses", "decide", "c-1", "--yes", "--by", "rita")[0] == 1, "it is decided once"


def test_the_command_line_says_what_is_missing(http: Any, told: Any) -> None:
    http("POST", PAUSES, {"name": "c-2"})
    http("POST", "/api/v1/agents/other/pauses", {"name": "c-2"})
    assert told("pauses", "decide", "c-2", "--by", "rita")[1]["error"]["message"] == "this decides nothing"
    assert "is a pause of" in told("pauses", "decide", "c-2", "--yes", "--by", "rita")[1]["error"]["message"]
    assert "person's name" in told("pauses", "decide", "c-2", "--agent", "support", "--yes")[1]["error"]["message"]
    assert told("pauses", "decide", "ghost", "--yes", "--by", "rita")[0] == 2
    assert told("pauses", "--agent", "ghost")[0] == 2


def test_nothing_that_a_program_says_reaches_the_terminal_as_more_than_text(
    desk: tuple[App, str], http: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    http("POST", PAUSES, {"name": "c-3", "reason": "\u001b[31mred[/red] \u202e"})
    assert main(["pauses", "--store", str(desk[0].settings.store)]) == 0
    assert "\u001b" not in capsys.readouterr().out
