"""Executions that stay open fill nothing up, and nobody's trace keeps one from ending."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from test_intention import Clock, Scene

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.execution import Execution
from surefoot.engine import dispatch
from surefoot.engine.enter import Told, enter
from surefoot.engine.erase import erase
from surefoot.engine.execute import Request
from surefoot.engine.heed import Report
from surefoot.ports.node import Said
from surefoot.ports.recorder import Full

ASKED = Request(target="tickets.classify", input="a text", by="app")


def everything(_: str) -> bool:
    return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Iterator[App]:
    one = build(Settings(store=tmp_path / "store.db"), clock=clock)
    yield one
    one.close()


async def silent(base_url: str, path: str, body: object, headers: Mapping[str, str], timeout_s: float) -> Said:
    """A process that says that it will report, and never does."""
    return Said(status=202, body={})


async def scene(app: App, clock: Clock, **terms: int) -> Scene:
    one = Scene(app, clock, **terms)
    one.node.call = silent
    await one.up("1.0.0")
    return one


async def taken(here: Scene) -> Execution:
    one = await here.dispatching.submit(ASKED)
    for _ in range(200):
        if (found := read(here, one.id)).accepted:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it was not sent")


def notices(app: App) -> list[str]:
    return app.store.read_now(
        lambda tx: [row[0] for row in tx.connection.exec_driver_sql("SELECT document FROM notices")]
    )  # fmt: skip


def read(here: Scene, name: str) -> Execution:
    return here.app.store.read_now(lambda tx: tx.executions.get(name))


def told(name: str, here: Scene) -> Told:
    return Told(id=name, version=1, unit="u", input="mine", output="", finish="stop", at=here.clock.now)


def test_nobody_records_a_trace_under_the_id_of_an_execution(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        one = await taken(here)
        for name in (one.id, one.id.replace("-", ""), one.id.upper()):
            done = await enter(app.ports, "tickets", [told(name, here)])
            assert (done.kept, list(done.refused)) == (0, [name])
        assert (
            await here.dispatching.report(Report(execution=one.id, sees=everything, state="succeeded", result=1))
        ).state == "succeeded"

    asyncio.run(story())


def test_a_trace_that_is_there_already_keeps_no_execution_open_and_bears_no_blame(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        one, other = await taken(here), await taken(here)
        await enter(app.ports, "tickets", [told("another", here)])
        stolen = replace(app.store.read_now(lambda tx: tx.traces.get("another")), id=one.id)
        await app.store.write(lambda tx: tx.traces.add(stolen))
        clock.now = one.deadline + timedelta(seconds=5)
        await here.dispatching.look_after()
        assert [read(here, name).state for name in (one.id, other.id)] == ["timeout", "timeout"]
        assert app.store.read_now(lambda tx: tx.outcomes.of(one.id)) == []
        failed = app.store.read_now(lambda tx: tx.outcomes.failures("tickets", limit=9))
        assert len(failed) == 2, "each end is a failure, one of them under an id of its own"

    asyncio.run(story())


def test_one_that_cannot_be_ended_holds_up_no_other(app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        first, second = await taken(here), await taken(here)
        settle = dispatch.settle

        def stumbling(tx, ports, one):
            if one.id == first.id:
                raise Unavailable("the row is broken")
            return settle(tx, ports, one)

        monkeypatch.setattr(dispatch, "settle", stumbling)
        clock.now = second.deadline + timedelta(seconds=5)
        await here.dispatching.look_after()
        assert [read(here, one.id).state for one in (first, second)] == ["running", "timeout"]
        assert here.dispatching.stuck == 1

    asyncio.run(story())


def test_open_executions_are_bounded_for_each_agent_and_in_all(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock, most_open=4, most_open_of_agent=3)
        kept = [await taken(here) for _ in range(3)]
        for asking in (here.dispatching.submit, here.dispatching.execute):
            with pytest.raises(Full, match="3 executions of tickets are open"):
                await asking(ASKED)
        await here.dispatching.report(Report(execution=kept[0].id, sees=everything, state="succeeded"))
        await taken(here)
        here.dispatching.terms = replace(here.dispatching.terms, most_open=3, most_open_of_agent=99)
        with pytest.raises(Full, match="3 executions are open"):
            await here.dispatching.submit(ASKED)

    asyncio.run(story())


def test_only_what_is_due_is_read_again(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        late, waits = await taken(here), await taken(here)
        await here.dispatching.report(Report(execution=waits.id, sees=everything, state="waiting"))
        assert app.store.read_now(lambda tx: tx.executions.due(clock.now, limit=9)) == []
        await here.dispatching.look_after()
        clock.now = late.deadline + timedelta(seconds=5)
        found = app.store.read_now(lambda tx: tx.executions.due(clock.now, limit=9))
        assert [one.id for one in found] == [late.id], "no time passes while the other one waits"
        going = await here.dispatching.report(Report(execution=waits.id, sees=everything, state="running"))
        assert going.held_until == going.deadline > late.deadline
        clock.now = going.deadline
        await here.dispatching.look_after()
        assert [read(here, one.id).state for one in (late, waits)] == ["timeout", "timeout"]

    asyncio.run(story())


def test_a_caller_waits_for_a_person_no_longer_than_for_an_answer(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock, at_once=1)

        async def waiting(base_url: str, path: str, body: object, headers: Mapping[str, str], timeout_s: float) -> Said:
            await here.dispatching.report(Report(execution=headers["X-Execution-ID"], sees=everything, state="waiting"))
            return Said(status=202, body={})

        here.node.call = waiting
        caller = asyncio.create_task(here.dispatching.execute(ASKED))
        await asyncio.sleep(0.2)
        assert not caller.done()
        clock.now += here.dispatching.terms.deadline
        one, _ = await asyncio.wait_for(caller, 5)
        assert (one.state, read(here, one.id).over) == ("waiting", False), "it goes on, and can be asked after"
        here.node.call = silent
        await taken(here)
        clock.now += timedelta(days=1)
        assert (
            await here.dispatching.report(Report(execution=one.id, sees=everything, state="succeeded", result="yes"))
        ).state == "succeeded"

    asyncio.run(story())


def test_what_was_told_of_an_execution_goes_with_the_person_it_was_for(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        for actor in ("anna", "bob"):
            asked = replace(ASKED, actor=actor, webhook="https://hooks.example/x")
            one = await here.dispatching.submit(asked)
            await asyncio.sleep(0.2)
            await here.dispatching.report(
                Report(execution=one.id, sees=everything, state="succeeded", result={actor: "Whiskerina"})
            )
        assert len(notices(app)) == 2
        await erase(app.ports, "anna", by="ana")
        assert [("bob" in text, "anna" in text) for text in notices(app)] == [(True, False)]

    asyncio.run(story())


def test_a_connector_whose_token_can_be_guessed_does_not_start(app: App) -> None:
    given = replace(app, settings=app.settings.model_copy(update={
        "connector": app.settings.connector.model_copy(update={"token_env": "CONNECTOR_TOKEN"})
    }))  # fmt: skip
    with pytest.raises(Invalid, match="holds 31 characters") as told_so:
        given.api(loopback=True, environ={"CONNECTOR_TOKEN": "x" * 31})
    assert "32 random characters" in told_so.value.hint
    given.api(loopback=True, environ={"CONNECTOR_TOKEN": "x" * 32})
