"""A story: what of the audit record people want to hear, in which word, and how often it happened.

What only keeps the house going (ticks, tokens, processes) is no story. Of the rest the last day is told; where it was
silent, what happened before it is told instead, and is not called the last day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from surefoot.core.audit import Entry

DAY = timedelta(days=1)
_STORIES = (
    "agent-created", "approval-", "candidate", "gate-", "guard-accepted", "incident-", "lesson-added", "lever-",
    "proposal-refused", "resumed", "reward-hacking-suspected", "rolled-", "rollout-", "sentinel-alarm", "stopped",
    "violation", "wish-",
)  # fmt: skip
COUNTED: Mapping[str, str] = MappingProxyType({
    "candidate": "proposed", "rollout-ramp": "more traffic", "rollout-await_approval": "asked a person",
    "rollout-promote": "promoted", "rollout-roll_back": "rolled back", "rolled-back": "rolled back",
    "rollout-freeze": "frozen", "rollout-inconclusive": "left open", "gate-fail": "failed its gate",
    "approval-rejected": "rejected", "incident-opened": "incident", "lesson-added": "learned",
})  # fmt: skip
_SPOKEN = {
    "rollout-started": "rollout began", "gate-pass": "passed its gate", "rollout-abort": "ended by hand",
    "rollout-thaw": "goes on", "rollout-to_floor": "less traffic", "lever-accepted": "edit kept",
    "lever-rejected": "edit dropped", "approval-signed": "one yes", "wish-share": "share by hand",
    "rollout-alarm": "alarm",
}  # fmt: skip
_SAID = ("sentence", "rationale", "reason", "feedback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened, newest first, and how often which of it did in the last day; `is_day` is whether this is that."""

    entries: tuple[Entry, ...]
    tally: tuple[tuple[str, int], ...]
    is_day: bool


def story(entries: Iterable[Entry], now: datetime) -> Story:
    """Tell of entries, which come newest first."""
    told = [one for one in entries if one.action.startswith(_STORIES)]
    day = [one for one in told if now - one.at < DAY]
    return Story(entries=tuple(day or told), tally=tally(day), is_day=bool(day))


def tally(entries: Sequence[Entry]) -> tuple[tuple[str, int], ...]:
    """Count entries by what became of things, in the order in which a version lives."""
    counts = Counter(COUNTED[one.action] for one in entries if one.action in COUNTED)
    return tuple((word, counts[word]) for word in dict.fromkeys(COUNTED.values()) if counts[word])


def word_of(action: str) -> str:
    """Give an action as people say it."""
    return COUNTED.get(action) or _SPOKEN.get(action) or action.replace("_", " ").replace("-", " ")


def said_of(entry: Entry) -> str:
    """Give what an entry says in words, empty where it has none."""
    return next((str(one) for name in _SAID if (one := entry.payload.get(name))), "")
