"""Commands that look after the record and the store: audit, db, backup, restore, doctor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.audit import Entry


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "backup", section="Keep", keys="store file bytes")(backup)
    command(app, "restore", section="Keep", keys="store file kept")(restore)
    from surefoot.cli.doctor import doctor

    command(app, "doctor", section="Start", keys="usable checks[]: name ok detail hint")(doctor)


def register_audit(group: typer.Typer) -> None:
    """Add the commands of `audit`."""
    command(group, "verify", keys="intact entries head broken_at problem miscounted")(verify_audit)
    command(group, "show", keys="entries[]: seq at actor action subject payload digest")(show_audit)


def register_db(group: typer.Typer) -> None:
    """Add the commands of `db`."""
    command(group, "upgrade", keys="store before after kept")(upgrade)


async def verify_audit(
    desk: Desk,
    head: Annotated[
        str, typer.Option(metavar="COUNT:DIGEST", help="a head you noted earlier; a cut tail is found by it")
    ] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="who walks it (default: your login)")] = "",
) -> int:
    """Check the chain of the record, and count the labels of all rollouts anew.

    It is walked from its first entry, and what was found is remembered under the name.
    Exit code 1 when an entry was changed, removed or reordered, or a running count differs from its facts.
    """
    from surefoot.cli.agents import login
    from surefoot.engine.inspect import miscounted
    from surefoot.engine.verify import walk

    noted = _head(head)
    with desk.app() as app:
        found = await walk(app.ports, by=by.strip() or login(), head=noted)
        wrong = await miscounted(app.ports)

    def page(screen: Screen) -> None:
        if found.intact:
            screen.line(f"the record is whole: {found.entries} entries", "green")
            screen.line(f"head {found.entries}:{found.head}")
            screen.note("note the head elsewhere; `audit verify --head` will know if the tail was cut")
        else:
            screen.line(f"the record is broken at entry {found.broken_at}: {found.problem}", "red")
            screen.line(f"whole up to {found.entries}:{found.head}")
        for rollout in wrong:
            screen.line(f"rollout {rollout} was decided from counts that differ from its facts", "red")

    desk.give({"intact": found.intact, "entries": found.entries, "head": f"{found.entries}:{found.head}",
               "broken_at": found.broken_at, "problem": found.problem, "miscounted": wrong}, page)  # fmt: skip
    return 0 if found.intact and not wrong else 1


def _head(text: str) -> tuple[int, str] | None:
    from surefoot.core.errors import Invalid

    if not text:
        return None
    found = re.fullmatch(r"(\d{1,12}):([0-9a-f]{64})", text.strip().lower())
    if found is None:
        raise Invalid(f"{text!r} is not a head", hint="write it as audit verify printed it, COUNT:DIGEST")
    return int(found[1]), found[2]


async def show_audit(
    desk: Desk,
    subject: Annotated[
        str, typer.Argument(metavar="[SUBJECT]", help="an agent, or what is below it, such as support/v3")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="how many of the last entries")] = 50,
) -> None:
    """Show who did what to which thing, oldest first."""
    with desk.app() as app:
        entries = await app.store.read(lambda tx: tx.audit.all())
    shown = [one for one in entries if not subject or one.subject == subject or one.subject.startswith(f"{subject}/")][
        -limit:
    ]

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        screen.table(("#", "at", "who", "what", "on", "details"), (
            (one.seq, when(one.at), one.actor, one.action, one.subject, _details(one)) for one in shown
        ), wide="details")  # fmt: skip

    desk.give({"entries": [
        {"seq": one.seq, "at": one.at, "actor": one.actor, "action": one.action, "subject": one.subject,
         "payload": dict(one.payload), "digest": one.digest}
        for one in shown
    ]}, page)  # fmt: skip


def _details(entry: Entry) -> str:
    from surefoot.cli.screen import short

    told = entry.payload
    said = told.get("sentence") or told.get("rationale") or told.get("reason") or told.get("text") or ""
    return short(str(said), 100)


async def upgrade(desk: Desk) -> None:
    """Bring an older store up to date.

    A copy of the older store is kept beside it. Opening a store does the same.
    """
    from surefoot.cli.storefile import look

    store = desk.settings().store
    before = look(store).schema
    with desk.app(create=True):
        after = look(store).schema
    copies = sorted(str(path) for path in store.parent.glob(f"{store.name}.before-*-upgrade"))

    def page(screen: Screen) -> None:
        screen.line(f"{store} has the schema {after}" + (f"; it had {before}" if before not in ("", after) else ""))
        for path in copies:
            screen.note(f"kept {path}")

    desk.give({"store": store, "before": before or None, "after": after, "kept": copies}, page)


async def backup(
    desk: Desk,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="where the copy goes; it must not be there yet")],
) -> None:
    """Copy the store while it is in use.

    The copy is one moment of it, and is checked.
    """
    from surefoot.cli import storefile

    with desk.app() as app:
        store = app.settings.store
        size = storefile.copy(store, file)

    def page(screen: Screen) -> None:
        screen.line(f"{store} is copied to {file} ({size / 1e6:.1f} MB)", "green")

    desk.give({"store": store, "file": file, "bytes": size}, page)


async def restore(
    desk: Desk,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a copy that `backup` made")],
) -> None:
    """Put a backup in the place of the store.

    What is there now is moved aside, never overwritten. End all workers first: a process that has the old
    store open goes on writing to it.
    """
    from surefoot.cli import storefile

    store = desk.settings().store
    kept = storefile.put_back(file, store)
    with desk.app():
        pass

    def page(screen: Screen) -> None:
        screen.line(f"{store} is restored from {file}", "green")
        if kept:
            screen.note(f"the store that was there is kept as {kept}")

    desk.give({"store": store, "file": file, "kept": kept or None}, page)
