"""The contract of the outbox and of the nonces, on a real file and with real concurrency."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from surefoot.adapters.store import open_store
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.notice import Notice
from surefoot.core.token import EVERY_AGENT

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
ODD = "Straße ☃ \u202e\U0001f600 'quoted\" -- ; DROP TABLE notices\r\n\t"
NOTICE = Notice(
    id="n1", channel="webhook", kind="approval_decided", agent="support", subject=ODD, sentence=ODD, at=NOW,
    next_at=NOW, facts={"odd": ODD, "list": [1, "two"], "none": None},
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    made = open_store(tmp_path / "store.db")
    yield made
    made.close()


async def test_a_notice_is_given_back_as_it_was(store: Any):
    await store.write(lambda tx: tx.notices.add(NOTICE))
    assert await store.read(lambda tx: tx.notices.get("n1")) == NOTICE
    with pytest.raises(NotFound, match="'n2'"):
        await store.read(lambda tx: tx.notices.get("n2"))


async def test_the_first_that_is_due_and_waits_comes_first(store: Any):
    def filled(tx: Any) -> None:
        for n, (minutes, state) in enumerate(
            [(5, "waiting"), (-1, "dead"), (-5, "delivered"), (-2, "waiting"), (-3, "waiting")]
        ):
            tx.notices.add(replace(NOTICE, id=f"n{n}", next_at=NOW + timedelta(minutes=minutes), state=state))

    await store.write(filled)
    assert (await store.read(lambda tx: tx.notices.due(NOW))).id == "n4"
    assert await store.read(lambda tx: tx.notices.due(NOW - timedelta(minutes=4))) is None
    found = await store.read(lambda tx: tx.notices.listed(agents=EVERY_AGENT))
    assert [one.id for one in found] == ["n2", "n4", "n3", "n1", "n0"]
    assert [one.id for one in found if one.state == "dead"] == ["n1"]


async def test_each_channel_has_an_order_of_its_own(store: Any):
    def filled(tx: Any) -> None:
        for n, (minutes, channel) in enumerate([(-1, "a"), (-3, "b"), (-2, "b"), (-9, "c"), (-4, "d"), (1, "a")]):
            state = "dead" if channel == "c" else "waiting"
            at = NOW + timedelta(minutes=minutes)
            tx.notices.add(replace(NOTICE, id=f"n{n}", next_at=at, channel=channel, state=state))

    await store.write(filled)
    assert await store.read(lambda tx: tx.notices.channels(NOW)) == ["d", "b", "a"]
    assert (await store.read(lambda tx: tx.notices.due(NOW, "b"))).id == "n1"
    assert await store.read(lambda tx: tx.notices.due(NOW, "c")) is None


async def test_of_two_who_write_over_the_same_revision_one_is_refused(store: Any):
    await store.write(lambda tx: tx.notices.add(NOTICE))
    done = await asyncio.gather(
        *(store.write(lambda tx, n=n: tx.notices.swap(replace(NOTICE, tries=n))) for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Conflict) for one in done) == 7
    assert (await store.read(lambda tx: tx.notices.get("n1"))).revision == 1


async def test_a_nonce_is_spent_once_by_whoever_comes_first(store: Any):
    spent = await asyncio.gather(
        *(
            store.write(lambda tx: tx.nonces.spend("once", at=NOW, forget_before=NOW - timedelta(hours=1)))
            for _ in range(8)
        )
    )
    assert sorted(spent) == [False] * 7 + [True]


async def test_a_nonce_is_kept_for_as_long_as_it_matters_and_no_longer(store: Any):
    def spend(nonce: str, minutes: int) -> Any:
        at = NOW + timedelta(minutes=minutes)
        return store.write(lambda tx: tx.nonces.spend(nonce, at=at, forget_before=at - timedelta(hours=1)))

    assert await spend("a", 0)
    assert not await spend("a", 59)
    assert not await spend("a", 60)
    assert await spend("b", 61)
    assert await spend("a", 61), "forgotten: its timestamp is long too old"


async def test_what_a_transaction_takes_back_was_never_announced_or_spent(store: Any):
    def fails(tx: Any) -> None:
        tx.notices.add(NOTICE)
        tx.nonces.spend("once", at=NOW, forget_before=NOW)
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.write(fails)
    assert await store.read(lambda tx: tx.notices.listed(agents=EVERY_AGENT)) == []
    assert await store.write(lambda tx: tx.nonces.spend("once", at=NOW, forget_before=NOW))
