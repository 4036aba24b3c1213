"""Gemini: `gemini -p … -o json`, whose one JSON object holds the answer, the counts, or the error.

It has no limit on money. Turns are limited by a settings file in the HOME made for it, and exit code 53 says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefoot.adapters.coding_agents import reading
from surefoot.adapters.coding_agents.room import Installed, Redact, delivered, room_for, sent
from surefoot.adapters.processes import Ended
from surefoot.ports.repository import Delivery, DeliveryStatus, Errand

TURN_LIMIT = 53
_ASK = "Carry out the work described above."


class Gemini(Installed):
    """Gemini as a coding agent."""

    name = "gemini"
    keys = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

    async def work(self, errand: Errand) -> Delivery:
        """Carry out the errand."""
        given = {**self.env, **errand.env}
        with room_for(errand.prompt) as room:
            if errand.max_turns:
                settings = Path(room.home) / ".gemini/settings.json"
                settings.parent.mkdir()
                settings.write_text(json.dumps({"model": {"maxSessionTurns": errand.max_turns}}))
            ended = await sent(self._words(), errand, room, given, stdin=errand.prompt)
        return read(ended, self.redact, given)

    def _words(self) -> list[str]:
        words = [self.command, "-p", _ASK, "-o", "json", "--approval-mode", "auto_edit"]
        return [*words, *(["--model", self.model] if self.model else []), *self.more]


def read(ended: Ended, redact: Redact, given: Mapping[str, str]) -> Delivery:
    """Say what an end of Gemini means."""
    said = reading.document(ended.out) or reading.document(ended.err)
    if ended.code == TURN_LIMIT:
        return delivered(ended, "limit", "it used all its turns", redact, given)
    if said is None:
        return delivered(ended, "error", "its report cannot be read", redact, given)
    if said.get("error") is not None:
        why = reading.text(reading.table(said["error"]).get("message")) or "it failed"
        return delivered(ended, "error", why, redact, given)
    stats = reading.table(said.get("stats"))
    denials = _denials(reading.table(stats.get("tools")))
    models = [reading.table(one) for one in reading.table(stats.get("models")).values()]
    return delivered(
        ended, _status(said, ended.code, denials), reading.text(said.get("response")), redact, given, denials=denials,
        tokens=_sum(reading.total(one.get("tokens"), "total") for one in models),
        turns=_sum(reading.total(one.get("api"), "totalRequests") for one in models),
    )  # fmt: skip


def _status(said: dict[str, Any], code: int | None, denials: list[str]) -> DeliveryStatus:
    if code != 0 or not isinstance(said.get("response"), str):
        return "error"
    return "denied" if denials else "ok"


def _denials(tools: dict[str, Any]) -> list[str]:
    """Name the tools that were rejected."""
    named = [
        name
        for name, tool in reading.table(tools.get("byName")).items()
        if reading.whole(reading.table(reading.table(tool).get("decisions")).get("reject"))
    ]
    rejected = reading.whole(reading.table(tools.get("totalDecisions")).get("reject")) or 0
    return named or (["a tool"] if rejected else [])


def _sum(counts: Any) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
