"""Issue: make a token, list tokens, revoke one; and the two rules that go with persons.

A token is shown once, by whoever made it; what is kept is its hash. Names that are good are given once. Whoever revokes
a token ends it for every process within a second. A person's several tokens stand for the person: `people` says for
which, so that a name on record is compared as the person behind it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from surefoot.core.approval import identity
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound
from surefoot.core.session import FRESH, Login
from surefoot.core.token import Issued, Role, Token, hashed, must_hand_out, must_may
from surefoot.ports import Ports, Tx

LONGEST_NAME = 200
FIRST = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new token, and what is kept of it."""

    token: str = field(repr=False)
    issued: Issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a new token is to be: whose, and what for; without `life` it is good until it is revoked."""

    name: str
    role: Role
    person: str = ""
    agents: tuple[str, ...] = ()
    life: timedelta | None = None


async def issue(ports: Ports, order: Order, *, by: str, giver: Token | None = None) -> Made:
    """Make a token; `giver` is the token in whose right this happens (None: whoever sits at the store).

    Invalid for a name that shows nothing, Conflict for one that is taken, Forbidden for more than the giver may.
    """
    _must_be_a_name(order.name)
    if order.person:
        _must_be_a_name(order.person)
    if giver is not None:
        must_hand_out(giver, order.role, order.agents)
    return await ports.store.write(lambda tx: _issued(tx, ports, order, by))


async def first_admin(ports: Ports) -> Made | None:
    """Make the first token, of an admin, where the store has none; None where it has (of two at once, one makes it)."""

    def work(tx: Tx) -> Made | None:
        if tx.tokens.all():
            return None
        return _issued(tx, ports, Order(name=FIRST, role="admin"), by="first start")

    return await ports.store.write(work)


async def revoke(ports: Ports, which: str, *, by: str, giver: Token | None = None) -> Issued:
    """End a token, named by its id or its name; Conflict when it was ended before, or is the giver's own."""
    now = ports.clock()

    def work(tx: Tx) -> Issued:
        found = _named(tx, which, giver)
        if found.revoked_at is not None:
            raise Conflict(f"the token {found.name} was revoked already", hint="nothing to do")
        if giver is not None and giver.id == found.id:
            raise Conflict("this is the token that you came with", hint="revoke it with another one, or on the server")
        ended = tx.tokens.swap(replace(found, revoked_at=now, revoked_by=by))
        tx.audit.append(at=now, actor=by, action="token-revoked", subject=found.name, payload={"token": found.id})
        return ended

    return await ports.store.write(work)


async def tokens(ports: Ports, *, giver: Token | None = None) -> list[tuple[Issued, datetime | None]]:
    """Give the tokens of the store that the giver reaches, oldest first, each with the moment of its last use."""
    found = await ports.store.read(lambda tx: tx.tokens.all())
    return [one for one in found if giver is None or _reaches(giver, one[0])]


async def log_in(ports: Ports, caller: Token, presented: str) -> tuple[str, datetime]:
    """Give a proof that the caller has just entered their token again, and until when it is good."""
    if not hmac.compare_digest(hashed(presented), caller.sha256.lower()):
        raise Invalid("this is not the token that came with the request", hint="enter the same one again")
    must_may(caller, "decide")
    proof, now = f"sl_{secrets.token_urlsafe(32)}", ports.clock()
    login = Login(sha256=hashed(proof), name=caller.name, at=now)
    await ports.store.write(lambda tx: tx.tokens.log_in(login, forget_before=now - FRESH))
    return proof, now + FRESH


def people(tx: Tx, ports: Ports) -> Mapping[str, str]:
    """Give the person behind each token's own name, by identity; revoked tokens count, since names stay on record."""
    stored = {identity(one.name): one.person for one, _ in tx.tokens.all() if one.person}
    return {**{identity(name): person for name, person in ports.people.items()}, **stored}


def must_be_fresh(tx: Tx, ports: Ports, proof: str, name: str) -> None:
    """Spend a proof of a login, or raise Forbidden; it is good for one decision of one person."""
    login = tx.tokens.spend(hashed(proof)) if proof else None
    if login is None or not login.proves(name, ports.clock()):
        raise Forbidden(
            "a change of what the agent can reach (level 3) takes a fresh login",
            hint="POST /api/v1/login with the token, then send the proof as X-Surefoot-Login within ten minutes",
        )


def _issued(tx: Tx, ports: Ports, order: Order, by: str) -> Made:
    now, plain = ports.clock(), f"sf_{secrets.token_urlsafe(32)}"
    mine = identity(order.name)
    if any(identity(one.name) == mine and one.state(now) == "good" for one in tx.tokens.standing()):
        raise Conflict(
            f"there is a token {order.name} already",
            hint="revoke it, or take another name (--person keeps whose it is)",
        )
    made = Issued(
        id=ports.new_id(), name=order.name.strip(), sha256=hashed(plain), role=order.role, created_at=now,
        created_by=by, person=order.person.strip(), agents=order.agents,
        expires_at=None if order.life is None else now + order.life,
    )  # fmt: skip
    tx.tokens.add(made)
    tx.audit.append(
        at=now, actor=by, action="token-created", subject=made.name,
        payload={"token": made.id, "role": made.role, "person": made.person, "agents": list(made.agents),
                 "expires_at": None if made.expires_at is None else made.expires_at.isoformat()},
    )  # fmt: skip
    return Made(token=plain, issued=made)


def _named(tx: Tx, which: str, giver: Token | None) -> Issued:
    """The token with this id, else the newest with this name, good ones first."""
    found = [one for one, _ in tx.tokens.all() if giver is None or _reaches(giver, one)]
    by_id = [one for one in found if one.id == which]
    by_name = [one for one in found if identity(one.name) == identity(which)]
    if not by_id and not by_name:
        raise NotFound(f"there is no token {which!r} in the store",
                       hint="surefoot token list shows them; one of surefoot.toml ends when its lines go")  # fmt: skip
    return (by_id or sorted(by_name, key=lambda one: one.revoked_at is None))[-1]


def _reaches(giver: Token, one: Issued) -> bool:
    return not giver.agents or (bool(one.agents) and set(one.agents) <= set(giver.agents))


def _must_be_a_name(name: str) -> None:
    if not identity(name) or len(name) > LONGEST_NAME:
        raise Invalid("a token needs a name of at most 200 characters", hint="name the person or program it stands for")
