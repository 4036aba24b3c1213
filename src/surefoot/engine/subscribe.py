"""Subscribe: tell other systems of events, from where each of them left off.

`spread` reads the audit log after the last event that a subscription was told of, and puts a notice for each event it
wants into the outbox, in the transaction that moves that mark: an event is put there exactly once, whoever spreads and
whenever they die. The outbox then delivers each at least once. A new subscription begins with what comes after it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from surefoot.core.audit import Entry
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.event import Event, Wanted, event_of, patterns
from surefoot.core.notice import Notice
from surefoot.core.subscription import MOST, Subscription
from surefoot.ports import Ports, Tx

BATCH = 200
TEST = "webhook.test"


async def subscribe(
    ports: Ports, url: str, *, kinds: Sequence[str] = (), agents: Sequence[str] = (), by: str
) -> tuple[Subscription, str]:
    """Begin to tell an address of events; gives the subscription and its key, which is never shown again.

    Invalid and Forbidden for an address or a kind that will not do, NotFound for an agent, Unavailable without secret.
    """
    ports.hooks.check(url)
    now, made = ports.clock(), ports.new_id()
    key = ports.hooks.key(made)
    wanted = patterns(kinds)

    def work(tx: Tx) -> Subscription:
        for name in agents:
            tx.agents.get(name)
        if len(tx.subscriptions.all()) >= MOST:
            raise Conflict(f"there are {MOST} webhooks already", hint="delete one that nobody needs")
        tx.audit.append(at=now, actor=by, action="webhook-added", subject=made,
                        payload={"kinds": list(wanted), "agents": list(agents)})  # fmt: skip
        one = Subscription(id=made, url=url, kinds=wanted, agents=tuple(dict.fromkeys(agents)), by=by, at=now,
                           after=tx.audit.last())  # fmt: skip
        tx.subscriptions.add(one)
        return one

    return await ports.store.write(work), key


async def unsubscribe(ports: Ports, subscription_id: str, *, by: str) -> Subscription:
    """Tell an address of nothing any more; what waits for it becomes dead letters."""
    now = ports.clock()

    def work(tx: Tx) -> Subscription:
        one = tx.subscriptions.get(subscription_id)
        tx.subscriptions.drop(subscription_id)
        tx.audit.append(at=now, actor=by, action="webhook-removed", subject=subscription_id, payload={})
        return one

    return await ports.store.write(work)


async def spread(ports: Ports) -> int:
    """Put what happened since into the outbox, for each subscription; gives how many notices that were."""
    behind = await ports.store.read(_behind)
    if not behind:
        return 0
    return await ports.store.write(lambda tx: sum(_told(tx, ports, one) for one in behind))


def _behind(tx: Tx) -> list[str]:
    last = tx.audit.last()
    return [one.id for one in tx.subscriptions.all() if one.after < last]


def _told(tx: Tx, ports: Ports, subscription_id: str) -> int:
    """One batch for one subscription; it may be gone by now."""
    try:
        one = tx.subscriptions.get(subscription_id)
    except NotFound:
        return 0
    entries = tx.audit.after(one.after, limit=BATCH)
    if not entries:
        return 0
    heard = _heard(one, entries, [agent.name for agent in tx.agents.all()])
    for event in heard:
        tx.notices.add(_notice(ports, one, event))
    tx.subscriptions.swap(replace(one, after=entries[-1].seq))
    return len(heard)


def _heard(one: Subscription, entries: Sequence[Entry], agents: Collection[str]) -> list[Event]:
    """The events that it wants; none about a notice, or telling one would make the next."""
    wanted = Wanted(agents=frozenset(one.agents), kinds=one.kinds)
    found = (event_of(entry, agents) for entry in entries if not entry.action.startswith("notice-"))
    return [event for event in found if wanted.fits(event)]


def _notice(ports: Ports, one: Subscription, event: Event) -> Notice:
    now = ports.clock()
    sentence = str(event.facts.get("sentence") or f"{event.actor}: {event.kind}")
    return Notice(
        id=ports.new_id(), channel=one.channel, kind="event", agent=event.agent, subject=event.subject,
        sentence=sentence, at=now, next_at=now, facts={"event": event.document()},
    )  # fmt: skip


async def test(ports: Ports, subscription_id: str, *, by: str) -> Notice:
    """Put an event that means nothing into the outbox, to see whether it arrives; gives its notice."""
    one = await ports.store.read(lambda tx: tx.subscriptions.get(subscription_id))
    event = Event(seq=0, kind=TEST, agent="", subject=one.id, actor=by, at=ports.clock())
    notice = _notice(ports, one, event)
    await ports.store.write(lambda tx: tx.notices.add(notice))
    return notice


async def deliveries(ports: Ports, subscription_id: str, *, limit: int, after: str = "") -> list[Notice]:
    """Give what was put into the outbox for a subscription, newest first, behind the notice `after`."""
    return await ports.store.read(
        lambda tx: tx.notices.told(tx.subscriptions.get(subscription_id).channel, limit=limit, after=after)
    )
