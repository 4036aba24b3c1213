"""Lessons: what the loop has taught itself about an agent, newest first."""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.core.lesson import Lesson
from surefoot.core.mask import masked_lesson
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page

ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """A page of lessons; `older` is where the next one begins."""

    agent: str
    rows: tuple[Lesson, ...]
    wanted: str
    total: int
    older: int | None
    copies: Copies


async def screen(asking: Asking) -> Page:
    """Show an agent's lessons; `q` keeps those with these words."""
    agent, wanted, after = await asking.agent(), asking.query("q").strip(), asking.number("after") or 0
    found = (await asking.ports.store.read(lambda tx: tx.lessons.all(agent.name)))[::-1]
    found = found if asking.visitor.reads(agent.name) else [masked_lesson(one) for one in found]
    kept = [one for one in found if wanted.casefold() in f"{one.text} {one.evidence}".casefold()]
    model = Lessons(
        agent=agent.name, rows=tuple(kept[after : after + ROWS]), wanted=wanted, total=len(found),
        older=after + ROWS if len(kept) > after + ROWS else None,
        copies=copies(("lessons", agent.name), "GET", f"/api/v1/agents/{agent.name}/lessons"),
    )  # fmt: skip
    return Page(template="lessons.html", model=model, title=f"Lessons of {agent.name}", place="agents",
                agent=agent.name, tab="lessons", live=("audit",))  # fmt: skip
