"""Who may come in: revoked tokens stay out, guessers are shut out, neighbours are not, and memory is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from surefoot.core.rate import Rate, TooMany
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Token, hashed
from surefoot.engine import admit
from surefoot.engine.admit import Admission, Buckets, Rates
from surefoot.engine.issue import Order, first_admin, issue, revoke, tokens

OLD = Token(name="old", sha256=hashed("sf_old"), role="viewer")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 5, 8, tzinfo=UTC)
        self.steady = 100.0

    def __call__(self) -> datetime:
        return self.now

    def on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.steady += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Iterator[App]:
    one = build(Settings(store=tmp_path / "store.db"), environ={}, clock=clock)
    yield one
    one.close()


def door(app: App, clock: Clock, **rates: Any) -> Admission:
    return Admission(app.ports, (OLD,), rates=Rates(**rates), steady=lambda: clock.steady)


def test_a_token_of_the_store_lets_in_and_once_revoked_no_more_within_a_second(app: App, clock: Clock) -> None:
    async def story() -> None:
        here, elsewhere = door(app, clock), door(app, clock)
        made = await issue(app.ports, Order(name="bob", role="reviewer", person="Bob"), by="olga")
        for one in (here, elsewhere):
            assert (await one.admit(made.token)).name == "Bob"
        await revoke(app.ports, "bob", by="olga")
        clock.on(0.99)
        for one in (here, elsewhere):
            with pytest.raises(Unauthenticated):
                await one.admit(made.token)
        assert (await here.admit("sf_old")).name == "old"

    asyncio.run(story())


def test_a_token_made_while_the_server_runs_is_known_within_a_second(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock)
        await here.admit("sf_old")
        made = await issue(app.ports, Order(name="bob", role="viewer"), by="olga")
        clock.on(0.99)
        assert (await here.admit(made.token)).role == "viewer"

    asyncio.run(story())


def test_a_token_ends_when_its_life_does(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock)
        made = await issue(app.ports, Order(name="bob", role="viewer", life=timedelta(hours=1)), by="olga")
        await here.admit(made.token)
        clock.on(3600)
        with pytest.raises(Unauthenticated, match="expired"):
            await here.admit(made.token)

    asyncio.run(story())


def test_a_store_that_is_away_shuts_nobody_out_for_a_minute_and_then_everybody(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock)
        made = await issue(app.ports, Order(name="bob", role="viewer"), by="olga")
        await here.admit(made.token)

        async def away(_work: Any) -> Any:
            raise Unavailable("the disk is gone")

        broken = type("Broken", (), {"read": staticmethod(away), "write": staticmethod(away)})()
        here._ports = replace(app.ports, store=broken)
        clock.on(30)
        assert (await here.admit(made.token)).name == "bob"
        clock.on(31)
        with pytest.raises(Unavailable, match="disk"):
            await here.admit(made.token)

    asyncio.run(story())


def test_a_token_of_one_door_cannot_be_guessed_there_without_limit(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock, guesses=Rate(per_s=0.1, burst=5))
        own = Token(name="connector", sha256=hashed("its"), role="operator")
        for n in range(5):
            with pytest.raises(Unauthenticated):
                await here.admit(f"guess{n}", address="10.0.0.9", beside=(own,))
        with pytest.raises(TooMany):
            await here.admit("its", address="10.0.0.9", beside=(own,))
        assert (await here.admit("its", address="10.1.0.9", beside=(own,))).name == "connector"
        with pytest.raises(Unauthenticated):
            await here.admit("its", address="10.1.0.9")

    asyncio.run(story())


def test_a_guesser_is_shut_out_even_with_the_right_token_but_not_who_was_let_in_before(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock, guesses=Rate(per_s=0.1, burst=5))
        made = await issue(app.ports, Order(name="app", role="agent"), by="olga")
        await here.admit("sf_old", address="10.0.0.9")
        for n in range(5):
            with pytest.raises(Unauthenticated):
                await here.admit(f"sf_guess{n}", address="10.0.0.9")
        with pytest.raises(TooMany) as told:
            await here.admit("sf_guess", address="10.0.0.9")
        assert 0 < told.value.retry_after_s <= 10
        with pytest.raises(TooMany):
            await here.admit(made.token, address="10.0.0.9")  # the right one at last, and too late
        assert (await here.admit("sf_old", address="10.0.0.9")).name == "old"
        assert (await here.admit(made.token, address="10.0.0.8")).name == "app"
        clock.on(10)
        assert (await here.admit(made.token, address="10.0.0.9")).name == "app"

    asyncio.run(story())


def test_asking_without_a_token_is_no_guess(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock, guesses=Rate(per_s=0.1, burst=2))
        for _ in range(50):
            with pytest.raises(Unauthenticated):
                await here.admit("", address="10.0.0.9")
        await here.admit("sf_old", address="10.0.0.9")

    asyncio.run(story())


def test_a_token_and_an_address_that_ask_too_often_wait(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock, token=Rate(per_s=2, burst=3), address=Rate(per_s=1, burst=2))
        for _ in range(3):
            await here.admit("sf_old")
        with pytest.raises(TooMany, match="old asks too often"):
            await here.admit("sf_old")
        clock.on(0.5)
        await here.admit("sf_old")
        for _ in range(2):
            here.must_not_flood("10.0.0.1")
        with pytest.raises(TooMany):
            here.must_not_flood("10.0.0.1")
        here.must_not_flood("10.0.0.2")

    asyncio.run(story())


def test_what_is_counted_is_bounded() -> None:
    buckets = Buckets(Rate(per_s=1, burst=2), most=100)
    for n in range(1000):
        assert buckets.take(f"10.0.{n // 256}.{n % 256}", 0.0)
    assert len(buckets) == 100


def test_the_last_use_is_written_down_once_a_minute_and_at_the_end(app: App, clock: Clock) -> None:
    async def story() -> None:
        here = door(app, clock)
        made = await issue(app.ports, Order(name="bob", role="viewer"), by="olga")

        async def used() -> datetime | None:
            return (await tokens(app.ports))[0][1]

        await here.admit(made.token)
        first = clock.now
        for _ in range(3):
            clock.on(1)
            await here.admit(made.token)
        assert await used() == first
        await here.aclose()
        assert await used() == clock.now

    asyncio.run(story())


def test_the_first_start_makes_one_admin_however_many_start(app: App) -> None:
    async def story() -> None:
        made = [one for one in await asyncio.gather(*(first_admin(app.ports) for _ in range(8))) if one is not None]
        assert len(made) == 1
        assert made[0].issued.role == "admin"
        await revoke(app.ports, "admin", by="olga")
        assert await first_admin(app.ports) is None

    asyncio.run(story())


def test_the_token_itself_is_nowhere_in_the_store_or_its_record(app: App, tmp_path: Path) -> None:
    made = asyncio.run(issue(app.ports, Order(name="bob", role="viewer"), by="olga"))
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert made.token.encode() not in kept
    assert made.token.removeprefix("sf_").encode() not in kept
    assert hashed(made.token).encode() in kept
    assert made.token not in repr(made)
    actions = [(one.action, one.subject) for one in app.store.read_now(lambda tx: tx.audit.all())]
    assert actions == [("token-created", "bob")]


def test_names_are_given_once_and_free_again_when_their_token_ended(app: App) -> None:
    async def story() -> None:
        one = await issue(app.ports, Order(name="Bob", role="viewer"), by="olga")
        with pytest.raises(Conflict):
            await issue(app.ports, Order(name=" bob\u200b", role="admin"), by="olga")
        await revoke(app.ports, one.issued.id, by="olga")
        with pytest.raises(Conflict, match="already"):
            await revoke(app.ports, one.issued.id, by="olga")
        await issue(app.ports, Order(name="bob", role="viewer"), by="olga")
        with pytest.raises(NotFound):
            await revoke(app.ports, "nobody", by="olga")
        for wrong in ("", " ", "\u200b", "x" * 201):
            with pytest.raises(Invalid):
                await issue(app.ports, Order(name=wrong, role="viewer"), by="olga")

    asyncio.run(story())


@pytest.mark.parametrize("which", ["id", "name", " NAME"])
def test_nobody_ends_the_token_they_came_with_however_they_name_it(app: App, which: str) -> None:
    async def story() -> None:
        mine = (await issue(app.ports, Order(name="root", role="admin", person="ann"), by="olga")).issued
        named = {"id": mine.id, "name": "root", " NAME": " Root\u200b"}[which]
        giver = Token(name="ann", sha256=mine.sha256, role="admin", id=mine.id)
        with pytest.raises(Conflict, match="came with"):
            await revoke(app.ports, named, by="ann", giver=giver)
        other = (await issue(app.ports, Order(name="other", role="admin"), by="olga")).issued
        await revoke(app.ports, named, by="other", giver=replace(giver, name="other", id=other.id))

    asyncio.run(story())


def test_an_admin_of_one_agent_neither_makes_nor_ends_nor_sees_what_is_of_others(app: App) -> None:
    async def story() -> None:
        mine = Token(name="sub", sha256="", role="admin", agents=("support",))
        for order in (Order(name="x", role="viewer"), Order(name="x", role="viewer", agents=("sales",))):
            with pytest.raises(Forbidden):
                await issue(app.ports, order, by="sub", giver=mine)
        await issue(app.ports, Order(name="theirs", role="admin"), by="olga")
        await issue(app.ports, Order(name="ours", role="agent", agents=("support",)), by="sub", giver=mine)
        assert [one.name for one, _ in await tokens(app.ports, giver=mine)] == ["ours"]
        with pytest.raises(NotFound):
            await revoke(app.ports, "theirs", by="sub", giver=mine)
        await revoke(app.ports, "ours", by="sub", giver=mine)

    asyncio.run(story())


def test_facts_are_read_again_before_they_are_a_second_old() -> None:
    assert admit.AGEING_S < admit.FRESH_S < 1.0
