"""Commands on the outbox: notify (deliver what is due), and notices (what did not arrive, and sending it again)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.notice import Notice

_NOTICE = "id channel kind subject sentence state tries at next_at error delivered_at"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "notify", section="Decide", keys=f"delivered waiting dead notices[]: {_NOTICE}")(notify)
    command(app, "notices", section="Decide", keys=f"notices[]: {_NOTICE}")(notices)


async def notify(desk: Desk) -> int:
    """Tell people what is due, once, over every channel that is set up.

    A worker and the server do this by themselves. Exit code 1 when something could not be delivered.
    """
    from surefoot.engine.notify import deliver

    with desk.app() as app, desk.waiting("telling people"):
        done = await deliver(app.ports)

    def page(screen: Screen) -> None:
        if not done.notices:
            screen.note("nothing to tell")
        _table(screen, done.notices)

    counts = {state: done.count(state) for state in ("delivered", "waiting", "dead")}
    desk.give({**counts, "notices": [_document(one) for one in done.notices]}, page)
    return 0 if counts["delivered"] == len(done.notices) else 1


async def notices(
    desk: Desk,
    every: Annotated[bool, typer.Option("--all", help="also those that arrived")] = False,
    redrive: Annotated[str, typer.Option(metavar="ID", help="give this dead letter its five tries back")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who sends it again")] = "",
) -> None:
    """Show what people were not told yet: what waits, and dead letters."""
    from surefoot.core.token import EVERY_AGENT
    from surefoot.engine.notify import listed
    from surefoot.engine.notify import redrive as again

    with desk.app() as app:
        if redrive:
            found = [await again(app.ports, redrive, by=by)]
        else:
            found = await listed(app.ports, all_of_them=every, agents=EVERY_AGENT)

    def page(screen: Screen) -> None:
        if not found:
            screen.note("nothing waits to be told")
        _table(screen, found)
        if any(one.state == "dead" for one in found):
            screen.note("send a dead letter again: surefoot notices --redrive ID, then surefoot notify")

    desk.give({"notices": [_document(one) for one in found]}, page)


def _table(screen: Screen, found: list[Notice] | tuple[Notice, ...]) -> None:
    from surefoot.cli.screen import when

    if found:
        screen.table(("notice", "channel", "state", "tries", "next", "about", "error"), (
            (one.id, one.channel, one.state, one.tries, when(one.next_at if one.state == "waiting" else None),
             f"{one.subject}: {one.kind.replace('_', ' ')}", one.error or "-")
            for one in found
        ))  # fmt: skip


def _document(one: Notice) -> dict[str, Any]:
    return {
        "id": one.id, "channel": one.channel, "kind": one.kind, "subject": one.subject, "sentence": one.sentence,
        "state": one.state, "tries": one.tries, "at": one.at, "next_at": one.next_at, "error": one.error or None,
        "delivered_at": one.delivered_at,
    }  # fmt: skip
