"""Repositories to loop on: what reads and changes them, their gates, and coding agents by choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from surefoot.config import Settings

if TYPE_CHECKING:
    from surefoot.core.repo.settings import AgentChoice
    from surefoot.ports.repository import CodingAgent
    from surefoot.ports.site import Site


def sites(settings: Settings, environ: Mapping[str, str]) -> Callable[[str], Site]:
    """Give repositories by folder; worktrees lie outside, where no tool finds a person's files by walking up."""

    @cache
    def at(folder: str) -> Site:
        from surefoot.adapters.gates import GateRunner
        from surefoot.adapters.papers import FolderPapers
        from surefoot.adapters.vcs import GitRepository
        from surefoot.ports.site import Site

        home = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", ".")) / ".cache")
        git = GitRepository(folder, scratch=Path(home) / "surefoot")
        top = Path(git.facts().top)
        logs = settings.store.absolute().parent / "logs" / top.name
        return Site(
            folder=folder, git=git, papers=FolderPapers(top), gates=GateRunner(environ=environ),
            agent=lambda choice: coding_agent(choice, environ), logs=str(logs),
        )  # fmt: skip

    return at


def coding_agent(choice: AgentChoice, environ: Mapping[str, str]) -> CodingAgent:
    """Give a coding agent by name, with the variables it may have: those of its own keys, and those that are named."""
    from surefoot.adapters.coding_agents import AnyCommand, Claude, Codex, Gemini
    from surefoot.core.repo.settings import given

    if choice.name == "command":
        return AnyCommand(choice.argv, env=given(environ, choice.env))
    made = {one.name: one for one in (Claude, Codex, Gemini)}[choice.name]
    return made(model=choice.model, env=given(environ, (*made.keys, *choice.env)))


def git_version() -> str:
    """Give git's version, or nothing if it cannot be run."""
    from surefoot.adapters.vcs import git_usable

    return git_usable()
