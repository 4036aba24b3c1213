"""Outcome: how a tick on a repository ended, and the line that the lever's log keeps of it.

Every tick that took a lever leaves exactly one line in that lever's log. The lines are read again by the next tick:
they are how the loop knows what it tried, and when it goes round in circles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

TickOutcome = Literal["shipped", "gate_failed", "no_change", "premise_mismatch", "limit", "error"]
Noted = Literal[
    "shipped", "gate_failed", "no_change", "premise_mismatch", "limit", "error", "closed", "reopened", "rolled_back"
]
OUTCOMES: tuple[TickOutcome, ...] = get_args(TickOutcome)
_NOTED: tuple[Noted, ...] = get_args(Noted)
_LINE = re.compile(
    r"[-*][ \t]+(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?)[ \t]+(?:tick (?P<tick>\d{1,9})[ \t]+)?"
    r"(?P<outcome>[a-z_]+)(?: \((?P<what>[^()]*)\))?(?:: (?P<detail>.*))?"
)
IN_VAIN: frozenset[Noted] = frozenset({"gate_failed", "no_change", "limit", "error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a log: when (UTC, to the second), which tick (0: a person), what came of it, and what it was about.

    `what` names the thing that decided, such as the gate that failed or the start of the commit's id.
    """

    at: datetime
    tick: int
    outcome: Noted
    what: str = ""
    detail: str = ""

    @property
    def in_vain(self) -> bool:
        """Tell whether this was a try that brought nothing."""
        return self.outcome in IN_VAIN

    @property
    def action(self) -> str:
        """Name what was done so that the same thing done again has the same name."""
        return f"{self.outcome}:{self.what}" if self.outcome == "gate_failed" else self.outcome


def entry_line(one: Entry) -> str:
    """Give the line of an entry."""
    tick = f"tick {one.tick} " if one.tick else ""
    what = f" ({one.what.translate({40: None, 41: None})})" if one.what else ""
    detail = f": {one.detail}" if one.detail else ""
    return f"- {one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} {tick}{one.outcome}{what}{detail}"


def entry(line: str) -> Entry | None:
    """Read a line of a log; None for what a person wrote in words of their own."""
    match = _LINE.fullmatch(line.rstrip())
    outcome = _noted(match["outcome"]) if match else None
    if match is None or outcome is None:
        return None
    try:
        at = datetime.fromisoformat(match["at"]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Entry(
        at=at, tick=int(match["tick"] or 0), outcome=outcome, what=match["what"] or "", detail=match["detail"] or ""
    )


def _noted(word: str) -> Noted | None:
    for one in _NOTED:
        if one == word:
            return one
    return None


def status_after(outcome: TickOutcome, tries: int, most: int) -> Literal["open", "shipped", "failed", "closed"]:
    """Give the status a lever has after a tick: what a person must look at is `failed`, what may be tried is `open`."""
    if outcome == "shipped":
        return "shipped"
    if outcome == "premise_mismatch" or tries >= most:
        return "failed"
    return "open"
