"""The journal: what a line of the server's log holds, and how it is read and shown.

A line is one JSON object in ASCII, so that nothing that comes from outside (a line break, a terminal's escape) can end
a line, begin another or move a cursor. Texts pass through a redactor first, and are cut. There are no bodies in it. As
text a line has its time, level, worker and message, then the other fields as `name=value`, with every character that
does not print shown as its code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from surefoot.core.plain import visible

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
LONGEST = 2000
_FIRST = ("at", "level", "worker", "message")
_TEXT = re.compile(r"(\S+Z) ([A-Z]+) +\[([0-9]{1,6})\] (.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines somebody wants to see."""

    level: Level = "debug"
    agent: str = ""
    since: datetime | None = None

    def fits(self, line: Mapping[str, Any]) -> bool:
        """Whether a line is one of them."""
        if LEVELS.index(_level(line)) < LEVELS.index(self.level):
            return False
        if self.agent and line.get("agent") != self.agent:
            return False
        return self.since is None or str(line.get("at", "")) >= moment(self.since)


def moment(at: datetime) -> str:
    """Give a moment as lines have it: UTC to the millisecond; texts of moments are in the order of the moments."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def entry(
    at: datetime, level: Level, worker: int, message: str, fields: Mapping[str, object], *,
    redact: Callable[[str], str],
) -> dict[str, object]:  # fmt: skip
    """Give a line's content; empty fields are left out, texts are redacted and cut."""
    told = {name: value for name, value in fields.items() if value not in ("", None) and name not in _FIRST}
    return {
        "at": moment(at), "level": level, "worker": worker, "message": _cut(redact(message)),
        **{name: _cut(redact(value)) if isinstance(value, str) else value for name, value in told.items()},
    }  # fmt: skip


def as_json(line: Mapping[str, object]) -> str:
    """Give a line as one JSON object in ASCII."""
    return json.dumps(line, ensure_ascii=True, separators=(", ", ": "), default=str)


def as_text(line: Mapping[str, object]) -> str:
    """Give a line as people read it; nothing in it can pass for another line."""
    head = f"{line.get('at', '-')} {str(line.get('level', '-')).upper():<7} [{line.get('worker', '-')}]"
    rest = [f"{name}={_value(value)}" for name, value in line.items() if name not in _FIRST]
    return visible(" ".join([head, str(line.get("message", "")), *rest]))


def parsed(text: str) -> dict[str, Any] | None:
    """Read a line back, of either form; None for what is none, such as one that was cut by a full disk."""
    if told := _TEXT.fullmatch(text):
        return {"at": told[1], "level": told[2].lower(), "worker": int(told[3]), "message": told[4]}
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) and "at" in found else None


def request_id(told: str) -> str:
    """Give the id that a client named its request by, if it may stand in a log and a header; else nothing."""
    return told if re.fullmatch(r"[A-Za-z0-9._:@/+=-]{1,128}", told) else ""


def _level(line: Mapping[str, Any]) -> Level:
    told = line.get("level")
    return told if told in LEVELS else "info"


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r'[\s"=]', text) else text


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
