"""What `doctor` says about the loop on repositories: git, and the coding agents that are here; asks no model."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

NAMES = ("claude", "codex", "gemini")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A program that the loop on repositories could use."""

    name: str
    detail: str
    hint: str = ""


async def coding_agents() -> list[Seen]:
    """Say which coding agents are installed and have what they need, and whether git is there."""
    from surefoot.app import coding_agent, git_version
    from surefoot.core.repo.settings import AgentChoice

    found = await asyncio.gather(
        *(coding_agent(AgentChoice(name=name), os.environ).usable() for name in NAMES), return_exceptions=True
    )
    version = await asyncio.to_thread(git_version)
    seen = [
        Seen(name="git", detail=version or "not found", hint="" if version else "the loop on repositories needs it")
    ]
    for name, one in zip(NAMES, found, strict=True):
        if isinstance(one, BaseException):
            seen.append(Seen(name=f"coding agent {name}", detail="could not be asked", hint=str(one)))
            continue
        state = "usable" if one.usable else "installed, not usable" if one.installed else "not installed"
        detail = f"{state}{', ' if one.version else ''}{one.version}"
        seen.append(Seen(name=f"coding agent {name}", detail=detail, hint="" if not one.installed else one.why))
    return seen
