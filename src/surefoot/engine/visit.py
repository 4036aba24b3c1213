"""Visit: let a person's browser in for a while, and out again.

The token is shown once and judged as at every other door. What the browser then keeps is a random word of its own, so
the token itself lies in no cookie; each request finds the token again by its hash, and a revoked one finds nobody.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Token, hashed, must_may
from surefoot.core.visit import LASTS, Visit
from surefoot.engine.admit import Admission
from surefoot.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A visit that has just begun, and the word for its cookie, which is kept nowhere else."""

    visit: Visit
    cookie: str = field(repr=False)


async def begin(ports: Ports, admission: Admission, presented: str, *, address: str = "") -> Begun:
    """Let a browser in that shows a token; Unauthenticated, TooMany, or Forbidden for a role that may not look."""
    token = await admission.admit(presented.strip(), address=address)
    must_may(token, "look")
    cookie, now = f"sv_{secrets.token_urlsafe(32)}", ports.clock()
    visit = Visit(
        sha256=hashed(cookie), token_sha256=token.sha256.lower(), name=token.name, at=now, until=now + LASTS
    )  # fmt: skip
    await ports.store.write(lambda tx: tx.visits.add(visit, forget_before=now))
    return Begun(visit=visit, cookie=cookie)


async def visitor(ports: Ports, admission: Admission, cookie: str) -> Token:
    """Give whose browser this is; Unauthenticated when the visit or its token has ended."""
    found = await ports.store.read(lambda tx: tx.visits.find(hashed(cookie)))
    if found is None or not found.holds(ports.clock()):
        raise Unauthenticated("this visit has ended", hint="log in again")
    return await admission.of(found.token_sha256)


async def end(ports: Ports, cookie: str) -> bool:
    """End a visit; whether there was one."""
    return await ports.store.write(lambda tx: tx.visits.end(hashed(cookie)))
