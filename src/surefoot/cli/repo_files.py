"""The backlog, the lessons, the report and the way back, for a repository."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.cli.desk import WITH_REPO, Desk

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.repo.levers import RepoLever
    from surefoot.core.repo.report import Morning

VERBS = ("add", "rank", "close", "reopen")
WITH_REPO["levers"] = "repo genome changed levers[]: id title status value cost scope tries log[]"
WITH_REPO["lessons"] = "repo lessons[]: text who evidence tick; conflicts[] added"
WITH_REPO["rollback"] = "repo lever commit revert branch by"
_ID = re.compile(r"L-\d+", re.IGNORECASE)


async def repo_levers(
    desk: Desk, words: Sequence[str], *, value: float | None, cost: float | None, scope: Sequence[str],
    text: str, by: str,
    why: str, log: bool,
) -> None:  # fmt: skip
    """List the levers of a repository, or change them."""
    from surefoot.cli.agents import login
    from surefoot.engine.repo.edit import add_lever, here, move_lever, rank_levers

    verb, subject, directory = _asked(words)
    who, changed = by or login(), ""
    with desk.site(directory) as (app, site):
        if verb == "add":
            globs = tuple(one.strip() for words in scope for one in words.split(",") if one.strip())
            changed = (await add_lever(
                app.ports, site, subject, value=1.0 if value is None else value, cost=1.0 if cost is None else cost,
                scope=globs or ("**",), text=text, by=who,
            )).id  # fmt: skip
        elif verb == "rank":
            await rank_levers(app.ports, site, lever=subject, value=value, cost=cost, by=who)
            changed = subject
        elif verb:
            status = "closed" if verb == "close" else "open"
            changed = (await move_lever(app.ports, site, subject, status, by=who, why=why)).id
        found = await here(app.ports, site)
    _give_levers(desk, found.settings.name, found.strategy.name, found.backlog, changed, log=log)


def _asked(words: Sequence[str]) -> tuple[str, str, Path]:
    """What is to be done, to which lever or with which title, and in which directory."""
    from surefoot.core.errors import Invalid

    verb = words[0] if words and words[0] in VERBS else ""
    rest = list(words[1:] if verb else words)
    takes = verb in ("add", "close", "reopen") or (verb == "rank" and bool(rest) and _ID.fullmatch(rest[0]) is not None)
    if verb in ("add", "close", "reopen") and not rest:
        raise Invalid(f"surefoot levers {verb} needs a {'title' if verb == 'add' else 'lever'}",
                      hint='surefoot levers add "what is to be done"; surefoot levers close L-001')  # fmt: skip
    subject = rest.pop(0) if takes else ""
    if len(rest) > 1:
        raise Invalid(f"{rest[1]!r} is one word too many", hint="put a title in quotation marks")
    return verb, subject, Path(rest[0] if rest else ".")


def _give_levers(
    desk: Desk, name: str, genome: str, found: Sequence[RepoLever], changed: str, *, log: bool
) -> None:  # fmt: skip
    from surefoot.core.repo.levers import order
    from surefoot.core.repo.outcome import entry_line

    ranked = sorted(found, key=lambda one: (one.status != "open", *order(one)))

    def page(screen: Screen) -> None:
        if not ranked:
            screen.note('no lever yet: surefoot levers add "what is to be done" --value 5 --scope "src/**"')
            return
        screen.table(("lever", "status", "value", "cost", "tries", "title"), (
            (one.id, one.status, f"{one.value:g}", f"{one.cost:g}", one.tries, one.title) for one in ranked
        ), wide="title")  # fmt: skip
        for one in ranked if log else ():
            if one.log:
                screen.title(one.id)
            for entry in one.log:
                screen.line(entry_line(entry))

    desk.give({"repo": name, "genome": genome, "changed": changed or None, "levers": [
        {"id": one.id, "title": one.title, "status": one.status, "value": one.value, "cost": one.cost,
         "scope": list(one.scope), "tries": one.tries, "log": [entry_line(entry)[2:] for entry in one.log]}
        for one in ranked
    ]}, page)  # fmt: skip


async def repo_lessons(desk: Desk, directory: Path, *, add: str, by: str) -> None:
    """List the lessons of a repository, or teach it one more."""
    from surefoot.core.repo.lessons import conflicts
    from surefoot.engine.repo.edit import here, teach

    with desk.site(directory) as (app, site):
        if add or by:
            await teach(app.ports, site, add, by=by)
        found = await here(app.ports, site)
    clashes = conflicts(found.lessons)

    def page(screen: Screen) -> None:
        screen.table(("who", "lesson", "evidence"), (
            (one.who or "-", one.text, one.evidence or "-") for one in found.lessons
        ), wide="lesson")  # fmt: skip
        for one, other in clashes:
            screen.line(f"these two contradict each other: “{one.text}” and “{other.text}”", "yellow")

    desk.give({
        "repo": found.settings.name, "added": add or None, "conflicts": [[a.text, b.text] for a, b in clashes],
        "lessons": [{"text": one.text, "who": one.who, "evidence": one.evidence, "tick": one.tick}
                    for one in found.lessons],
    }, page)  # fmt: skip


async def repo_rollback(desk: Desk, directory: Path, lever: str, *, by: str, why: str) -> None:
    """Take one lever back."""
    from surefoot.cli.agents import login
    from surefoot.core.errors import Invalid
    from surefoot.engine.repo.rollback import rollback_lever

    if not lever:
        raise Invalid("which lever is to be taken back?", hint="surefoot rollback --lever L-001")
    by = by or login()
    with desk.site(directory) as (app, site):
        done = await rollback_lever(app.ports, site, lever, by=by, why=why)
        name = Path(site.folder).name

    def page(screen: Screen) -> None:
        if done.revert:
            screen.line(f"{done.lever} is taken back on {done.branch} ({done.revert[:12]}) and open again", "green")
        else:
            screen.line(f"{done.lever} is open again", "green")
            if done.branch:
                screen.note(f"its branch is yours to delete: git branch -D {done.branch}")

    desk.give({"repo": name, "lever": done.lever, "commit": done.commit or None, "revert": done.revert or None,
               "branch": done.branch or None, "by": by}, page)  # fmt: skip


async def repo_report(desk: Desk, directory: Path, *, hours: float, markdown: Path | None, web: Path | None) -> None:
    """Print the morning report, and write it as Markdown or HTML."""
    from surefoot.core.repo import report as words
    from surefoot.engine.repo.report import report

    with desk.site(directory) as (app, site):
        found = await report(app.ports, site, hours=hours)
    written: list[str] = []
    for path, text in ((markdown, words.markdown), (web, words.web_page)):
        if path is not None:
            path.write_text(text(found), encoding="utf-8")
            written.append(str(path))

    def page(screen: Screen) -> None:
        _show_report(screen, found)
        for path in written:
            screen.note(f"wrote {path}")

    desk.give(_report_document(found, written), page)


def _show_report(screen: Screen, found: Morning) -> None:
    screen.title(f"{found.name}: {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC")
    screen.line(f"{found.ticks} ticks, genome {found.genome}, {found.open} levers open")
    tones = {"Shipped": "green", "Failed": "red", "Needs you": "yellow"}
    for heading, rows in found.sections:
        screen.line()
        screen.line(heading, "bold")
        for row in rows:
            screen.line(f"  {row.lever} {row.text}" if row.lever else f"  {row.text}", tones.get(heading, ""))
        if not rows:
            screen.note("  nothing")


def _report_document(found: Morning, written: Sequence[str]) -> dict[str, Any]:
    rows = {heading.lower().replace(" ", "_"): [{"lever": row.lever or None, "text": row.text} for row in listed]
            for heading, listed in found.sections}  # fmt: skip
    return {
        "repo": found.name, "since": found.since, "until": found.until, "genome": found.genome, "ticks": found.ticks,
        "open": found.open, **rows, "written": list(written),
    }  # fmt: skip
