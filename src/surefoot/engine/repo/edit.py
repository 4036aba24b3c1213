"""Edit: what people do to the backlog and the lessons by command: add, rank, close, reopen, teach.

The change is made in the person's copy of the file, line by line, as if they had opened an editor; the next tick takes
it in. Where the copy is missing, the loop's own text is written there first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from surefoot.core.errors import Invalid
from surefoot.core.repo.files import LEVERS, PROMPT, Files
from surefoot.core.repo.lessons import RepoLesson, learned
from surefoot.core.repo.levers import LeverStatus, RepoLever, by_hand, levers, logged, named, ranked, valued
from surefoot.core.repo.levers import added as with_lever
from surefoot.core.repo.paper import Paper, decoded, paper
from surefoot.engine.repo.open import entered, standing_now
from surefoot.ports import Ports, Tx
from surefoot.ports.site import Site


async def add_lever(
    ports: Ports, site: Site, title: str, *, value: float, cost: float, scope: tuple[str, ...], text: str = "", by: str
) -> RepoLever:
    """Add an open lever; Invalid names what is wrong with it."""
    given: list[str] = []

    def change(source: Paper) -> Paper:
        fresh, name = with_lever(source, title, value=value, cost=cost, scope=scope, text=text)
        given.append(name)
        return fresh

    after = await _changed(ports, site, LEVERS, change, by=by, action="lever-added", about=title)
    return named(levers(after), given[-1])


async def rank_levers(
    ports: Ports, site: Site, *, lever: str = "", value: float | None = None, cost: float | None = None, by: str
) -> tuple[RepoLever, ...]:
    """Give a lever another value or cost if one is named, and put the blocks in the order they would be taken."""

    def change(source: Paper) -> Paper:
        return ranked(valued(source, lever, value=value, cost=cost) if lever else source)

    after = await _changed(ports, site, LEVERS, change, by=by, action="levers-ranked", about=lever)
    return levers(after)


async def move_lever(ports: Ports, site: Site, lever: str, status: LeverStatus, *, by: str, why: str = "") -> RepoLever:
    """Close a lever, or open it again, with a line in its log."""
    what = "closed" if status == "closed" else "reopened"
    at = ports.clock().replace(microsecond=0)

    def change(source: Paper) -> Paper:
        known = named(levers(source), lever)
        return logged(source, known.id, by_hand(at, what, by, why), status=status)

    after = await _changed(ports, site, LEVERS, change, by=by, action=f"lever-{what}", about=lever)
    return named(levers(after), lever)


async def teach(ports: Ports, site: Site, text: str, *, by: str) -> None:
    """Add a lesson in a person's name."""
    if not text.strip() or not by.strip() or by.strip().startswith("tick "):
        raise Invalid("a lesson needs a text and a teacher", hint='write --add "…" --by NAME')
    lesson = RepoLesson(text=text, who=by.strip().translate({40: None, 41: None})[:60])
    await _changed(
        ports, site, PROMPT, lambda source: learned(source, lesson), by=by, action="lesson-added", about=text
    )


async def _changed(
    ports: Ports, site: Site, name: str, change: Callable[[Paper], Paper], *, by: str, action: str, about: str
) -> Paper:
    """Change a person's copy of a file and record it; gives the paper as it is now."""
    if not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")
    found = await here(ports, site)
    before = await asyncio.to_thread(site.papers.read, name)
    text = getattr(found, "levers" if name == LEVERS else "prompt").text if before is None else decoded(name, before)
    after = change(paper(name, text))
    if before is None or after.text != text:
        await asyncio.to_thread(site.papers.write, name, after.text.encode(), expected=before)
    now, target = ports.clock(), found.settings.name

    def note(tx: Tx) -> None:
        tx.audit.append(at=now, actor=by.strip(), action=action, subject=target, payload={"about": about})

    await ports.store.write(note)
    return after


async def here(ports: Ports, site: Site) -> Files:
    """Give the files as the next tick would see them, and enter the repository in the store if it is new."""
    found = (await standing_now(ports, site)).files
    await entered(ports, found)
    return found
