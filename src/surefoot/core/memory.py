"""Memory: what an agent keeps between requests, in scopes that are looked up in one order.

A write lands in the most specific scope that the request names; a read walks workflow, session, actor, agent, global
and takes the first that has the key. The scopes of two workflows are siblings: what one writes without naming a scope
the other never sees (S1-09). So what belongs to the agent, such as its failures, is written to the scope `agent` by
name, and every answer says in which scope it was found. Everything is bounded: keys, values, lists and their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast, get_args

from surefoot.core.digest import canonical
from surefoot.core.errors import Conflict, Invalid

Scope = Literal["workflow", "session", "actor", "agent", "global"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
LONGEST_KEY = 200
LARGEST_VALUE = 64 * 1024
DEEPEST = 64
MOST_KEYS = 10_000
MOST_ITEMS = 500
LONGEST_TTL_S = 10 * 366 * 86_400.0
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Place:
    """One scope of one owner: the session `s-1`, the agent `support`, or everybody."""

    scope: Scope
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What a request says of itself; empty means it does not say."""

    agent: str
    workflow: str = ""
    session: str = ""
    actor: str = ""

    def places(self) -> tuple[Place, ...]:
        """Give the places a read walks, most specific first."""
        owners: dict[Scope, str] = {
            "workflow": self.workflow, "session": self.session, "actor": self.actor, "agent": self.agent,
            "global": EVERYBODY,
        }  # fmt: skip
        return tuple(Place(scope, owner) for scope, owner in owners.items() if owner)

    def place(self, scope: str = "") -> Place:
        """Give the one place that a write, a deletion or a list is about; by default the most specific."""
        if not scope:
            return self.places()[0]
        if scope not in SCOPES:
            raise Invalid(f"there is no scope {scope!r}", hint=f"use one of {', '.join(SCOPES)}")
        found = next((place for place in self.places() if place.scope == scope), None)
        if found is None:
            raise Invalid(
                f"the scope {scope} is named, but not whose", hint=f"say which {scope} the request belongs to"
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One remembered value, any JSON, with where it was found; `expires_at` None means never."""

    place: Place
    key: str
    value: object
    written_at: datetime
    expires_at: datetime | None = None

    def alive(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChange:
    """Something happened to a key; `seq` grows and is what a listener resumes from."""

    seq: int
    place: Place
    key: str
    action: Literal["set", "append", "delete", "expire"]
    at: datetime


def checked_key(key: str) -> str:
    """Give a key back, or Invalid if it could not be found again."""
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable() or EVERYBODY in key or key != key.strip():
        raise Invalid(
            f"the key {key[:60]!r} is not usable",
            hint=f"1 to {LONGEST_KEY} printable characters without * and without spaces at the ends",
        )
    if not {".", ".."}.isdisjoint(key.split("/")):
        raise Invalid(f"the key {key[:60]!r} is not usable", hint="no part between slashes may be . or .., as in paths")
    return key


def checked_value(value: object, key: str) -> object:
    """Give a value back, or Invalid for what is no JSON, or too large."""
    try:
        size = len(canonical(value))
        _plain(value, DEEPEST)
    except RecursionError:
        raise Invalid(f"the value of {key!r} is nested too deeply", hint=f"{DEEPEST} levels at most") from None
    except (TypeError, ValueError) as problem:
        raise Invalid(
            f"the value of {key!r} is no JSON: {problem}", hint="texts, numbers, lists, objects, null"
        ) from None
    if size > LARGEST_VALUE:
        raise Invalid(
            f"the value of {key!r} has {size} bytes, {LARGEST_VALUE} are allowed", hint="keep a reference to it"
        )
    return value


def _plain(value: object, levels: int) -> None:
    """Refuse what another reader of JSON would not give back the same: whole numbers of more than 64 bits, depths."""
    if levels < 0:
        raise RecursionError
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of more than 64 bits")
    if isinstance(value, dict):
        for one in cast("dict[str, object]", value).values():
            _plain(one, levels - 1)
    elif isinstance(value, list | tuple):
        for one in cast("Sequence[object]", value):
            _plain(one, levels - 1)


def appended(current: object, item: object, key: str, keep: int = MOST_ITEMS) -> list[object]:
    """Give the list with an item at its end: the newest `keep`, fewer where they would be too large together.

    Conflict where something else than a list is there.
    """
    if not 1 <= keep <= MOST_ITEMS:
        raise Invalid(f"a list cannot keep {keep} items", hint=f"1 to {MOST_ITEMS}")
    checked_value(item, key)
    if current is not None and not isinstance(current, list):
        raise Conflict(f"{key!r} holds no list", hint="append under another key, or set this one to [] first")
    items = [*cast("list[object]", current or []), item][-keep:]
    sizes = [len(canonical(one)) + 1 for one in items]
    while sum(sizes) + 1 > LARGEST_VALUE:
        items, sizes = items[1:], sizes[1:]
    return items


def expiry(now: datetime, ttl_s: float | None) -> datetime | None:
    """Give when something written now expires; Invalid for a time that is no time."""
    if ttl_s is None:
        return None
    if not 0 < ttl_s <= LONGEST_TTL_S:
        raise Invalid(f"a time to live of {ttl_s} s makes no sense", hint="seconds above 0, ten years at most")
    return now + timedelta(seconds=ttl_s)


def matches(pattern: str, key: str) -> bool:
    """Say whether a key fits a pattern in which * stands for anything."""
    first, *inner = pattern.split("*")
    if not inner:
        return key == first
    last = inner.pop()
    if len(key) < len(first) + len(last) or not (key.startswith(first) and key.endswith(last)):
        return False
    at, end = len(first), len(key) - len(last)
    for part in inner:  # each at its first place, so that no pattern takes long
        if (found := key.find(part, at, end)) < 0:
            return False
        at = found + len(part)
    return True


def text_of(value: object) -> str:
    """Give the words of a value, for finding it by likeness."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return " ".join(f"{name} {text_of(one)}" for name, one in cast("dict[str, object]", value).items())
    if isinstance(value, list | tuple):
        return " ".join(text_of(one) for one in cast("Sequence[object]", value))
    return "" if value is None else str(value)
