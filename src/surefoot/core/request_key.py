"""A key of a request: why a request that is sent twice is carried out once.

A program that got no answer does not know whether it was too early or too late to be heard, so it sends the request
again under the same key. What then happens is decided here, in this order: another request under a key that is in use
is a mistake; what was answered is answered again, word for word; what is being worked on is waited for; and where the
process that worked on it died, what it left behind decides. The first write of a request marks its key as `changed`
in its own transaction, so that an unmarked key of a dead process proves that nothing happened: the request is carried
out now. A marked one is told as such, because nobody can say how far it came. An answer that shows a secret, or what a
model or a process said as it came, is not kept; that it was given is. What may go better in a moment frees its key,
because a client that asks again must get through. Keys are forgotten after a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from surefoot.core.errors import Conflict, Invalid

KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=30)
LONGEST = 200
AGAIN = frozenset({429, 502, 503, 504})
KeyState = Literal["open", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """One key of one caller: the digest of the request under it, and the answer once there is one.

    `owner` is the process that works on it, until `until` at least; `changed` says that it wrote something. An answer
    that shows a secret or somebody's text is not kept, which `secret` says; then of its headers only `location` is.
    """

    who: str
    key: str
    request: str
    owner: str
    at: datetime
    until: datetime
    state: KeyState = "open"
    changed: bool = False
    secret: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str = ""


class Busy(Conflict):
    """The same request is being carried out just now."""


def usable(key: str) -> str:
    """Give a key, or raise Invalid: 1 to 200 visible ASCII characters."""
    if not 1 <= len(key) <= LONGEST or any(not "!" <= char <= "~" for char in key):
        raise Invalid("the Idempotency-Key is not usable", hint=f"send 1 to {LONGEST} visible ASCII characters")
    return key


def due(known: RequestKey | None, request: str, *, now: datetime, alive: bool) -> Literal["run", "replay"]:
    """Say what to do with a request under a key; `alive` says whether the owner of the known one still works.

    Invalid for another request, Busy while it is carried out, Conflict where nobody can say what became of it.
    """
    if known is None or now - known.at >= KEPT:
        return "run"
    if known.request != request:
        raise Invalid("this Idempotency-Key was sent with another request", hint="give each request a key of its own")
    if known.state == "done":
        if known.secret:
            where = known.headers.get("location", "")
            raise Conflict(
                "this was carried out; its answer is not kept, since it showed a secret or somebody's text",
                hint=f"GET {where} shows what came of it" if where else "look at what it made, or ask under a new key",
            )
        return "replay"
    if alive and now < known.until:
        raise Busy("the same request is being carried out", hint="ask again in a moment, with the same key")
    if known.changed:
        raise Conflict(
            "the server ended while it carried this out, and had begun to change things",
            hint="look at what is there (the audit log says what was done), then send what is left under a new key",
        )
    return "run"


def worth_keeping(status: int, *, changed: bool) -> bool:
    """Whether an answer is kept: it did something, or it went well; a refusal that changed nothing frees its key.

    So does whatever says that asking again may help, also where it wrote down that it was asked in vain.
    """
    return status not in AGAIN and (changed or 200 <= status < 300)
