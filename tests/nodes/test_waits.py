"""Executions that wait for each other: the chain is told, a circle is refused, nobody is waited for without end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_intention import Clock, Scene
from test_open_executions import ASKED, everything, read, scene, taken

from surefoot.app import App, build
from surefoot.cli import main
from surefoot.config import Settings
from surefoot.core.chain import MOST_LINKS, must_not_circle
from surefoot.core.errors import Conflict, Invalid, NotFound, Unavailable
from surefoot.core.execution import WAIT_LEASE, Execution
from surefoot.core.genome import Block, Genome
from surefoot.engine import wait
from surefoot.engine.heed import Report
from surefoot.engine.oversee import cancelled
from surefoot.engine.pause import decide_pause, pause
from surefoot.engine.register import create_agent
from surefoot.engine.wait import chain


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Iterator[App]:
    one = build(Settings(store=tmp_path / "store.db"), clock=clock)
    yield one
    one.close()


async def waits(here: Scene, one: Execution, other: Execution | None = None, **more: Any) -> Execution:
    name = other.id if other else ""
    told = {"sees": everything, **more}
    return await here.dispatching.report(Report(execution=one.id, state="waiting", waits_for=name, **told))


async def chained(here: Scene, count: int) -> list[Execution]:
    """Executions of which each waits for the next one."""
    found = [await taken(here) for _ in range(count)]
    for one, other in pairwise(found):
        await waits(here, one, other)
    return found


def actions(app: App) -> list[str]:
    return [one.action for one in app.store.read_now(lambda tx: tx.audit.all())]


def test_the_chain_tells_link_by_link_whom_everybody_waits_for_in_the_end(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        first, second, third = await chained(here, 3)
        told = await chain(app.ports, first.id, sees=everything)
        assert [one.execution.id for one in told.links] == [first.id, second.id, third.id]
        assert (told.end, told.hidden) == ("process", 0)
        await pause(app.ports, "tickets", "ship", by="prog", execution=third.id)
        told = await chain(app.ports, first.id, sees=everything)
        assert (told.end, [wait.name for wait in told.links[-1].pauses]) == ("person", ["ship"])
        hidden = await chain(app.ports, first.id, sees=lambda agent: agent != "tickets")
        assert (hidden.links, hidden.hidden) == ((), 3)

    asyncio.run(story())


def test_a_person_ends_a_chain_and_each_goes_on_when_what_it_waits_for_is_over(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        first, second, third = await chained(here, 3)
        await pause(app.ports, "tickets", "ship", by="prog", execution=third.id, hours=72)
        clock.now += timedelta(hours=50)
        await here.dispatching.look_after()
        assert [read(here, one.id).state for one in (first, second, third)] == ["waiting"] * 3, "a person may take days"
        await decide_pause(app.ports, "tickets", "ship", "approved", by="rita")
        await here.dispatching.report(Report(execution=third.id, sees=everything, state="succeeded", result=1))
        clock.now += timedelta(seconds=30)
        await here.dispatching.look_after()
        assert [read(here, one.id).state for one in (first, second, third)] == ["waiting", "running", "succeeded"]
        woken = read(here, second.id)
        left = woken.deadline - clock.now
        spent = second.deadline - second.at - left
        assert abs(spent - timedelta(seconds=30)) < timedelta(seconds=1), "its time ran again from the other's end on"
        await here.dispatching.report(Report(execution=second.id, sees=everything, state="failed", error="no"))
        await here.dispatching.look_after()
        assert (read(here, first.id).state, read(here, first.id).waits_for) == ("running", "")

    asyncio.run(story())


def test_a_circle_is_refused_and_named_however_long_it_is(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        found = await chained(here, 4)
        for one in found[:3]:
            with pytest.raises(Conflict, match="that would be a circle"):
                await waits(here, found[3], one)
        with pytest.raises(Conflict, match="circle"):
            await waits(here, found[3], found[3])
        assert read(here, found[3].id).state == "running"
        parent = await taken(here)
        child = await here.dispatching.submit(replace(ASKED, parent=parent.id))
        with pytest.raises(Conflict, match="waits for its answer"):
            await waits(here, child, parent)

    asyncio.run(story())


def test_nobody_waits_for_what_is_over_not_there_or_not_theirs_to_see(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        one, other = await taken(here), await taken(here)
        with pytest.raises(NotFound):
            await waits(here, one, replace(other, id="nothing"))
        with pytest.raises(NotFound):
            await waits(here, one, other, sees=lambda _: False)
        with pytest.raises(Invalid):
            await here.dispatching.report(
                Report(execution=one.id, sees=everything, state="running", waits_for=other.id)
            )
        await here.dispatching.report(Report(execution=other.id, sees=everything, state="succeeded"))
        with pytest.raises(Conflict, match="succeeded already"):
            await waits(here, one, other)

    asyncio.run(story())


def test_what_says_that_it_waits_and_not_again_is_overdue_and_that_is_an_event(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        silent, faithful = await taken(here), await taken(here)
        for one in (silent, faithful):
            await waits(here, one)
        clock.now += WAIT_LEASE - timedelta(seconds=1)
        await here.dispatching.look_after()
        assert [read(here, one.id).state for one in (silent, faithful)] == ["waiting", "waiting"]
        await waits(here, faithful)
        clock.now += timedelta(seconds=2)
        await here.dispatching.look_after()
        await here.dispatching.look_after()
        assert [read(here, one.id).state for one in (silent, faithful)] == ["timeout", "waiting"]
        assert actions(app).count("execution-overdue") == 1
        failed = app.store.read_now(lambda tx: tx.outcomes.failures("tickets", limit=9))
        assert [one.trace_id for one in failed] == [silent.id]

    asyncio.run(story())


def test_a_wait_for_what_is_cancelled_ends_and_a_tree_is_cancelled_down_to_its_leaves(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        root = await taken(here)
        child = await here.dispatching.submit(replace(ASKED, parent=root.id))
        leaf = await here.dispatching.submit(replace(ASKED, parent=child.id))
        outside = await taken(here)
        for one, other in ((root, child), (child, leaf), (outside, leaf)):
            await settled(here, one)
            await waits(here, one, other)
        done = await cancelled(app.ports, root.id, by="ops", sees=everything, tree=True)
        assert {one.id for one in done} == {root.id, child.id, leaf.id}
        await here.dispatching.look_after()
        assert read(here, outside.id).state == "running", "who waited for a leaf hears that it is over"

    asyncio.run(story())


def test_a_wait_that_cannot_be_ended_holds_up_no_other(app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        here = await scene(app, clock)
        first, second = await taken(here), await taken(here)
        for one in (first, second):
            await waits(here, one)
        settle = wait.settle

        def stumbling(tx: Any, ports: Any, one: Execution) -> Execution:
            if one.id == first.id:
                raise Unavailable("the row is broken")
            return settle(tx, ports, one)

        monkeypatch.setattr(wait, "settle", stumbling)
        clock.now += WAIT_LEASE + timedelta(seconds=1)
        await here.dispatching.look_after()
        assert [read(here, one.id).state for one in (first, second)] == ["waiting", "timeout"]

    asyncio.run(story())


def test_the_command_line_shows_the_chain_too(app: App, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    clock.now = datetime.now(UTC)  # a command has no other clock

    async def story() -> list[Execution]:
        found = await chained(await scene(app, clock), 3)
        await pause(app.ports, "tickets", "ship", by="prog", reason="is it good?", execution=found[-1].id)
        return found

    found = asyncio.run(story())
    words = ["--store", str(app.settings.store), "--json", "executions", "tickets", "--chain", found[0].id]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["agent"], told["ends_with"], told["hidden"]) == ("tickets", "person", 0)
    assert [(one["id"], one["agent"], one["waits_for"]) for one in told["executions"]] == [
        (found[0].id, "tickets", found[1].id), (found[1].id, "tickets", found[2].id),
        (found[2].id, "tickets", None)]  # fmt: skip
    asked = [[(wait["name"], wait["reason"]) for wait in one["pauses"]] for one in told["executions"]]
    assert asked == [[], [], [("ship", "is it good?")]]
    assert main([word for word in words if word != "--json"]) == 0
    assert "a person (ship)" in " ".join(capsys.readouterr().out.split())


def test_no_chain_of_another_agent_is_shown_under_this_ones_name(
    app: App, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> list[Execution]:
        found = await chained(await scene(app, clock), 2)
        await create_agent(app.ports, "other", Genome((Block(id="role", kind="section", text="Help."),)), by="ana")
        return found

    found = asyncio.run(story())
    for agent, name in (("other", found[0].id), ("other", "nothing"), ("nobody", found[0].id)):
        assert main(["--store", str(app.settings.store), "executions", agent, "--chain", name]) == 2
        seen = capsys.readouterr()
        assert found[1].id not in seen.out + seen.err, (agent, name)
        assert "classify" not in seen.out + seen.err


async def settled(here: Scene, one: Execution) -> None:
    for _ in range(200):
        if read(here, one.id).accepted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it was not sent")


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=40))
def test_no_order_of_waits_that_is_allowed_ever_closes_a_circle(wishes: list[tuple[int, int]]) -> None:
    made = {n: execution(str(n)) for n in range(8)}
    for one, other in wishes:
        way = [made[other]]
        while way[-1].waits_for:
            way.append(made[int(way[-1].waits_for)])
            assert len(way) <= 8, "a circle"
        try:
            must_not_circle(str(one), way, (), sees=everything)
        except Conflict:
            continue
        made[one] = replace(made[one], waits_for=str(other))


def test_a_chain_has_so_many_links_at_most() -> None:
    with pytest.raises(Conflict, match="wait for each other already"):
        must_not_circle("x", [execution(str(n)) for n in range(MOST_LINKS)], (), sees=everything)


def test_the_refusal_of_a_circle_names_nobody_of_agents_that_the_asker_does_not_see() -> None:
    chain = [execution("mine"), replace(execution("theirs"), agent="secret"), execution("asker")]
    for name, ancestors in (("asker", ()), ("other", {"theirs"})):
        with pytest.raises(Conflict) as told:
            must_not_circle(name, chain, ancestors, sees=lambda agent: agent != "secret")
        said = f"{told.value.message} {told.value.hint}"
        assert "theirs" not in said
        assert "secret" not in said
        assert "one of another agent" in said
    with pytest.raises(Conflict, match="asker waits for mine waits for one of another agent waits for asker"):
        must_not_circle("asker", chain, (), sees=lambda agent: agent != "secret")


def execution(name: str) -> Execution:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    return Execution(
        id=name, agent="a", reasoner="r", version="1", number=1, process="p", base_url="", path="", unit="u", at=now,
        deadline=now, by="app", state="waiting",
    )  # fmt: skip
