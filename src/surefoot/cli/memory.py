"""Commands of `memory`: get, set, append, delete, list, search, changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.memory import Entry, Where

Key = Annotated[str, typer.Argument(metavar="KEY", help="the key")]
Workflow = Annotated[str, typer.Option(metavar="ID", help="the workflow it belongs to")]
Session = Annotated[str, typer.Option(metavar="ID", help="the session it belongs to")]
Actor = Annotated[str, typer.Option(metavar="ID", help="the actor it belongs to")]
ScopeName = Annotated[str, typer.Option(metavar="SCOPE", help="workflow, session, actor, agent or global")]
Pattern = Annotated[str, typer.Option(metavar="PATTERN", help="keys that fit, * stands for anything")]
_ENTRY = "key value scope owner written_at expires_at"


def register(group: typer.Typer) -> None:
    """Add these commands."""
    command(group, "get", keys=_ENTRY)(get)
    command(group, "set", keys=_ENTRY)(set_)
    command(group, "append", keys=_ENTRY)(append)
    command(group, "delete", keys="deleted")(delete)
    command(group, "list", keys=f"entries[]: {_ENTRY}")(list_)
    command(group, "search", keys=f"entries[]: {_ENTRY}")(search)
    command(group, "changes", keys="changes[]: seq key action scope owner at; next")(changes)


async def get(
    desk: Desk, agent: AgentName, key: Key, workflow: Workflow = "", session: Session = "", actor: Actor = "",
    scope: ScopeName = "",
) -> int:  # fmt: skip
    """Show what is remembered under a key, and in which scope it was found. Exit code 1 if there is nothing."""
    from surefoot.engine.remember import recall

    with desk.app() as app:
        where = await _where(app, agent, workflow, session, actor)
        found = await recall(app.ports, where, key, scope=scope)
    if found is None:
        desk.give({"key": key, "value": None}, lambda screen: screen.note(f"nothing is remembered under {key}"))
        return 1
    _shown(desk, found)
    return 0


async def set_(
    desk: Desk, agent: AgentName, key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON, or a text as it is")],
    workflow: Workflow = "", session: Session = "", actor: Actor = "", scope: ScopeName = "",
    ttl: Annotated[float | None, typer.Option(metavar="SECONDS", help="forget it after so long")] = None,
) -> None:  # fmt: skip
    """Remember a value under a key: in the scope named, else in the most specific one."""
    from surefoot.engine.remember import remember

    with desk.app() as app:
        where = await _where(app, agent, workflow, session, actor)
        _shown(desk, await remember(app.ports, where, key, _value(value), scope=scope, ttl_s=ttl))


async def append(
    desk: Desk, agent: AgentName, key: Key,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="JSON, or a text as it is")],
    workflow: Workflow = "", session: Session = "", actor: Actor = "", scope: ScopeName = "",
    keep: Annotated[int, typer.Option(metavar="N", help="the newest items that are kept")] = 500,
) -> None:  # fmt: skip
    """Append an item to a list; writers at the same time lose nothing."""
    from surefoot.engine.remember import append as appended

    with desk.app() as app:
        where = await _where(app, agent, workflow, session, actor)
        _shown(desk, await appended(app.ports, where, key, _value(item), scope=scope, keep=keep))


async def delete(
    desk: Desk, agent: AgentName, key: Key, workflow: Workflow = "", session: Session = "", actor: Actor = "",
    scope: ScopeName = "",
) -> int:  # fmt: skip
    """Forget a key in one scope; the same key in other scopes stays. Exit code 1 if nothing was there."""
    from surefoot.engine.remember import forget

    with desk.app() as app:
        gone = await forget(app.ports, await _where(app, agent, workflow, session, actor), key, scope=scope)
    desk.give({"deleted": gone}, lambda screen: screen.line("forgotten" if gone else "nothing was there"))
    return 0 if gone else 1


async def list_(
    desk: Desk, agent: AgentName, workflow: Workflow = "", session: Session = "", actor: Actor = "",
    scope: ScopeName = "agent", pattern: Pattern = "*",
) -> None:  # fmt: skip
    """List one scope."""
    from surefoot.engine.remember import entries

    with desk.app() as app:
        where = await _where(app, agent, workflow, session, actor)
        found = await entries(app.ports, where, scope=scope, pattern=pattern)
    _listed(desk, found)


async def search(
    desk: Desk, agent: AgentName, text: Annotated[str, typer.Argument(metavar="TEXT", help="what it is to be like")],
    workflow: Workflow = "", session: Session = "", actor: Actor = "", scope: ScopeName = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="how many")] = 10,
) -> None:  # fmt: skip
    """Find what is most like a text, by its words; items of lists one by one."""
    from surefoot.engine.remember import similar

    with desk.app() as app:
        where = await _where(app, agent, workflow, session, actor)
        found = await similar(app.ports, where, text, scope=scope, limit=limit)
    _listed(desk, found)


async def changes(
    desk: Desk, agent: AgentName, workflow: Workflow = "", session: Session = "", actor: Actor = "",
    pattern: Pattern = "*", after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="go on after this")] = 0,
) -> None:  # fmt: skip
    """Show what was written, appended, deleted or expired; `--after` the last one seen goes on from there."""
    from surefoot.engine.remember import changes as changed

    with desk.app() as app:
        where = await _where(app, agent, workflow, session, actor)
        found = await changed(app.ports, where, after=after, pattern=pattern)

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        screen.table(("seq", "at", "scope", "key", "what"), (
            (one.seq, when(one.at), f"{one.place.scope} {one.place.owner}", one.key, one.action) for one in found
        ))  # fmt: skip

    rows = [{"seq": one.seq, "key": one.key, "action": one.action, "scope": one.place.scope, "owner": one.place.owner,
             "at": one.at} for one in found]  # fmt: skip
    desk.give({"changes": rows, "next": found[-1].seq if found else after}, page)


async def _where(app: Any, agent: str, workflow: str, session: str, actor: str) -> Where:
    from surefoot.core.memory import Where
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    await agent_named(app.ports, agent, sees=any_agent)
    return Where(agent=agent, workflow=workflow, session=session, actor=actor)


def _value(text: str) -> object:
    """JSON if it is JSON, else the text itself."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def document(entry: Entry) -> dict[str, Any]:
    """Give an entry as programs read it."""
    return {
        "key": entry.key, "value": entry.value, "scope": entry.place.scope, "owner": entry.place.owner,
        "written_at": entry.written_at, "expires_at": entry.expires_at,
    }  # fmt: skip


def _shown(desk: Desk, entry: Entry) -> None:
    def page(screen: Screen) -> None:
        from surefoot.cli.desk import json_text

        screen.line(json_text(entry.value))
        screen.note(f"in the {entry.place.scope} {entry.place.owner}")

    desk.give(document(entry), page)


def _listed(desk: Desk, found: list[Entry]) -> None:
    def page(screen: Screen) -> None:
        from surefoot.cli.desk import json_text

        if not found:
            screen.note("nothing is remembered there")
            return
        screen.table(("scope", "key", "value"), (
            (f"{one.place.scope} {one.place.owner}", one.key, " ".join(json_text(one.value).split())[:120])
            for one in found
        ))  # fmt: skip

    desk.give({"entries": [document(one) for one in found]}, page)
