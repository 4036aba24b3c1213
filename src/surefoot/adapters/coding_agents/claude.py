"""Claude Code: `claude -p --output-format json`, with no settings but ours and no tools beyond files.

What its ends mean was measured: a failure of the API exits with 1 and says `subtype: success` beside `is_error: true`;
the limits of turns and money exit with 1 and overshoot by one call; a write it was not allowed exits with 0 and stands
in `permission_denials`. Half a JSON document is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surefoot.adapters.coding_agents import reading
from surefoot.adapters.coding_agents.room import Installed, Redact, delivered, room_for, sent
from surefoot.adapters.processes import Ended
from surefoot.ports.repository import Delivery, DeliveryStatus, Errand

TOOLS = "Read,Edit,Write,Glob,Grep"
_LIMITS = frozenset({"error_max_turns", "error_max_budget_usd", "error_max_budget"})
_TOKENS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Claude(Installed):
    """Claude Code as a coding agent."""

    name = "claude"
    keys = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")

    async def work(self, errand: Errand) -> Delivery:
        """Carry out the errand."""
        given = {**self.env, **errand.env}
        with room_for(errand.prompt) as room:
            ended = await sent(self._words(errand), errand, room, given, stdin=errand.prompt)
        return read(ended, self.redact, given)

    def _words(self, errand: Errand) -> list[str]:
        words = [self.command, "-p", "--output-format", "json", "--setting-sources=", "--strict-mcp-config"]
        words += ["--permission-mode", "acceptEdits", "--allowedTools", TOOLS]
        words += ["--model", self.model] if self.model else []
        words += ["--max-turns", str(errand.max_turns)] if errand.max_turns else []
        words += ["--max-budget-usd", f"{errand.max_usd:g}"] if errand.max_usd else []
        return [*words, *self.more]


def read(ended: Ended, redact: Redact, given: Mapping[str, str]) -> Delivery:
    """Say what an end of Claude Code means."""
    said = reading.document(ended.out)
    if said is None:
        return delivered(ended, "error", "its report cannot be read", redact, given)
    denials = [_denial(one) for one in reading.entries(said.get("permission_denials"))]
    summary = reading.text(said.get("result")) or f"it ended as {said.get('subtype')!r}"
    return delivered(
        ended, _status(said, ended.code, denials), summary, redact, given, denials=denials,
        cost_usd=reading.dollars(said.get("total_cost_usd")), tokens=reading.total(said.get("usage"), *_TOKENS),
        turns=reading.whole(said.get("num_turns")),
    )  # fmt: skip


def _status(said: dict[str, Any], code: int | None, denials: list[str]) -> DeliveryStatus:
    subtype = reading.text(said.get("subtype"))
    if subtype in _LIMITS:
        return "limit"
    if code != 0 or subtype != "success" or said.get("is_error") is not False:
        return "error"
    return "denied" if denials else "ok"


def _denial(one: dict[str, Any]) -> str:
    asked = reading.table(one.get("tool_input"))
    where = asked.get("file_path") or asked.get("notebook_path") or asked.get("command") or asked.get("path") or ""
    return f"{one.get('tool_name', 'a tool')}: {where}"
