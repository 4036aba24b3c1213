"""A token: how the server knows a person or a program, and what each of them may do.

Only the SHA-256 of a token is kept. That is enough, because tokens are 256 random bits and cannot be guessed from it.
A token stands for one name, and that name is what approvals, rollbacks and the audit log record. Several tokens of one
person stand for the same name, so that nobody becomes two people by having two of them. Each role may do a fixed set of
deeds, and a token may be held to some agents. To look is to see what happened, to read is to see what people wrote. One
that has expired, or was revoked, is as good as unknown.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from surefoot.core.duration import duration
from surefoot.core.errors import Forbidden
from surefoot.core.signature import Unauthenticated

Role = Literal["viewer", "agent", "improver", "reviewer", "operator", "admin"]
Deed = Literal["look", "read", "record", "propose", "decide", "operate", "administer"]

_MAY: dict[Role, frozenset[Deed]] = {
    "viewer": frozenset({"look"}),
    "agent": frozenset({"record"}),
    "improver": frozenset({"propose"}),
    "reviewer": frozenset({"look", "read", "record", "decide"}),
    "operator": frozenset({"look", "read", "record", "propose", "operate"}),
    "admin": frozenset({"look", "read", "record", "propose", "decide", "operate", "administer"}),
}
LONGEST_LIFE = timedelta(days=3660)
EVERY_AGENT: tuple[str, ...] = ()
"""The agents of whoever may see all of them, such as the person at the machine; a token without agents says it too."""


def any_agent(_: str) -> bool:
    """See every agent, as the person at the machine does, and our own work."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Who a token stands for; without `agents` it is good for all of them.

    `name` is the person or program; `id` is that of a token of the store (empty for one of the settings).
    """

    name: str
    sha256: str
    role: Role
    agents: tuple[str, ...] = ()
    id: str = ""
    expires_at: datetime | None = None

    def sees(self, agent: str) -> bool:
        """Whether this token reaches an agent at all."""
        return not self.agents or agent in self.agents

    def holds(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token on record: its own name, the person it belongs to (none: it stands for its own name), and its life."""

    id: str
    name: str
    sha256: str
    role: Role
    created_at: datetime
    created_by: str
    person: str = ""
    agents: tuple[str, ...] = ()
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    revision: int = 1

    @property
    def token(self) -> Token:
        """What the server knows it by."""
        return Token(
            name=self.person or self.name, sha256=self.sha256, role=self.role, agents=self.agents, id=self.id,
            expires_at=self.expires_at,
        )  # fmt: skip

    def state(self, now: datetime) -> Literal["good", "revoked", "expired"]:
        """Give what it is worth now."""
        if self.revoked_at is not None:
            return "revoked"
        return "good" if self.token.holds(now) else "expired"


def hashed(token: str) -> str:
    """Give what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def recognised(known: Iterable[Token], presented: str) -> Token:
    """Give whose token this is, or raise Unauthenticated; every known one is compared, in constant time."""
    mine = hashed(presented).encode()
    found = [one for one in known if hmac.compare_digest(one.sha256.lower().encode(), mine)]
    if not presented or not found:
        raise Unauthenticated("the token is not known", hint="send one that surefoot token made: Authorization: Bearer")
    return found[0]


def may(caller: Token, deed: Deed) -> bool:
    """Whether the caller's role allows a deed."""
    return deed in _MAY[caller.role]


def must_may(caller: Token, deed: Deed, *, agent: str = "") -> None:
    """Raise Forbidden unless the caller's role allows the deed, on this agent where one is concerned."""
    if deed not in _MAY[caller.role]:
        able = ", ".join(role for role, deeds in _MAY.items() if deed in deeds)
        raise Forbidden(f"{caller.name} is {caller.role} and may not {deed}", hint=f"this takes the role {able}")
    if agent and not caller.sees(agent):
        raise Forbidden(f"the token of {caller.name} is not for {agent}", hint="use one that is")


def must_hand_out(giver: Token, role: Role, agents: tuple[str, ...]) -> None:
    """Raise Forbidden unless the giver may make such a token: nobody hands out more than they have."""
    must_may(giver, "administer")
    if giver.agents and (not agents or not set(agents) <= set(giver.agents)):
        raise Forbidden(
            f"the token of {giver.name} is not for all of these agents", hint=f"name some of {', '.join(giver.agents)}"
        )
    if not _MAY[role] <= _MAY[giver.role]:
        raise Forbidden(f"{giver.name} is {giver.role} and may not make a token of the role {role}")


def life(text: str) -> timedelta:
    """Read how long a token is good for, ten years at most; Invalid for anything else."""
    return duration(text, most=LONGEST_LIFE)
