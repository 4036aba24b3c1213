"""Codex: `codex exec --json`, which reports one event a line and has no limit of its own on turns or money.

So its limit is the wall clock and, where turns are limited, a count of its finished steps, watched as they come. A
write outside exits with 0; what did not end with `turn.completed` was cut off and is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surefoot.adapters.coding_agents import reading
from surefoot.adapters.coding_agents.room import Installed, Redact, delivered, room_for, sent
from surefoot.adapters.processes import Ended
from surefoot.ports.repository import Delivery, DeliveryStatus, Errand

_STEPS = frozenset({"command_execution", "file_change", "mcp_tool_call", "web_search"})


class Codex(Installed):
    """Codex as a coding agent."""

    name = "codex"
    keys = ("CODEX_API_KEY", "OPENAI_API_KEY")

    async def work(self, errand: Errand) -> Delivery:
        """Carry out the errand."""
        given = {**self.env, **errand.env}
        if "CODEX_API_KEY" not in given and "OPENAI_API_KEY" in given:
            given["CODEX_API_KEY"] = given["OPENAI_API_KEY"]
        counter = StepCounter(errand.max_turns)
        with room_for(errand.prompt) as room:
            ended = await sent(self._words(errand), errand, room, given, stdin=errand.prompt, watch=counter.watch)
        return read(ended, self.redact, given, limit=errand.max_turns if counter.over else None)

    def _words(self, errand: Errand) -> list[str]:
        words = [self.command, "exec", "--json", "--skip-git-repo-check", "--sandbox", "workspace-write"]
        words += ["--model", self.model] if self.model else []
        return [*words, *self.more, "-C", errand.worktree, "-"]


class StepCounter:
    """Counts finished steps in a stream of events, and says when there are more than allowed."""

    def __init__(self, most: int | None) -> None:
        self._most, self._rest, self._steps = most, b"", 0

    @property
    def over(self) -> bool:
        return self._most is not None and self._steps > self._most

    def watch(self, chunk: bytes) -> bool:
        """Take a piece of the stream; True when it is enough."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[-1_000_000:]
        self._steps += sum(_is_step(event) for line in whole for event in reading.lines(line))
        return self.over


def read(ended: Ended, redact: Redact, given: Mapping[str, str], *, limit: int | None = None) -> Delivery:
    """Say what an end of Codex means."""
    events = reading.lines(ended.out)
    known = [event for event in events if event is not None]
    items = [reading.table(event.get("item")) for event in known if event.get("type") == "item.completed"]
    said = [reading.text(item.get("text")) for item in items if item.get("type") == "agent_message"]
    denials = [_denial(item) for item in items if _denied(item)]
    status, why = _status(events, known, ended.code, denials)
    if limit is not None:
        status, why = "limit", f"it took more than {limit} steps"
    usage = [event.get("usage") for event in known if event.get("type") == "turn.completed"]
    counted = [count for one in usage if (count := reading.total(one, "input_tokens", "output_tokens")) is not None]
    return delivered(
        ended, status, why or (said[-1] if said else ""), redact, given, denials=denials,
        tokens=sum(counted) if counted else None, turns=sum(_is_step(event) for event in known),
    )  # fmt: skip


def _status(
    events: list[dict[str, Any] | None], known: list[dict[str, Any]], code: int | None, denials: list[str]
) -> tuple[DeliveryStatus, str]:
    for event in known:
        if event.get("type") == "turn.failed":
            return "error", reading.text(reading.table(event.get("error")).get("message")) or "the turn failed"
    ended = [event for event in known if event.get("type") == "turn.completed"]
    if not ended or not events or events[-1] is None:
        failures = [reading.text(event.get("message")) for event in known if event.get("type") == "error"]
        return "error", (failures or ["its report breaks off"])[-1] or "its report breaks off"
    if code != 0:
        return "error", f"it ended with {code}"
    return ("denied", "") if denials else ("ok", "")


def _is_step(event: dict[str, Any] | None) -> bool:
    if event is None or event.get("type") != "item.completed":
        return False
    return reading.table(event.get("item")).get("type") in _STEPS


def _denied(item: dict[str, Any]) -> bool:
    kind, status = item.get("type"), item.get("status")
    return status == "declined" or (kind == "file_change" and status == "failed")


def _denial(item: dict[str, Any]) -> str:
    paths = [reading.text(one.get("path")) for one in reading.entries(item.get("changes"))]
    return f"{item.get('type')}: {', '.join(paths) or item.get('command') or ''}"
