"""Admit: whose token this is, from the settings and the store, and whether they may ask just now.

The tokens of the store are read once and kept. A request never relies on tokens that were read more than `FRESH_S`
ago, so a token that is revoked lets nobody in after that, in every process; some time before they are read again beside
the requests, so that nobody waits. While the store cannot be read the last ones hold for `STALE_S`.

In this order: is the address shut because of guesses (then only who has been let in from there passes), is the token
known, has it expired, and has it asked too often. What is counted lies in the memory of one process, and is bounded.
When a token was last used is written down beside the requests, at most once a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from surefoot.config import Settings
from surefoot.core.errors import SurefootError, Unavailable
from surefoot.core.rate import Bucket, Rate, TooMany, full, neighbourhood, taken, wait_s
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Token, recognised
from surefoot.ports import Ports, Tx

FRESH_S = 0.8
AGEING_S = 0.4
STALE_S = 60.0
MOST_KEPT = 20_000
USED_EVERY = timedelta(minutes=1)
_FIRST = "surefoot token create NAME --role agent"
GUESSES = Rate(per_s=0.1, burst=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often a token and an address may ask (None: as often as they like), and how often an address may guess."""

    token: Rate | None = None
    address: Rate | None = None
    guesses: Rate = GUESSES


class Buckets:
    """Buckets by key, of which the newest `most` are kept; of a key that is forgotten the bucket is full again."""

    def __init__(self, rate: Rate, *, most: int = MOST_KEPT) -> None:
        self.rate = rate
        self._most = most
        self._kept: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, key: str, now: float) -> bool:
        """Take a drop; False when there is none."""
        after = taken(self.rate, self._kept.get(key) or full(self.rate, now), now)
        if after is None:
            return False
        self._kept[key] = after
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return True

    def wait_s(self, key: str, now: float) -> float:
        """Give the seconds until a drop can be taken."""
        kept = self._kept.get(key)
        return 0.0 if kept is None else wait_s(self.rate, kept, now)

    def __len__(self) -> int:
        return len(self._kept)


class Admission:
    """Who may come in, for one process. `steady` is a clock that only goes forward, in seconds."""

    def __init__(
        self, ports: Ports, settled: tuple[Token, ...] = (), *, rates: Rates | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._ports = ports
        self._settled = settled
        self._rates = rates or Rates()
        self._steady = steady
        self._known: tuple[Token, ...] = settled
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._used: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}
        self._guests: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._guesses = Buckets(self._rates.guesses)
        self._tokens = None if self._rates.token is None else Buckets(self._rates.token)
        self._addresses = None if self._rates.address is None else Buckets(self._rates.address)
        self.refused = 0
        self.limited = 0

    @classmethod
    def from_settings(cls, ports: Ports, settings: Settings) -> Admission:
        """Give who may come in by the settings."""
        given = settings.serve
        per_token, per_address = (
            None if per_s is None else Rate(per_s=per_s, burst=max(1.0, per_s * given.burst_s))
            for per_s in (given.token_per_s, given.address_per_s)
        )
        settled = tuple(
            Token(name=one.person or name, sha256=one.sha256, role=one.role, agents=one.agents)
            for name, one in settings.tokens.items()
        )
        return cls(ports, settled, rates=Rates(token=per_token, address=per_address))

    async def admit(self, presented: str, *, address: str = "", beside: tuple[Token, ...] = ()) -> Token:
        """Give whose token this is; Unauthenticated for nobody we know, TooMany for who asks too often.

        `beside` are tokens that are good at this door only.
        """
        now, place = self._steady(), neighbourhood(address)
        await self._fresh(now)
        try:
            token = recognised((*beside, *self._known), presented)
            if not token.holds(self._ports.clock()):
                raise Unauthenticated("the token has expired", hint="surefoot token create NAME makes another")
        except Unauthenticated:
            self._guessed(place, now, presented)
            if not self._known:
                raise Unauthenticated("nobody can come in yet: there are no tokens", hint=_FIRST) from None
            raise
        guest = (place, token.sha256)
        if guest not in self._guests:
            self._must_be_open(place, now)
            self._welcome(guest)
        if self._tokens is not None and not self._tokens.take(token.sha256, now):
            self.limited += 1
            raise _too_many(f"{token.name} asks too often", self._tokens.wait_s(token.sha256, now))
        if token.id:
            self._used[token.id] = self._ports.clock()
        return token

    async def of(self, sha256: str) -> Token:
        """Give the token with this hash, which was shown before; Unauthenticated once it is revoked or has expired."""
        await self._fresh(self._steady())
        found = [one for one in self._known if one.sha256.lower() == sha256 and one.holds(self._ports.clock())]
        if not found:
            raise Unauthenticated("the token that opened this visit is not good any more", hint="log in again")
        return found[0]

    def must_not_flood(self, address: str) -> None:
        """Raise TooMany when more comes from an address than may, whoever is asking."""
        if self._addresses is None:
            return
        now, place = self._steady(), neighbourhood(address)
        if not self._addresses.take(place, now):
            self.limited += 1
            raise _too_many("this address asks too often", self._addresses.wait_s(place, now))

    async def empty(self) -> bool:
        """Whether there is no token at all."""
        await self._fresh(self._steady())
        return not self._known

    async def aclose(self) -> None:
        """Write down what was used last."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        with contextlib.suppress(SurefootError):
            await self._ports.store.write(lambda tx: _noted(tx, self._used))

    def _must_be_open(self, place: str, now: float) -> None:
        if (wait := self._guesses.wait_s(place, now)) > 0:
            self.limited += 1
            raise _too_many("too many unknown tokens came from this address", wait)

    def _guessed(self, place: str, now: float, presented: str) -> None:
        """Count a guess; TooMany once there were too many of them. Asking without any token is no guess."""
        self.refused += 1
        if presented:
            self._must_be_open(place, now)
            self._guesses.take(place, now)

    def _welcome(self, guest: tuple[str, str]) -> None:
        self._guests[guest] = None
        if len(self._guests) > MOST_KEPT:
            self._guests.popitem(last=False)

    # What is known ----------------------------------------------------------------------------------------------------

    async def _fresh(self, now: float) -> None:
        """Make sure that what is known is fresh enough."""
        age = FRESH_S if self._read_at is None else now - self._read_at
        if age < AGEING_S:
            return
        reading = self._reading or self._read_again()
        if age < FRESH_S:
            return
        try:
            await asyncio.shield(reading)
        except Unavailable:
            if self._read_at is None or self._steady() - self._read_at > STALE_S:
                raise

    def _read_again(self) -> asyncio.Task[None]:
        reading = asyncio.get_running_loop().create_task(self._read())
        self._reading = reading

        def over(task: asyncio.Task[None]) -> None:
            self._reading = None
            if not task.cancelled():
                task.exception()  # whoever waits is told; without anyone it is no news

        reading.add_done_callback(over)
        return reading

    async def _read(self) -> None:
        began = self._steady()
        standing = await self._ports.store.read(lambda tx: tx.tokens.standing())
        self._known = (*self._settled, *(one.token for one in standing))
        self._read_at = began
        late = {one: at for one, at in self._used.items() if at - self._written.get(one, _EVER) >= USED_EVERY}
        if late:
            self._written |= late
            for one in late:
                self._used.pop(one, None)
            with contextlib.suppress(SurefootError):  # only a note; the next use makes another
                await self._ports.store.write(lambda tx: _noted(tx, late))


_EVER = datetime.min.replace(tzinfo=UTC)


def _noted(tx: Tx, used: dict[str, datetime]) -> None:
    for token_id, at in used.items():
        tx.tokens.used(token_id, at)


def _too_many(sentence: str, wait: float) -> TooMany:
    return TooMany(sentence, hint=f"wait {max(1, round(wait + 0.5))} s", retry_after_s=max(wait, 0.001))
