"""What happened lately: the last day in a few lines, for whoever comes back in the morning.

Everything is in the audit record anyway. Here what only keeps the house going (ticks, tokens, processes) is left out,
the rest is counted by what became of it, and the newest of it is told in the record's own sentences. Where the last day
was silent, what happened before it is told, and is not called the last day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from surefoot.core.audit import Entry
from surefoot.core.event import event_of
from surefoot.dashboard.audit import said_of, tone_of
from surefoot.ports import Tx
from surefoot.ports.trends import AuditFilter

NEWEST, SHOWN = 200, 8
DAY = timedelta(days=1)
STORIES = (
    "agent-created", "approval-", "candidate", "gate-", "guard-accepted", "incident-", "lesson-added", "lever-",
    "proposal-refused", "resumed", "reward-hacking-suspected", "rolled-", "rollout-", "sentinel-alarm", "stopped",
    "violation", "wish-",
)  # fmt: skip
COUNTED = {
    "candidate": ("wait", "proposed"), "rollout-ramp": ("canary", "more traffic"),
    "rollout-await_approval": ("asks", "asked a person"), "rollout-promote": ("ok", "promoted"),
    "rollout-roll_back": ("back", "rolled back"), "rolled-back": ("back", "rolled back"),
    "rollout-freeze": ("frozen", "frozen"), "rollout-inconclusive": ("idle", "left open"),
    "gate-fail": ("bad", "failed its gate"), "approval-rejected": ("bad", "rejected"),
    "incident-opened": ("bad", "incident"), "lesson-added": ("idle", "learned"),
}  # fmt: skip
SPOKEN = {
    "rollout-started": "rollout began", "gate-pass": "passed its gate", "rollout-abort": "ended by hand",
    "rollout-thaw": "goes on", "rollout-to_floor": "less traffic", "lever-accepted": "edit kept",
    "lever-rejected": "edit dropped", "approval-signed": "one yes", "wish-share": "share by hand",
    "rollout-alarm": "alarm",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that happened; `href` is the page that shows it best."""

    seq: int
    at: datetime
    action: str
    word: str
    tone: str
    agent: str
    subject: str
    actor: str
    sentence: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """The newest things, and how often which of them happened in the last day: tone, word, count."""

    lines: tuple[Told, ...]
    tally: tuple[tuple[str, str, int], ...]
    is_day: bool


def lately(tx: Tx, agents: Collection[str], now: datetime, *, held: bool) -> Lately:
    """Gather what happened to these agents; `held` leaves out what is about none of them, however busy it is."""
    filters = [AuditFilter(agent=one) for one in agents] if held else [AuditFilter()]
    found = [row for one in filters for row in tx.trends.audit(one, before=None, limit=NEWEST)]
    rows = sorted(found, key=lambda one: one.seq, reverse=True)[:NEWEST]
    told = [_told(one, agents) for one in rows if one.action.startswith(STORIES)]
    seen = [one for one in told if one.agent or not held]
    day = [one for one in seen if now - one.at < DAY]
    return Lately(lines=tuple((day or seen)[:SHOWN]), tally=_tally(day), is_day=bool(day))


def _tally(day: Sequence[Told]) -> tuple[tuple[str, str, int], ...]:
    counts = Counter(COUNTED[one.action] for one in day if one.action in COUNTED)
    order = list(dict.fromkeys(COUNTED.values()))
    return tuple((tone, word, counts[tone, word]) for tone, word in order if counts[tone, word])


def _told(entry: Entry, agents: Collection[str]) -> Told:
    agent = event_of(entry, agents).agent
    return Told(
        seq=entry.seq, at=entry.at, action=entry.action, word=_word(entry.action), tone=tone_of(entry.action),
        agent=agent, subject=entry.subject, actor=entry.actor, sentence=said_of(entry), href=_href(entry, agent),
    )  # fmt: skip


def _word(action: str) -> str:
    return COUNTED[action][1] if action in COUNTED else SPOKEN.get(action, action.replace("_", " ").replace("-", " "))


def _href(entry: Entry, agent: str) -> str:
    rollout, version = entry.payload.get("rollout"), entry.subject.rpartition("/v")[2]
    if agent and entry.action.startswith("rollout-") and isinstance(rollout, str) and rollout:
        return f"/rollouts/{rollout}"
    if agent and entry.action == "candidate" and version.isdecimal() and version.isascii():
        return f"/agents/{agent}/versions?head={version}"
    return f"/audit?entry={entry.seq}"
