"""Connect: versions that are processes as a connector sees them, and a share set from there.

A share for a candidate begins its rollout. The gate has nothing to say about a program unless it was asked before; then
whoever holds the token takes the responsibility, and everything about the rollout says so. A version that was turned
down or rolled back is not offered again by a weight: that takes a person and a word. It is decided and done in one
transaction, so of two who set a share at once the second decides on what the first one left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.build import Build
from surefoot.core.errors import Conflict, NotFound
from surefoot.core.process import Process, counted, serves
from surefoot.core.rollout.share import share_wished
from surefoot.engine.terms import terms_now
from surefoot.engine.verdict import must_be_judged
from surefoot.engine.weigh import NotGiven, Weighed, shares, weighed
from surefoot.ports import Ports, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A build with its share as it is set and as it is served, and how its processes are."""

    build: Build
    state: str
    weight_percent: float
    effective_percent: float
    health: str
    lifecycle: str
    processes: int


async def versions(ports: Ports, agent: str) -> list[Standing]:
    """Give the builds of an agent, oldest first."""
    now = ports.clock()
    return await ports.store.read(lambda tx: _standing(tx, agent, now))


def _standing(tx: Tx, agent: str, now: datetime) -> list[Standing]:
    set_shares, live = shares(tx, agent), tx.agents.get(agent).live
    there = {build.number: tx.processes.of(agent, build.number) for build in tx.builds.all(agent)}
    served = _served(
        set_shares, live, {number: any(serves(one, now) for one in found) for number, found in there.items()}
    )
    return [
        Standing(
            build=build, state=tx.versions.get(agent, build.number).state,
            weight_percent=set_shares.get(build.number, 0.0), effective_percent=served.get(build.number, 0.0),
            health=_health(there[build.number], now), lifecycle=_lifecycle(there[build.number], now),
            processes=len(there[build.number]),
        )
        for build in tx.builds.all(agent)
    ]  # fmt: skip


def _served(set_shares: Mapping[int, float], live: int, well: Mapping[int, bool]) -> dict[int, float]:
    """Give who really serves: the live version stands in for one that cannot; nobody stands in for the live one."""
    served = dict.fromkeys(set_shares, 0.0)
    for number, percent in set_shares.items():
        stand_in = number if well.get(number) else live
        if well.get(stand_in):
            served[stand_in] = served.get(stand_in, 0.0) + percent
    return served


def _health(found: Sequence[Process], now: datetime) -> str:
    if any(serves(one, now) for one in found):
        return "healthy"
    return "unhealthy" if found else "unknown"


def _lifecycle(found: Sequence[Process], now: datetime) -> str:
    """The word of the instance that stands best."""
    words = counted(found, now)
    order = ("ready", "starting", "draining", "unhealthy", "pending_approval", "expired", "offline")
    return next((word for word in order if word in words), "offline")


async def connected(ports: Ports, agent: str, version: str, percent: float, *, by: str) -> tuple[Weighed, str]:
    """Give a build a share; with it, the version string of the other one. Errors are those of `weigh`."""

    def work(tx: Tx) -> tuple[Weighed, str] | NotGiven:
        number, forced = _wanted(tx, ports, agent, version, percent)
        done = weighed(tx, ports, agent, number, percent, by=by, reason="set by the connector",
                       forced_by=by if forced else "")  # fmt: skip
        if isinstance(done, NotGiven):
            return done
        other = tx.builds.numbered(agent, done.other or tx.agents.get(agent).live)
        return done, "" if other is None or other.number == number else other.version

    found = await ports.store.write(work)
    if isinstance(found, NotGiven):
        raise found
    return found


def _wanted(tx: Tx, ports: Ports, agent: str, version: str, percent: float) -> tuple[int, bool]:
    """Give the number of the version, and whether a rollout has to be begun for it on somebody's responsibility."""
    build = tx.builds.named(agent, version)
    if build is None:
        known = ", ".join(one.version for one in tx.builds.all(agent)[-10:]) or "none yet"
        raise NotFound(f"{agent} has no version {version!r}", hint=f"versions: {known}; a process registers one")
    record, active = tx.agents.get(agent), tx.rollouts.active(agent)
    terms = active.settings if active else terms_now(tx, record, ports.clock(), None)
    wish = share_wished(record.live, active, build.number, percent, terms=terms)
    if wish.action != "begin":
        return build.number, False
    found = tx.versions.get(agent, build.number)
    try:
        must_be_judged(tx, found, forced_by="")
    except Conflict:
        return build.number, found.state == "candidate"
    return build.number, False
