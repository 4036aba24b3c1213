"""Patience: how often in a day an improver that works elsewhere may be refused over one lever.

Whether edits are refused depends on held-out texts too, so each refusal says something about them, however little it
is told. What can be learned is bounded by how many refusals there may be: whoever has used them up is not judged at
all until the next day (UTC), whatever the edits are. What passes costs nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from surefoot.core.errors import Forbidden
from surefoot.core.rate import TooMany

REFUSALS_A_DAY = 20


def must_be_patient(refused: int, *, lever: str, now: datetime) -> None:
    """Raise TooMany where `refused` proposals of this improver to the lever were refused, or are judged just now."""
    if refused < REFUSALS_A_DAY:
        return
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    raise TooMany(
        f"{REFUSALS_A_DAY} proposals to the lever {lever} were refused today", hint="go on tomorrow (UTC)",
        retry_after_s=(tomorrow - now).total_seconds(),
    )  # fmt: skip


def refusal() -> Forbidden:
    """Give what is told of any refusal: the same of all of them, since the reason may rest on what is held out."""
    return Forbidden(
        "the guardrails refuse this proposal", hint="change the edits, or leave some out; docs/why/guardrails.md"
    )
