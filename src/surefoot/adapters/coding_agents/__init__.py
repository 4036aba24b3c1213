"""Coding agents as programs: Claude Code, Codex, Gemini, or any command; never a library of theirs.

Each file says how one of them is called and what its ending means. Nothing of what they report is believed about files.
"""

from surefoot.adapters.coding_agents.claude import Claude
from surefoot.adapters.coding_agents.codex import Codex
from surefoot.adapters.coding_agents.command import AnyCommand
from surefoot.adapters.coding_agents.gemini import Gemini
from surefoot.adapters.coding_agents.room import Redact

__all__ = ["AnyCommand", "Claude", "Codex", "Gemini", "Redact"]
