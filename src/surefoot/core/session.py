"""A login: a person has entered their token once more, a short while ago.

A token lies in files and programs for months; that it was used says little about who sits there now. What changes what
an agent can reach (a change of level 3) is therefore approved only with a fresh login: the person enters the token
again and gets a proof that is good for ten minutes, for this person and for one decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from surefoot.core.approval import identity
from surefoot.core.policy import ChangeLevel

FRESH = timedelta(minutes=10)
FRESH_FROM_LEVEL: ChangeLevel = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A proof of a login: its SHA-256, the person, and the moment."""

    sha256: str
    name: str
    at: datetime

    def proves(self, name: str, now: datetime) -> bool:
        """Whether it says that this person has just logged in."""
        return identity(self.name) == identity(name) and timedelta() <= now - self.at < FRESH


def needs_fresh(level: ChangeLevel) -> bool:
    """Whether approving a change of this level takes a fresh login."""
    return level >= FRESH_FROM_LEVEL
