"""A process: one running instance of a build, and whether it may be given requests.

It may while it says that it is ready, its lease runs, it answers when asked how it is, and nobody has to let it in
first. Anything else is share 0 at once, without a deployment, and back as soon as it is well. An answer about its
health that names another version or another content makes it unfit whatever else it says: what would serve is not
what was approved. S1-22, S1-23, S1-28.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from surefoot.core.digest import digest, unit_interval
from surefoot.core.errors import Conflict, Invalid

ProcessState = Literal["starting", "ready", "draining", "offline"]
Health = Literal["unknown", "healthy", "unhealthy"]
PROBES_TO_FALL = 2
_SAYS: tuple[ProcessState, ...] = get_args(ProcessState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One instance: where it is, what it says of itself (`state`), what was found (`health`), and until when it counts.

    `let_in` is False until an operator has let in a process of its agent. `missed` counts the probes in a row that it
    did not answer, `because` says why it is not healthy.
    """

    id: str
    agent: str
    version: str
    number: int
    base_url: str
    registered_at: datetime
    seen_at: datetime
    lease_until: datetime
    by: str
    state: ProcessState = "starting"
    let_in: bool = False
    health: Health = "unknown"
    missed: int = 0
    because: str = ""
    tags: tuple[str, ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vital:
    """What a process answered when it was asked how it is; empty texts where it said nothing of the kind."""

    well: bool
    because: str = ""
    version: str = ""
    content_hash: str = ""


def process_id(agent: str, version: str, base_url: str) -> str:
    """Give the id of an instance: the same agent, version and address are the same one, also after a restart."""
    return f"p{digest([agent, version, base_url])[:20]}"


def serves(process: Process, now: datetime) -> bool:
    """Whether this instance may be given a request now."""
    ready = process.let_in and process.state == "ready"
    return ready and process.health == "healthy" and process.lease_until > now


def standing(process: Process, now: datetime) -> tuple[str, str]:
    """Give one word for how an instance stands, and why it is not served where it is not."""
    if process.state in ("offline", "draining"):
        return process.state, "it says so itself"
    if process.lease_until <= now:
        return "expired", "its lease ended without a heartbeat"
    if process.health == "unhealthy":
        return "unhealthy", process.because
    if not process.let_in:
        return "pending_approval", "an operator has to let it in"
    if serves(process, now):
        return "ready", ""
    return "starting", "it was not found healthy yet"


def chosen(
    processes: Iterable[Process], now: datetime, key: str, *, but: frozenset[str] = frozenset()
) -> Process | None:
    """Give the instance for one request, spread evenly over those that may serve; None where there is none."""
    able = sorted((one for one in processes if serves(one, now) and one.id not in but), key=lambda one: one.id)
    return able[int(unit_interval("instance", key) * len(able))] if able else None


def renewed(process: Process, now: datetime, ttl: timedelta, *, says: str = "ready") -> Process:
    """Give an instance after a heartbeat; Invalid when it says what is no state."""
    state = next((one for one in _SAYS if one == says), None)
    if state is None:
        raise Invalid(f"{says!r} is nothing that a process can say of itself", hint=f"say {', '.join(_SAYS)}")
    return replace(process, state=state, seen_at=now, lease_until=now + ttl)


def admitted(process: Process) -> Process:
    """Give an instance that an operator let in."""
    if process.let_in:
        raise Conflict(f"process {process.id} does not wait to be let in", hint=f"it is {process.state}")
    return replace(process, let_in=True)


def examined(process: Process, vital: Vital, content_hash: str) -> Process:
    """Give an instance after a probe; the first that it does not answer is forgiven, a lie is not."""
    if lie := _lie(process, vital, content_hash):
        return replace(process, health="unhealthy", missed=0, because=lie)
    if vital.well:
        return replace(process, health="healthy", missed=0, because="")
    missed = min(process.missed + 1, PROBES_TO_FALL)  # or each probe of one that is gone would be written down
    fallen = missed >= PROBES_TO_FALL or process.health != "healthy"
    return replace(process, health="unhealthy" if fallen else process.health, missed=missed, because=vital.because)


def fallen(process: Process, because: str) -> Process:
    """Give an instance that could not even be connected to for a request."""
    return replace(process, health="unhealthy", missed=PROBES_TO_FALL, because=because)


def _lie(process: Process, vital: Vital, content_hash: str) -> str:
    if vital.version and vital.version != process.version:
        return f"it says that it is {vital.version}, and is registered as {process.version}"
    if vital.content_hash and vital.content_hash.lower() != content_hash:
        return "it runs other content than it registered"
    return ""


def counted(processes: Iterable[Process], now: datetime) -> Mapping[str, int]:
    """Count instances by the word for how they stand."""
    found: dict[str, int] = {}
    for one in processes:
        word, _ = standing(one, now)
        found[word] = found.get(word, 0) + 1
    return found
