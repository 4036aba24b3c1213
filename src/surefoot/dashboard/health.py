"""Health: how the server is, line by line: good or bad, since when, and what to do next.

A visitor held to some agents sees the lines about these; what is of the whole house, its processes and its store, is
for those who see all agents. No address, no path and no secret is on the page.
"""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.core.health.sign import GROUPS, Sign, Tone, worst
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.pages import Page
from surefoot.engine.diagnose import diagnose

EVERY_S, MOST_FIRST = 5, 8
TONES: dict[Tone, str] = {"bad": "bad", "watch": "warn", "good": "ok", "idle": "idle"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The lines of one group, and the worst of them."""

    name: str
    worst: Tone
    lines: tuple[Sign, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """All lines by group; `bad` and `watch` count those that ask for somebody, and `first` are some of these."""

    worst: Tone
    bad: int
    watch: int
    first: tuple[Sign, ...]
    more: int
    parts: tuple[Part, ...]
    whole: bool
    tones: dict[Tone, str]


async def screen(asking: Asking) -> Page:
    """Show how the server is, as far as the visitor may see it."""
    lines = await diagnose(asking.ports, asking.visitor.token, asking.house.hearing)
    asks = sorted((one for one in lines if one.tone in ("bad", "watch")), key=lambda one: one.tone)
    groups = ((name, tuple(one for one in lines if one.group == name)) for name in GROUPS)
    model = Health(
        worst=worst(lines), first=tuple(asks[:MOST_FIRST]), more=max(0, len(asks) - MOST_FIRST), tones=TONES,
        bad=sum(one.tone == "bad" for one in lines), watch=sum(one.tone == "watch" for one in lines),
        whole=not asking.visitor.token.agents,
        parts=tuple(Part(name=name, worst=worst(some), lines=some) for name, some in groups if some),
    )  # fmt: skip
    return Page(template="health.html", model=model, title="Health", place="health", live=(f"every:{EVERY_S}",))
