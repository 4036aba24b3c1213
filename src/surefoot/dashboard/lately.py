"""What happened lately: the last day in a few lines, for whoever comes back in the morning.

Everything is in the audit record anyway. Which of it is told, in which words, and whether that is the last day,
`core.story` says; here each line gets the page that shows it best.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from surefoot.core.audit import Entry
from surefoot.core.event import event_of
from surefoot.core.mask import masked_payload
from surefoot.core.story import said_of, story, word_of
from surefoot.dashboard.audit import tone_of
from surefoot.ports import Tx
from surefoot.ports.audit import AuditFilter

NEWEST, SHOWN = 200, 8
TONES = {
    "proposed": "wait", "more traffic": "canary", "asked a person": "asks", "promoted": "ok", "rolled back": "back",
    "frozen": "frozen", "left open": "idle", "failed its gate": "bad", "rejected": "bad", "incident": "bad",
    "learned": "idle",
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


def lately(
    tx: Tx, agents: Collection[str], now: datetime, *, held: bool, reads: Callable[[str], bool]
) -> Lately:  # fmt: skip
    """Gather what happened to these agents; `held` leaves out what is about none of them, however busy it is.

    `reads` says of which agents what people wrote may be quoted.
    """
    filters = [AuditFilter(agent=one) for one in agents] if held else [AuditFilter()]
    listed = [row for one in filters for row in tx.audit.listed(one, before=None, limit=NEWEST)]
    rows = sorted(listed, key=lambda one: one.seq, reverse=True)[:NEWEST]
    seen = [one for one in rows if not held or event_of(one, agents).agent]
    found = story(seen, now)
    return Lately(
        lines=tuple(_told(one, agents, reads) for one in found.entries[:SHOWN]), is_day=found.is_day,
        tally=tuple((TONES[word], word, count) for word, count in found.tally),
    )  # fmt: skip


def _told(entry: Entry, agents: Collection[str], reads: Callable[[str], bool]) -> Told:
    agent = event_of(entry, agents).agent
    entry = entry if reads(agent) else replace(entry, payload=masked_payload(entry.payload))
    return Told(
        seq=entry.seq, at=entry.at, action=entry.action, word=word_of(entry.action), tone=tone_of(entry.action),
        agent=agent, subject=entry.subject, actor=entry.actor, sentence=said_of(entry), href=_href(entry, agent),
    )  # fmt: skip


def _href(entry: Entry, agent: str) -> str:
    rollout, version = entry.payload.get("rollout"), entry.subject.rpartition("/v")[2]
    if agent and entry.action.startswith("rollout-") and isinstance(rollout, str) and rollout:
        return f"/rollouts/{rollout}"
    if agent and entry.action == "candidate" and version.isdecimal() and version.isascii():
        return f"/agents/{agent}/versions?head={version}"
    return f"/audit?entry={entry.seq}"
