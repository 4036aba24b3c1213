"""A notice: something a person has to be told, kept until it was told or given up visibly.

Each channel gets a notice of its own, so that a webhook that is down sends no mail twice. A notice is tried five
times, 5 seconds, 20 seconds, 80 seconds and 5 minutes apart, and is then a dead letter until somebody sends it again.
Whoever is about to try it takes it for `LEASE`; a try that a crash cut short counts, and is repeated after that. So
a notice arrives at least once, and its id tells a repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, cast

from surefoot.core.errors import Conflict

NoticeKind = Literal[
    "approval_requested",
    "approval_signed",
    "approval_decided",
    "freeze_recommended",
    "reward_hacking_suspected",
    "pause_requested",
    "pause_decided",
    "event",
    "execution_ended",
]
NoticeState = Literal["waiting", "delivered", "dead"]
TRIES = 5
LEASE = timedelta(seconds=60)
_FIRST, _FACTOR, _LONGEST = timedelta(seconds=5), 4, timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice on one channel; `facts` is JSON-shaped and holds no text of a prompt."""

    id: str
    channel: str
    kind: NoticeKind
    agent: str
    subject: str
    sentence: str
    at: datetime
    next_at: datetime
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    state: NoticeState = "waiting"
    tries: int = 0
    error: str = ""
    delivered_at: datetime | None = None
    revision: int = 0


def pause_after(tries: int) -> timedelta:
    """Give how long to wait after this many tries in vain."""
    return min(_LONGEST, _FIRST * _FACTOR ** max(0, min(tries, TRIES) - 1))


def taken(notice: Notice, now: datetime) -> Notice:
    """Give a notice as somebody takes it to try it; one whose last try was cut short is dead."""
    if notice.tries >= TRIES:
        return replace(notice, state="dead", error=notice.error or "the last try was cut short")
    return replace(notice, tries=notice.tries + 1, next_at=now + LEASE)


def delivered(notice: Notice, now: datetime) -> Notice:
    """Give a notice that arrived."""
    return replace(notice, state="delivered", delivered_at=now, error="")


def failed(notice: Notice, error: str, now: datetime, *, for_good: bool = False) -> Notice:
    """Give a notice that did not arrive: to be tried again, or dead after the last try or `for_good`."""
    if for_good or notice.tries >= TRIES:
        return replace(notice, state="dead", error=error)
    return replace(notice, next_at=now + pause_after(notice.tries), error=error)


def redriven(notice: Notice, now: datetime) -> Notice:
    """Give a dead letter its tries back; Conflict for one that is not dead."""
    if notice.state != "dead":
        raise Conflict(f"notice {notice.id} is {notice.state}", hint="only a dead letter is sent again")
    return replace(notice, state="waiting", tries=0, next_at=now, error="")


def document(notice: Notice) -> dict[str, object]:
    """Give what a program is told: JSON-shaped, with the facts beside what every notice has."""
    return {
        **notice.facts, "id": notice.id, "kind": notice.kind, "agent": notice.agent, "subject": notice.subject,
        "sentence": notice.sentence, "at": notice.at.isoformat(),
    }  # fmt: skip


def line(notice: Notice) -> str:
    """Give what a person is told on one line of a terminal."""
    todo = str(notice.facts.get("look", ""))
    return _plain(f"{notice.subject}: {notice.sentence}" + (f" ({todo})" if todo else ""))


def letter(notice: Notice) -> str:
    """Give what a person is told in a mail: the sentence, then one fact a line."""
    facts = [f"{name}: {_said(value)}" for name, value in notice.facts.items() if value not in ("", None, [], {})]
    lines = [notice.subject, "", notice.sentence, "", *facts, "", f"notice {notice.id}"]
    return "\n".join(_plain(one) for one in lines) + "\n"


def _said(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def _plain(text: str) -> str:
    """Spell out what could steer a terminal or begin a new line."""
    return "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in text)
