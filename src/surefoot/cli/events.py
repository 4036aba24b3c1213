"""Commands on what happens: events (see them, follow them), and webhooks (let other systems be told)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.core.event import Event, Wanted
    from surefoot.core.notice import Notice
    from surefoot.core.subscription import Subscription
    from surefoot.ports import Tx

POLL_S = 0.5
PAGE = 500
_EVENT = "seq kind agent subject actor at facts"
_HOOK = "id url events[] agents[] by at after"
_DELIVERY = "id event state tries at next_at error delivered_at"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "events", section="Look", keys=f"events[]: {_EVENT}; next")(events)
    command(app, "webhooks", section="Decide", keys=f"webhooks[]: {_HOOK}; signing_key; "
            f"deliveries[]: {_DELIVERY}")(webhooks)  # fmt: skip


async def events(
    desk: Desk,
    agent: Annotated[str, typer.Argument(metavar="[AGENT]", help="only of this agent")] = "",
    kinds: Annotated[str, typer.Option(metavar="A,B", help='kinds of events, such as "rollout.*,incident.*"')] = "",
    after: Annotated[int, typer.Option(min=-1, metavar="N", help="go on after this event (-1: the last 50)")] = -1,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="how many at most")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C; with --json one a line")] = False,
) -> None:
    """Show every change of state by kind, and follow them."""
    import asyncio

    from surefoot.core.event import Wanted, patterns
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    named = patterns([one.strip() for one in kinds.split(",") if one.strip()])
    wanted = Wanted(agents=frozenset({agent} if agent else ()), kinds=named)
    with desk.app() as app:
        if agent:
            await agent_named(app.ports, agent, sees=any_agent)
        found, last = await _page(app, wanted, after, limit)
        if not follow:
            document = {"events": [one.document() for one in found], "next": last}
            desk.give(document, lambda screen: _lines(screen, found))
            return
        while True:
            _told(desk, found)
            await asyncio.sleep(POLL_S)
            found, last = await _page(app, wanted, last, PAGE)


async def _page(app: App, wanted: Wanted, after: int, limit: int) -> tuple[list[Event], int]:
    """Events that are wanted after a number, or the last ones, and the number to go on after."""
    from surefoot.core.event import event_of

    def work(tx: Tx) -> tuple[list[Event], int]:
        names, at = [agent.name for agent in tx.agents.all()], max(0, after)
        found: list[Event] = []
        while batch := tx.audit.after(at, limit=PAGE):
            for entry in batch:
                event, at = event_of(entry, names), entry.seq
                found += [event] if wanted.fits(event) else []
                if after >= 0 and len(found) == limit:
                    return found, at
        return found[-limit:], at

    return await app.store.read(work)


def _told(desk: Desk, found: Sequence[Event]) -> None:
    from surefoot.cli.screen import Screen

    if desk.as_json:
        for one in found:
            sys.stdout.write(json.dumps(one.document()) + "\n")
    elif found:
        with Screen().page() as screen:
            _lines(screen, found)
    sys.stdout.flush()


def _lines(screen: Screen, found: Sequence[Event]) -> None:
    from surefoot.cli.screen import short, when

    for one in found:
        said = str(one.facts.get("sentence") or one.facts.get("reason") or one.facts.get("text") or "")
        screen.line(f"#{one.seq} {when(one.at)}  {one.kind}  {one.subject}  {one.actor}  {short(said, 100)}")


async def webhooks(
    desk: Desk,
    show: Annotated[str, typer.Argument(metavar="[ID]", help="what was told to this one")] = "",
    add: Annotated[str, typer.Option(metavar="URL", help="tell this address from now on")] = "",
    events: Annotated[str, typer.Option(metavar="A,B", help="--add: kinds, such as rollout.* (default: all)")] = "",
    agent: Annotated[list[str] | None, typer.Option(metavar="NAME", help="--add: only of this one; repeatable")] = None,
    remove: Annotated[str, typer.Option(metavar="ID", help="tell this one nothing any more")] = "",
    test: Annotated[str, typer.Option(metavar="ID", help="send this one an event that means nothing")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="who decides (--add, --remove, --test)")] = "",
) -> None:
    """Tell other systems what happens, signed; the key is shown once.

    A worker, the server and `surefoot notify` deliver; dead letters are sent again with `surefoot notices --redrive`.
    """
    from surefoot.core.errors import Invalid
    from surefoot.engine import subscribe as engine

    if (add or remove or test) and not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")
    key, told = None, list[Any]()
    with desk.app() as app:
        if add:
            kinds = [one.strip() for one in events.split(",") if one.strip()]
            _, key = await engine.subscribe(app.ports, add, kinds=kinds, agents=agent or (), by=by)
        if remove:
            await engine.unsubscribe(app.ports, remove, by=by)
        if test:
            told = [await engine.test(app.ports, test, by=by)]
        if show:
            told = await engine.deliveries(app.ports, show, limit=PAGE)
        found = await app.store.read(lambda tx: tx.subscriptions.all())
    desk.give({
        "webhooks": [_hook(one) for one in found], "signing_key": key, "deliveries": [_delivery(one) for one in told],
    }, lambda screen: _page_of_hooks(screen, found, key, told))  # fmt: skip


def _hook(one: Subscription) -> dict[str, Any]:
    return {"id": one.id, "url": one.url, "events": list(one.kinds), "agents": list(one.agents), "by": one.by,
            "at": one.at, "after": one.after}  # fmt: skip


def _delivery(one: Notice) -> dict[str, Any]:
    event: Any = one.facts.get("event", {})
    return {"id": one.id, "event": event.get("kind"), "state": one.state, "tries": one.tries, "at": one.at,
            "next_at": one.next_at, "error": one.error or None, "delivered_at": one.delivered_at}  # fmt: skip


def _page_of_hooks(screen: Screen, found: Sequence[Subscription], key: str | None, told: Sequence[Notice]) -> None:
    from surefoot.cli.screen import when

    if not found:
        screen.note("nobody is told: surefoot webhooks --add https://HOST/PATH --by NAME")
    else:
        screen.table(("webhook", "address", "events", "agents", "up to"), (
            (one.id, one.url, ", ".join(one.kinds) or "all", ", ".join(one.agents) or "all", one.after) for one in found
        ), wide="address")  # fmt: skip
    if key:
        screen.line(f"signing key: {key}")
        screen.note("it is shown once and kept nowhere; docs/how-to/notifications-and-webhooks.md shows a receiver")
    if told:
        screen.table(("delivery", "event", "state", "tries", "at", "error"), (
            (one.id, _delivery(one)["event"], one.state, one.tries, when(one.at), one.error or "-") for one in told
        ))  # fmt: skip
