"""Whose failure it is when a version cannot serve, with a scripted node on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.build import Reasoner
from surefoot.core.errors import Conflict, Invalid, NotFound, Unavailable
from surefoot.core.execution import Execution
from surefoot.core.genome import Block, Genome
from surefoot.core.process import Process, Vital
from surefoot.engine.connect import connected
from surefoot.engine.dispatch import HOLD, Dispatching, Terms
from surefoot.engine.enrol import Announced, Enrolled, register
from surefoot.engine.execute import NobodyThere, Request
from surefoot.engine.operate import reconcile
from surefoot.engine.pulse import pulse
from surefoot.engine.register import create_agent
from surefoot.engine.rollback import rollback, wish
from surefoot.ports.node import Broken, NotSent, Said
from surefoot.ports.recorder import Full

TTL = timedelta(minutes=5)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


class Scripted:
    """Processes that do as they are told: `down` cannot be connected to, `cut` break off, `slow` never answer."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.cut: set[str] = set()
        self.slow: set[str] = set()
        self.asked: list[str] = []

    async def permit(self, base_url: str) -> str:
        return base_url

    async def vital(self, base_url: str) -> Vital:
        return Vital(well=base_url not in self.down, because="gone" if base_url in self.down else "")

    async def call(self, base_url: str, path: str, body: object, headers: Mapping[str, str], timeout_s: float) -> Said:
        if base_url in self.down:
            raise NotSent(f"{base_url} is gone")
        self.asked.append(base_url)
        if base_url in self.cut:
            raise Broken(f"{base_url} broke off")
        if base_url in self.slow:
            await asyncio.sleep(60)
        return Said(status=200, body={"by": base_url})

    async def aclose(self) -> None: ...


class Scene:
    def __init__(self, app: App, clock: Clock, **terms: int) -> None:
        self.app, self.clock, self.node = app, clock, Scripted()
        self.dispatching = Dispatching(app.ports, self.node, Terms(ttl=TTL, **terms))  # pyright: ignore[reportArgumentType]

    async def up(self, version: str, base_url: str = "", *reasoners: str) -> Enrolled:
        announced = Announced(
            agent="tickets", version=version, base_url=base_url or version, content=version,
            reasoners=tuple(Reasoner(name=one) for one in reasoners or ("classify",)),
        )  # fmt: skip
        return await register(self.app.ports, self.node, announced, by="ops", operates=True, ttl=TTL)

    async def side_by_side(self, percent: float = 45) -> None:
        await self.up("1.0.0")
        await self.up("2.1.0")
        await connected(self.app.ports, "tickets", "2.1.0", percent, by="ops")

    async def ask(self, unit: str, **given: str) -> Execution:
        one, _ = await self.dispatching.execute(
            Request(target="tickets.classify", input={"text": unit}, by="app", session=unit, **given)
        )  # fmt: skip
        return one

    async def units(self, version: str, count: int = 5) -> list[str]:
        found: list[str] = []
        for number in range(200):
            if len(found) == count:
                break
            if (await self.ask(f"u{number}")).version == version:
                found.append(f"u{number}")
        return found

    def labels(self) -> dict[tuple[str, str], int]:
        """Labelled units of the rollouts by arm and verdict."""

        def work(tx: Any) -> dict[tuple[str, str], int]:
            found: dict[tuple[str, str], int] = {}
            for rollout in tx.rollouts.all("tickets"):
                for one in (*tx.rollouts.strata(rollout.id), *tx.rollouts.strata(rollout.holdback_scope)):
                    for arm, word in product(("challenger", "incumbent"), ("failures", "successes")):
                        found[arm, word] = found.get((arm, word), 0) + getattr(one, f"{arm}_{word}")
            return {key: count for key, count in found.items() if count}

        return self.app.store.read_now(work)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Iterator[App]:
    one = build(Settings(store=tmp_path / "store.db"), clock=clock)
    yield one
    one.close()


def test_routed_shares_equal_the_weights(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        await scene.side_by_side(25)
        seen = [(await scene.ask(f"unit {number}")).version for number in range(400)].count("2.1.0")
        assert abs(seen - 100) < 4.5 * (400 * 0.25 * 0.75) ** 0.5, f"{seen} of 400 at 25 %"

    asyncio.run(story(Scene(app, clock)))


def test_what_the_assigned_version_cannot_serve_is_its_failure_and_no_later_word_makes_it_good(
    app: App, clock: Clock
) -> None:
    async def story(scene: Scene) -> None:
        from surefoot.core.token import any_agent
        from surefoot.engine.observe import observe

        await scene.side_by_side()
        mine = await scene.units("2.1.0")
        scene.node.down.add("2.1.0")
        for unit in mine:
            one = await scene.ask(unit)
            assert (one.version, one.stood_in_for, one.arm, one.rollout) == ("1.0.0", "2.1.0", "incumbent", "")
            await observe(app.ports, one.id, verdict="success", sees=any_agent)
        assert scene.labels() == {("challenger", "failures"): len(mine)}

    asyncio.run(story(Scene(app, clock)))


def test_nobody_stands_in_for_the_live_version_so_a_challenger_never_gets_more_than_its_share(
    app: App, clock: Clock
) -> None:
    async def story(scene: Scene) -> None:
        await scene.side_by_side()
        theirs, (mine,) = await scene.units("1.0.0"), await scene.units("2.1.0", 1)
        scene.node.down.add("1.0.0")
        first = await scene.ask(theirs[0])
        assert (first.state, first.version) == ("failed", "1.0.0"), "nobody knew yet that it is gone"
        for unit in theirs[1:]:
            with pytest.raises(NobodyThere, match="no healthy process"):
                await scene.ask(unit)
        assert scene.labels() == {("incumbent", "failures"): len(theirs)}
        assert (await scene.ask(mine)).version == "2.1.0", "the others are served as before"

    asyncio.run(story(Scene(app, clock)))


@pytest.mark.parametrize("kind", ["cut", "slow"])
def test_a_process_that_was_reached_is_not_asked_again_and_its_failure_counts_for_its_arm(
    app: App, clock: Clock, kind: str
) -> None:
    async def story(scene: Scene) -> None:
        await scene.side_by_side()
        (mine,) = await scene.units("2.1.0", 1)
        scene.node.asked.clear()
        getattr(scene.node, kind).add("2.1.0")
        if kind == "slow":
            scene.node.call = _late  # pyright: ignore[reportAttributeAccessIssue]
        one = await scene.ask(mine)
        assert (one.state, one.version) == ("timeout" if kind == "slow" else "failed", "2.1.0")
        assert scene.node.asked.count("2.1.0") <= 1
        assert "1.0.0" not in scene.node.asked, "it may have done the work"
        assert scene.labels() == {("challenger", "failures"): 1}

    async def _late(*_: object) -> Said:
        raise TimeoutError

    asyncio.run(story(Scene(app, clock)))


def test_a_dead_instance_costs_nothing_while_another_of_its_version_lives(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        await scene.side_by_side()
        await scene.up("2.1.0", "2.1.0 again")
        mine = await scene.units("2.1.0", 8)
        scene.node.down.add("2.1.0")
        assert {(await scene.ask(unit)).version for unit in mine} == {"2.1.0"}
        assert scene.labels() == {}

    asyncio.run(story(Scene(app, clock)))


def test_in_the_holdback_an_old_version_that_was_switched_off_says_nothing(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        await scene.side_by_side()
        rollout = app.store.read_now(lambda tx: tx.rollouts.active("tickets"))
        assert rollout is not None
        await app.store.write(lambda tx: wish(tx, app.ports, rollout.id, "promote", "ana", "it is good"))
        await reconcile(app.ports, rollout.id)
        assert app.store.read_now(lambda tx: tx.agents.get("tickets").live) == 2
        scene.node.down.add("1.0.0")
        await pulse(app.ports, scene.node)
        await pulse(app.ports, scene.node)
        seen = {(one.version, one.stood_in_for) for one in [await scene.ask(f"h{number}") for number in range(120)]}
        assert seen == {("2.1.0", ""), ("2.1.0", "1.0.0")}
        assert scene.labels() == {}

    asyncio.run(story(Scene(app, clock)))


def test_a_rollback_holds_for_the_next_request(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        await scene.side_by_side()
        mine = await scene.units("2.1.0")
        await rollback(app.ports, "tickets", by="ana")
        assert {(await scene.ask(unit)).version for unit in mine} == {"1.0.0"}

    asyncio.run(story(Scene(app, clock)))


def test_a_reasoner_that_only_a_newer_version_has_is_not_there_yet_and_one_it_lost_is_its_failure(
    app: App, clock: Clock
) -> None:
    async def story(scene: Scene) -> None:
        await scene.up("1.0.0", "", "classify", "explain")
        await scene.up("2.1.0", "", "classify", "summarise")
        await connected(app.ports, "tickets", "2.1.0", 45, by="ops")
        with pytest.raises(NotFound, match="1\\.0\\.0, which is live, has no reasoner 'summarise'"):
            await scene.dispatching.execute(Request(target="tickets.summarise", input=1, by="app"))
        (mine,) = await scene.units("2.1.0", 1)
        one, _ = await scene.dispatching.execute(Request(target="tickets.explain", input=1, by="app", session=mine))
        assert (one.version, one.stood_in_for) == ("1.0.0", "2.1.0")
        assert scene.labels() == {("challenger", "failures"): 1}

    asyncio.run(story(Scene(app, clock)))


def test_too_much_at_once_is_refused_and_what_waits_is_bounded(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        await scene.up("1.0.0")
        scene.node.slow.add("1.0.0")
        asked = Request(target="tickets.classify", input=1, by="app")
        callers = [asyncio.create_task(scene.dispatching.execute(asked)) for _ in range(2)]
        await asyncio.sleep(0.3)
        with pytest.raises(Full, match="2 callers wait"):
            await scene.dispatching.execute(asked)
        for _ in range(5):
            await scene.dispatching.submit(asked)
        await asyncio.sleep(0.2)
        with pytest.raises(Full, match="3 executions wait"):
            await scene.dispatching.submit(asked)
        for one in callers:
            one.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        found = app.store.read_now(lambda tx: tx.executions.of("tickets"))
        assert [one.state for one in found].count("cancelled") == 2
        scene.dispatching.terms = Terms(drain_s=0.1)
        await scene.dispatching.aclose()
        found = app.store.read_now(lambda tx: tx.executions.of("tickets"))
        assert [one.state for one in found].count("lost") == 2, "those that were being sent"
        assert [one.state for one in found].count("queued") == 3, "those that another server sends"

    asyncio.run(story(Scene(app, clock, at_once=2, most_waiting=3)))


def test_two_servers_send_what_a_third_left_behind_once(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        await scene.up("1.0.0")
        dead = Dispatching(app.ports, scene.node, Terms())
        left = [await dead._opened(None, Request(target="tickets.classify", input=number, by="app"), None,
                                   asynchronous=True) for number in range(20)]  # fmt: skip
        others = [Dispatching(app.ports, scene.node, Terms()) for _ in range(2)]
        await asyncio.gather(*(one.look_after() for one in others))
        assert scene.node.asked == [], "its hold still runs"
        clock.now += HOLD
        await asyncio.gather(*(one.look_after() for one in others))
        for _ in range(100):
            await asyncio.sleep(0.05)
            found = app.store.read_now(lambda tx: tx.executions.some([one.id for one in left]))
            if all(one.state == "succeeded" for one in found):
                break
        assert [one.state for one in found] == ["succeeded"] * 20
        assert len(scene.node.asked) == 20

    asyncio.run(story(Scene(app, clock)))


def test_what_is_cancelled_while_it_is_sent_stays_cancelled(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        from surefoot.engine.oversee import cancelled

        await scene.up("1.0.0")
        scene.node.slow.add("1.0.0")
        one = await scene.dispatching.submit(Request(target="tickets.classify", input=1, by="app"))
        await asyncio.sleep(0.2)
        await cancelled(app.ports, one.id, by="ana", sees=lambda _: True)
        await scene.dispatching.look_after()
        await asyncio.sleep(0.1)
        found = app.store.read_now(lambda tx: tx.executions.get(one.id))
        assert (found.state, found.error) == ("cancelled", "cancelled by ana")
        assert scene.labels() == {}

    asyncio.run(story(Scene(app, clock)))


def test_a_caller_who_waits_hears_at_once_that_it_was_cancelled(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        from surefoot.engine.oversee import cancelled

        await scene.up("1.0.0")
        scene.node.slow.add("1.0.0")
        caller = asyncio.create_task(scene.ask("u"))
        await asyncio.sleep(0.2)
        (running,) = app.store.read_now(lambda tx: tx.executions.of("tickets"))
        done = await cancelled(app.ports, running.id, by="ana", sees=lambda _: True)
        scene.dispatching.dropped(one.id for one in done)
        async with asyncio.timeout(5):
            one = await caller
        assert (one.state, one.error) == ("cancelled", "cancelled by ana")

    asyncio.run(story(Scene(app, clock)))


def test_a_process_that_nobody_heard_of_for_a_day_is_forgotten_and_its_version_is_not(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        await scene.up("1.0.0")
        clock.now += timedelta(hours=23)
        assert await pulse(app.ports, scene.node) == 0, "its lease is over"
        with pytest.raises(Unavailable, match="1 expired"):
            await scene.ask("u")
        clock.now += timedelta(hours=2)
        await pulse(app.ports, scene.node)
        left: list[Process] = app.store.read_now(lambda tx: tx.processes.all())
        assert left == []
        assert (await scene.up("1.0.0")).build.number == 1

    asyncio.run(story(Scene(app, clock)))


def test_versions_of_a_prompt_and_versions_that_are_processes_are_not_mixed(app: App, clock: Clock) -> None:
    async def story(scene: Scene) -> None:
        genome = Genome((Block(id="role", kind="section", text="Help."),))
        await create_agent(app.ports, "tickets", genome, by="ana")
        with pytest.raises(Conflict, match="genomes that a model speaks"):
            await scene.up("1.0.0")
        with pytest.raises(Invalid, match="are no processes"):
            await scene.ask("u")

    asyncio.run(story(Scene(app, clock)))
