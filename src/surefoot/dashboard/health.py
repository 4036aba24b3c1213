"""Health: how the server is, line by line: good or bad, since when, and what to do next.

A visitor held to some agents sees the lines about these; what is of the whole house, its processes and its store, is
for those who see all agents. No address, no path and no secret is on the page.
"""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.core.health.report import Health
from surefoot.core.health.sign import Tone
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.engine.diagnose import diagnose

EVERY_S = 5
TONES: dict[Tone, str] = {"bad": "bad", "watch": "warn", "good": "ok", "idle": "idle"}
COPIES = copies(("health",), "GET", "/api/v1/health")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPage:
    """What all lines come to, and how each tone looks."""

    health: Health
    tones: dict[Tone, str]
    copies: Copies


async def screen(asking: Asking) -> Page:
    """Show how the server is, as far as the visitor may see it."""
    seen = await diagnose(asking.ports, asking.visitor.token, asking.house.hearing)
    model = HealthPage(health=seen, tones=TONES, copies=COPIES)
    return Page(template="health.html", model=model, title="Health", place="health", live=(f"every:{EVERY_S}",))
