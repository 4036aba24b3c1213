"""Notify: put into the outbox what people have to be told, and deliver it.

A notice is written in the transaction of what it tells: there is no request that nobody heard of because a process
died between the two, and no notice about what was rolled back. Delivery happens outside of any transaction, by every
worker, by `surefoot notify` and by the server; each notice is taken, tried and settled by compare-and-set, so two of
them do not tell it twice unless one was killed in between.

Each channel is delivered to by itself, one notice after another: whoever is slow delays nobody but themselves. People's
channels (terminal, e-mail, the webhook of the settings) go first and wait for no subscriber; of the others a few are
tried at a time, each for a short turn, so that the next one's comes soon.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from surefoot.core.errors import Conflict, Invalid, SurefootError, Unavailable
from surefoot.core.execution import CHANNEL as OF_EXECUTION
from surefoot.core.notice import Notice, NoticeKind, NoticeState, delivered, failed, redriven, taken
from surefoot.core.subscription import subscribed
from surefoot.engine.settle import tell
from surefoot.engine.subscribe import spread
from surefoot.ports import Ports, Tx

AT_ONCE, LANES = 100, 8
EVERY_S, TURN_S = 2.0, 5.0
Whose = Literal["people", "programs"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of deliveries came to: the notices as they stand after it."""

    notices: tuple[Notice, ...]

    def count(self, state: NoticeState) -> int:
        """How many are in this state now; `waiting` ones are tried again."""
        return sum(one.state == state for one in self.notices)


def announce(
    tx: Tx, ports: Ports, kind: NoticeKind, *, agent: str, subject: str, sentence: str, facts: Mapping[str, object]
) -> None:
    """Put a notice for each channel into the outbox, in this transaction."""
    now = ports.clock()
    for channel in sorted(ports.notifiers):
        tx.notices.add(Notice(
            id=ports.new_id(), channel=channel, kind=kind, agent=agent, subject=subject, sentence=sentence, at=now,
            next_at=now, facts=dict(facts),
        ))  # fmt: skip


async def deliver(ports: Ports, *, limit: int = AT_ONCE) -> Round:
    """Try the notices whose time has come, oldest first in each channel, and give what became of each.

    A channel whose turn lasted for `TURN_S` seconds, and whatever is above `limit`, waits for the next round.
    """
    await spread(ports)
    people, programs = await _all(_round(ports, "people", limit), _round(ports, "programs", limit))
    return Round(notices=(*people, *programs))


async def _round(ports: Ports, whose: Whose, limit: int) -> list[Notice]:
    """One turn for each channel of these, a few of them at a time."""
    now, done, lanes = ports.clock(), list[Notice](), asyncio.Semaphore(LANES)
    due = await ports.store.read(lambda tx: tx.notices.channels(now))

    async def lane(channel: str) -> None:
        async with lanes:
            until = asyncio.get_running_loop().time() + TURN_S
            while len(done) < limit and (notice := await _take(ports, channel)) is not None:
                done.append(await _tried(ports, notice))
                if asyncio.get_running_loop().time() >= until:
                    return

    await _all(*(lane(channel) for channel in due if _whose(channel) == whose))
    return done


async def _all(*parts: Awaitable[T]) -> list[T]:
    """Wait for all of them, and raise the first error only then: what one could not do ends none of the others."""
    ended = await asyncio.gather(*parts, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return [one for one in ended if not isinstance(one, BaseException)]


def _whose(channel: str) -> Whose:
    return "programs" if subscribed(channel) or channel.startswith(OF_EXECUTION) else "people"


async def _take(ports: Ports, channel: str) -> Notice | None:
    """Take the channel's next notice that is due; those that nobody can try any more die on the way."""
    now = ports.clock()
    if await ports.store.read(lambda tx: tx.notices.due(now, channel)) is None:
        return None

    def work(tx: Tx) -> Notice | None:
        while (found := tx.notices.due(now, channel)) is not None:
            mine = tx.notices.swap(taken(found, now))
            if mine.state == "waiting":
                return mine
            _buried(tx, ports, mine)
        return None

    return await ports.store.write(work)


async def _tried(ports: Ports, notice: Notice) -> Notice:
    """Send a notice and write down how it went; somebody who took it meanwhile keeps it."""
    error, for_good = "", False
    try:
        await _send(ports, notice)
    except Unavailable as reason:
        error = reason.message
    except SurefootError as reason:
        error, for_good = f"{reason.message} ({reason.hint})", True
    now = ports.clock()
    after = failed(notice, error, now, for_good=for_good) if error else delivered(notice, now)

    def work(tx: Tx) -> Notice:
        if after.state == "dead":
            _buried(tx, ports, after)
        return tx.notices.swap(after)

    with contextlib.suppress(Conflict):
        return await ports.store.write(work)
    return await ports.store.read(lambda tx: tx.notices.get(notice.id))


async def _send(ports: Ports, notice: Notice) -> None:
    if name := subscribed(notice.channel):
        url = await ports.store.read(lambda tx: tx.subscriptions.get(name).url)
        await ports.hooks.notifier(url, name).send(notice)
        return
    if notice.channel.startswith(OF_EXECUTION):
        await tell(ports, notice)
        return
    if notice.channel not in ports.notifiers:
        raise Unavailable(f"the channel {notice.channel} is not set up here", hint="see [notify] in surefoot.toml")
    await ports.notifiers[notice.channel].send(notice)


def _buried(tx: Tx, ports: Ports, notice: Notice) -> None:
    tx.audit.append(
        at=ports.clock(), actor="notifier", action="notice-dead", subject=notice.subject,
        payload={"notice": notice.id, "channel": notice.channel, "tries": notice.tries, "error": notice.error},
    )  # fmt: skip


async def redrive(ports: Ports, notice_id: str, *, by: str) -> Notice:
    """Give a dead letter its tries back, in a person's name; Conflict for one that is not dead."""
    if not by.strip():
        raise Invalid("a dead letter is sent again by a person", hint="say who does it (--by NAME)")
    now = ports.clock()

    def work(tx: Tx) -> Notice:
        after = tx.notices.swap(redriven(tx.notices.get(notice_id), now))
        tx.audit.append(at=now, actor=by, action="notice-redriven", subject=after.subject,
                        payload={"notice": notice_id, "channel": after.channel})  # fmt: skip
        return after

    return await ports.store.write(work)


async def listed(
    ports: Ports, *, agents: Collection[str], all_of_them: bool = False, limit: int | None = None, after: str = ""
) -> list[Notice]:  # fmt: skip
    """Give the notices that did not arrive yet: those that wait and the dead letters; or all there ever were.

    At most `limit`, behind the notice `after`, of these agents (none named is all).
    """
    return await ports.store.read(
        lambda tx: tx.notices.listed(limit=limit, after=after, agents=agents, delivered=all_of_them)
    )


@contextlib.asynccontextmanager
async def delivering(ports: Ports, *, every_s: float = EVERY_S) -> AsyncGenerator[None]:
    """Deliver what is due, again and again, for as long as the block lasts."""

    async def turns(whose: Whose) -> None:
        while True:
            with contextlib.suppress(SurefootError):  # a store that is busy now is not in a moment
                if whose == "programs":
                    await spread(ports)
                await _round(ports, whose, AT_ONCE)
            await asyncio.sleep(every_s)

    tasks = [asyncio.create_task(turns("people")), asyncio.create_task(turns("programs"))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await _all(*tasks)
