"""What is sought among traces: filters, a place in the list, and what is found.

A list goes from the newest request to the oldest. Its place is a `Spot`, the time and id of a request, so that requests
which arrive meanwhile shift nothing. Filters that no index answers are tried on a bounded stretch of requests for each
page; a page may therefore be shorter than asked for, even empty, and still have a next one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from surefoot.core.duration import duration
from surefoot.core.errors import Invalid
from surefoot.core.score import Verdict
from surefoot.core.trace import Arm, Trace

Scan = Literal["indexed", "rows", "texts"]
STRETCH: Mapping[Scan, int] = {"indexed": 0, "rows": 20_000, "texts": 10_000}
"""How many requests a page looks at, by what has to be read of each; 0 is as many as it takes."""
MOST_TEXT_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Filters on the requests of one agent; what is None or empty does not filter.

    `text` is found in inputs and answers, whatever the case of ASCII letters. `slower_s` and `costlier_usd` are lower
    bounds. `since` is included, `until` is not.
    """

    agent: str
    text: str = ""
    version: int | None = None
    arm: Arm | None = None
    verdict: Verdict | None = None
    finish: str = ""
    session: str = ""
    actor: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    since: datetime | None = None
    until: datetime | None = None
    slower_s: float | None = None
    costlier_usd: float | None = None

    def __post_init__(self) -> None:
        if len(self.text) > MOST_TEXT_CHARS:
            raise Invalid(f"the text that is sought has {len(self.text)} characters", hint=f"{MOST_TEXT_CHARS} at most")
        if self.since and self.until and self.since >= self.until:
            raise Invalid("since is not before until", hint="give an earlier since, or a later until")

    @property
    def scan(self) -> Scan:
        """What must be read of each request to tell whether it is one."""
        if self.text:
            return "texts"
        rest = (self.version, self.arm, self.verdict, self.slower_s, self.costlier_usd)
        return "rows" if self.finish or self.slices or any(one is not None for one in rest) else "indexed"


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A place in a list of requests, newest first: just after (that is, older than) this request."""

    at: datetime
    id: str = ""

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC).isoformat()}/{self.id}"

    @classmethod
    def read(cls, text: str) -> Spot:
        """Read what `str` gave; Invalid for anything else."""
        at, slash, trace_id = text.partition("/")
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or not slash:
            raise Invalid("the cursor is not one of this list", hint="send `next` of the page before")
        return cls(moment, trace_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A request, and the verdict that counts for it."""

    trace: Trace
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFound:
    """A session of an agent, from its newest requests: those that are counted here are `MOST_COUNTED` at most."""

    agent: str
    session: str
    actor: str
    requests: int
    failures: int
    cost_usd: float
    first_at: datetime
    last_at: datetime
    versions: tuple[int, ...]


MOST_COUNTED = 1_000


def moment(text: str, now: datetime) -> datetime | None:
    """Read a time such as `7d`, `12h`, `2026-01-05` or ISO 8601 (UTC where it names no zone); None for nothing."""
    if not text.strip():
        return None
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text.strip())
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return now - duration(text)
    except Invalid:
        hint = "write 7d, 12h, 30m, 2026-01-05 or 2026-01-05T08:00Z, a century back at most"
        raise Invalid(f"{text[:40]!r} is no time", hint=hint) from None
