"""A house: all that the agents of one program share at one place, from the first call to the end of the program.

One line, one link, one queue of what waits, one set of keepsakes. It is made once per place and process. A child after
a fork gets its own connections and an empty queue, because the parent sends what is its own. At the end of the program
what still waits is sent, for a bounded time, and what could not be sent is said.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from surefoot.core.errors import SurefootError
from surefoot.core.genome import Genome
from surefoot.sdk.call import Assigned
from surefoot.sdk.keepsake import Keepsakes
from surefoot.sdk.line import Line
from surefoot.sdk.link import TIMEOUT_S, Got, Link, Place, segment
from surefoot.sdk.waiting import Item, Waiting

V1 = "/api/v1"
ASSIGN_S = 5.0
EXIT_S = 3.0
LEFT_S = 1.0
_log = logging.getLogger("surefoot.sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How it goes between this program and Surefoot; `connected` is None before the first request.

    `lost` were never sent (no room, or no version known), `refused` were sent and not taken; `remembered` calls were
    served by the last known genome, and `defaulted` reads of memory got their default, both because Surefoot was away.
    """

    connected: bool | None
    waiting: int
    waiting_bytes: int
    sent: int
    lost: int
    refused: int
    remembered: int
    defaulted: int
    problem: str


class Leaving(Protocol):
    """Somebody who uses the house until told to stop."""

    def stop(self, within_s: float = ..., /) -> None: ...


class House:
    """Everything at one place; safe to use from anywhere."""

    def __init__(self, place: Place, *, kept_in: Path | None) -> None:
        self._place = place
        self.line = Line()
        self.keepsakes = Keepsakes(kept_in, place.url or "inside")
        self.remembered = 0
        self.defaulted = 0
        self.watches: set[Leaving] = set()
        self._said: set[str] = set()
        self._begin()
        _HOUSES.add(self)

    def _begin(self) -> None:
        self.link = Link(self._place)
        self.waiting = Waiting(self._sent)

    # What is asked ----------------------------------------------------------------------------------------------------

    async def assigned(self, agent: str, unit: str, slices: Mapping[str, str]) -> Assigned | None:
        """Give the version that serves a unit; the last known one while Surefoot is away, None if there is none.

        What the caller can mend (no such agent, no right to it) is raised while nothing else is known.
        """
        last = self.keepsakes.last(agent)
        known = last.genome.digest if last is not None else ""
        try:
            got = await self.link.ask(
                "POST", f"{V1}/agents/{segment(agent)}/assign", timeout_s=ASSIGN_S,
                body={"unit": unit, "slices": dict(slices), "known": known},
            )  # fmt: skip
        except SurefootError as problem:
            self.say(problem)
            if last is not None:
                self.remembered += 1
                return last
            if problem.code == "unavailable":
                return None
            raise
        found = _assigned(got.body, last.genome if last is not None else None)
        self.keepsakes.keep(agent, found)
        return found

    def told(self, item: Item) -> bool:
        """Take something to be sent, from any thread; False when it is lost for want of room."""
        taken = self.waiting.put(item)
        with contextlib.suppress(RuntimeError):  # the loop has ended: it is sent, or counted, at the end
            self.line.begin(self._wake())
        return taken

    def say(self, problem: SurefootError) -> None:
        """Note a problem, and log each kind of it once."""
        self.waiting.counts.problem = problem.message
        if problem.code not in self._said:
            self._said.add(problem.code)
            _log.warning("%s (%s)", problem.message, problem.hint)

    def health(self) -> Health:
        """Give how it goes."""
        counts = self.waiting.counts
        return Health(
            connected=self.link.up, waiting=len(self.waiting), waiting_bytes=self.waiting.bytes, sent=counts.sent,
            lost=counts.lost, refused=counts.refused, remembered=self.remembered, defaulted=self.defaulted,
            problem=counts.problem,
        )  # fmt: skip

    async def flushed(self, timeout_s: float) -> bool:
        """Wait until everything is sent; False when something still waits."""
        return await self.waiting.flushed(timeout_s)

    async def _wake(self) -> None:
        self.waiting.wake()

    async def _sent(self, item: Item) -> Any:
        got: Got = await self.link.ask(
            item.method, item.path, body=item.body, headers=item.headers, timeout_s=TIMEOUT_S, patient=True
        )
        return got.body

    # The end ----------------------------------------------------------------------------------------------------------

    def end(self, deadline_s: float = EXIT_S) -> None:
        """Send what waits, for at most so long, and let go of everything; what could not be sent is said."""
        began = time.monotonic()
        for one in list(self.watches):
            one.stop(max(0.0, began + min(LEFT_S, deadline_s) - time.monotonic()))
        deadline_s = max(0.0, deadline_s - (time.monotonic() - began))
        if self.link.up is None and not len(self.waiting):
            return
        patience = deadline_s if self.link.up is not False else min(1.0, deadline_s)
        with contextlib.suppress(concurrent.futures.TimeoutError, concurrent.futures.CancelledError, RuntimeError):
            self.line.begin(self._ended(patience)).result(deadline_s + 3)
        if left := len(self.waiting):
            _log.warning("%d things were not sent to Surefoot before the program ended", left)
        self.line.end()

    async def _ended(self, deadline_s: float) -> None:
        await self.flushed(deadline_s)
        await self.link.aclose()

    def after_fork(self) -> None:
        """Begin anew in a child: the parent's connections are not ours to close, nor is what it has to send."""
        _LEFT_ALONE.append((self.link, self.waiting, self.watches))
        self.watches = set()
        self.line.forget()
        self._begin()


def _assigned(body: Any, known: Genome | None) -> Assigned:
    genome = known if body["genome"] is None and known is not None else Genome.from_document(body["genome"] or [])
    return Assigned(version=body["version"], genome=genome, live=body["live"], assignment=body["assignment"])


_HOUSES: weakref.WeakSet[House] = weakref.WeakSet()
_LEFT_ALONE: list[object] = []
_KNOWN: dict[tuple[str, str], House] = {}


class _Making:
    """Lets one thread at a time look for a house."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def after_fork(self) -> None:
        self.lock = threading.Lock()


_MAKING = _Making()


def house_at(place: Place, key: tuple[str, str], *, kept_in: Path | None) -> House:
    """Give the house at a place, the same one each time."""
    with _MAKING.lock:
        if key not in _KNOWN:
            _KNOWN[key] = House(place, kept_in=kept_in)
        return _KNOWN[key]


def closed(house: House) -> None:
    """End a house before the program does, and forget it."""
    with _MAKING.lock:
        for key in [key for key, one in _KNOWN.items() if one is house]:
            del _KNOWN[key]
    house.end()


def _at_the_end() -> None:
    for house in list(_HOUSES):
        house.end()
    _HOUSES.clear()


def _in_a_child() -> None:
    _MAKING.after_fork()  # another thread may have held it at the fork
    for house in list(_HOUSES):
        house.after_fork()


# Before the thread pools are shut down, which happens before `atexit`: without them no store can be written. They have
# to be registered first for that, which naming their class does.
_POOLS = concurrent.futures.ThreadPoolExecutor
_register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_register(_at_the_end)
os.register_at_fork(after_in_child=_in_a_child)
