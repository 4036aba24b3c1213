"""Forward: one request to an upstream, again and elsewhere if need be, under one deadline.

An upstream is asked up to `attempts` times while it says that it cannot answer now (429, 5xx, no answer), with a pause
that doubles, or as long as it asks for; then those that stand in for it are. One that keeps failing is left out by its
breaker. Nothing is sent after the deadline; whoever watches over the request cancels what is under way then, and that
counts against the upstream. When all fail, the app gets the last answer there was, as it was sent. An app's own key is
never shown to a stand-in.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from surefoot.core.breaker import Breaker, ended, lets_through, sent
from surefoot.ports.upstream import Call, Reply, Unreached, Upstream

AGAIN = frozenset({408, 429, 500, 502, 503, 504, 529})
Sleep = Callable[[float], Awaitable[None]]


class TooLate(Unreached):
    """The upstream did not answer, or not to the end, before the deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is sent: the path, the body for a model of this name, the headers, the app's own key if it has one."""

    path: str
    pack: Callable[[str], bytes]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How often an upstream is asked, the first pause in seconds, and how breakers trip."""

    attempts: int = 3
    pause_s: float = 0.2
    breaker: Breaker = field(default_factory=Breaker)


@dataclass(slots=True)
class _Best:
    """The last answer there was, and the last reason why there was none."""

    held: tuple[Reply, Upstream] | None = None
    problem: Unreached | None = None

    def take(self, reply: Reply, upstream: Upstream) -> None:
        self.drop()
        self.held = (reply, upstream)

    def drop(self) -> None:
        if self.held is not None:
            self.held[0].close()
            self.held = None

    def given(self, model: str) -> tuple[Reply, Upstream]:
        if self.held is None:
            raise self.problem or Unreached(f"{model} kept failing and is left alone", hint="try again in a while")
        return self.held


class Forwarding:
    """The upstreams by name, who stands in for whom, and what is known of each."""

    def __init__(
        self, upstream_named: Callable[[str], Upstream], *, fallback: Mapping[str, Sequence[str]], terms: Terms,
        sleep: Sleep = asyncio.sleep, rng: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._named = upstream_named
        self._fallback = fallback
        self._terms = terms
        self._sleep = sleep
        self._rng = rng
        self.breakers: dict[str, Breaker] = {}
        self.retries = 0
        self.fallbacks = 0

    async def forward(self, model: str, letter: Letter, *, until: float) -> tuple[Reply, Upstream]:
        """Give an answer that has begun and who gives it; Unreached when there is none (`until` in loop time)."""
        best = _Best()
        try:
            for name in [model] if letter.authorization else [model, *self._fallback.get(model, ())]:
                if await self._asked(name, letter, until, best):
                    self.fallbacks += name != model
                    break
            return best.given(model)
        except BaseException:
            best.drop()
            raise

    async def _asked(self, name: str, letter: Letter, until: float, best: _Best) -> bool:
        """Ask one upstream until it answers; false when it does not and another may be asked."""
        upstream = self._named(name)
        for attempt in range(self._terms.attempts):
            if not lets_through(self._breaker(name), self._now()) or not await self._paused(attempt, best, until):
                return False
            try:
                reply = await self._sent(name, upstream, letter, until)
            except Unreached as problem:
                best.problem = problem
                continue
            best.take(reply, upstream)
            if reply.status not in AGAIN:
                return True
        return False

    async def _paused(self, attempt: int, best: _Best, until: float) -> bool:
        """Wait before asking again; false when there is no time for it."""
        if not attempt:
            return self._now() < until
        pause = self._terms.pause_s * 2 ** (attempt - 1) * (0.5 + self._rng() / 2)
        pause = max(pause, _asked_for(best.held[0]) if best.held else 0.0)
        if self._now() + pause >= until:
            return False
        self.retries += 1
        await self._sleep(pause)
        return True

    async def _sent(self, name: str, upstream: Upstream, letter: Letter, until: float) -> Reply:
        call = Call(
            path=letter.path, body=letter.pack(upstream.model), headers=letter.headers,
            authorization=letter.authorization,
        )  # fmt: skip
        self.breakers[name] = sent(self._breaker(name), self._now())
        try:
            reply = await upstream.send(call)
        except asyncio.CancelledError:
            if self._now() >= until:
                self._ended(name, well=False)
            raise
        except Unreached:
            self._ended(name, well=False)
            raise
        self._ended(name, well=reply.status < 500)
        return reply

    def broke_off(self, name: str) -> None:
        """Note that an answer that had begun did not come to its end."""
        self._ended(name, well=False)

    def _breaker(self, name: str) -> Breaker:
        return self.breakers.get(name, self._terms.breaker)

    def _ended(self, name: str, *, well: bool) -> None:
        self.breakers[name] = ended(self._breaker(name), self._now(), well=well)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _asked_for(reply: Reply) -> float:
    """How many seconds the upstream asks to be left alone."""
    for name, value in reply.headers:
        if name.lower() == "retry-after":
            return float(value) if value.strip().replace(".", "", 1).isdigit() else 0.0
    return 0.0
