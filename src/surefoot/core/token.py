"""A token: how the server knows a person or a program, and what each of them may do.

Only the SHA-256 of a token is kept. That is enough, because tokens are 256 random bits and cannot be guessed from it.
A token belongs to one name; the name is what approvals, rollbacks and the audit log record. Each role may do a fixed
set of deeds, and a token may be held to some agents.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from surefoot.core.errors import Forbidden
from surefoot.core.signature import Unauthenticated

Role = Literal["viewer", "agent", "reviewer", "operator", "admin"]
Deed = Literal["look", "record", "decide", "operate"]

_MAY: dict[Role, frozenset[Deed]] = {
    "viewer": frozenset({"look"}),
    "agent": frozenset({"record"}),
    "reviewer": frozenset({"look", "record", "decide"}),
    "operator": frozenset({"look", "record", "operate"}),
    "admin": frozenset({"look", "record", "decide", "operate"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Who a token stands for; without `agents` it is good for all of them."""

    name: str
    sha256: str
    role: Role
    agents: tuple[str, ...] = ()

    def sees(self, agent: str) -> bool:
        """Whether this token reaches an agent at all."""
        return not self.agents or agent in self.agents


def hashed(token: str) -> str:
    """Give what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def recognised(known: Iterable[Token], presented: str) -> Token:
    """Give whose token this is, or raise Unauthenticated; every known one is compared, in constant time."""
    mine = hashed(presented)
    found = [one for one in known if hmac.compare_digest(one.sha256.lower().encode(), mine.encode())]
    if not presented or not found:
        raise Unauthenticated("the token is not known", hint="send one that surefoot token made: Authorization: Bearer")
    return found[0]


def must_may(caller: Token, deed: Deed, *, agent: str = "") -> None:
    """Raise Forbidden unless the caller's role allows the deed, on this agent where one is concerned."""
    if deed not in _MAY[caller.role]:
        able = ", ".join(role for role, deeds in _MAY.items() if deed in deeds)
        raise Forbidden(f"{caller.name} is {caller.role} and may not {deed}", hint=f"this takes the role {able}")
    if agent and not caller.sees(agent):
        raise Forbidden(f"the token of {caller.name} is not for {agent}", hint="use one that is")
