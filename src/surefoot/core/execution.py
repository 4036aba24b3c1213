"""An execution: one request that a process answers, from before it is sent until it is over.

Its row is there before anything is sent. `queued` was not sent yet and can be sent by whoever is alive; `running` was
sent, and may have been carried out even if nobody heard the answer, so it is never sent again: when the server that
waited dies, it is `lost`, unless the process took it over (`accepted`) and will report. What is over stays over.
Time in which it waits (`waiting`), for a person or for another execution, is not counted against its deadline (S1-46).
What says that it waits, and neither a pause nor another execution holds it, is believed for a while only. S1-27, S1-45.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.trace import Arm

ExecutionState = Literal["queued", "running", "waiting", "succeeded", "failed", "timeout", "cancelled", "lost"]
OVER: frozenset[ExecutionState] = frozenset({"succeeded", "failed", "timeout", "cancelled", "lost"})
BLAMELESS: frozenset[ExecutionState] = frozenset({"cancelled", "lost"})
REPORTED: frozenset[ExecutionState] = frozenset({"running", "waiting", "succeeded", "failed"})
MOST_NOTES = 200
WAIT_LEASE = timedelta(hours=1)
CHANNEL = "execution:"
_ARROWS: Mapping[ExecutionState, frozenset[ExecutionState]] = {
    "queued": frozenset({"running", "cancelled", "failed", "timeout", "lost"}),
    "running": frozenset({"running", "waiting", "succeeded", "failed", "timeout", "cancelled", "lost"}),
    "waiting": frozenset({"running", "waiting", "succeeded", "failed", "timeout", "cancelled", "lost"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One request and what is known of it; `id` is also the id of its trace.

    `version` and `number` served, `rollout`, `arm`, `weight_percent` and `epoch` are the assignment that it counts for.
    `stood_in_for` names the version that was assigned and could not serve. `input` and `result` are JSON as it may be
    stored; `intact` is False where redaction took something out of the input, so that it cannot be sent again.
    `owner` is the server that takes care of it until `held_until`; what its process accepted has none, and nothing has
    to be done about it before then. `waits_for` is the execution that it waits for, where it said so.
    """

    id: str
    agent: str
    reasoner: str
    version: str
    number: int
    process: str
    base_url: str
    path: str
    unit: str
    at: datetime
    deadline: datetime
    by: str
    input: object = None
    intact: bool = True
    state: ExecutionState = "queued"
    asynchronous: bool = False
    accepted: bool = False
    result: object = None
    redacted: bool = False
    error: str = ""
    rollout: str = ""
    arm: Arm = "incumbent"
    weight_percent: float = 0.0
    epoch: int = 0
    stood_in_for: str = ""
    source: str = ""
    session: str = ""
    actor: str = ""
    workflow: str = ""
    parent: str = ""
    webhook: str = ""
    owner: str = ""
    held_until: datetime | None = None
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    paused_at: datetime | None = None
    waits_for: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    revision: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.state in OVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a process or a person wrote down about an execution while it ran."""

    execution: str
    at: datetime
    by: str
    text: str
    tags: tuple[str, ...] = ()


def sent(one: Execution, owner: str, until: datetime, now: datetime) -> Execution:
    """Give an execution as it is about to be sent by its owner."""
    return replace(_moved(one, "running", now), owner=owner, held_until=until, sent_at=now)


def taken_over(one: Execution) -> Execution:
    """Give an execution that its process accepted and will report about by itself."""
    return _left_to_its_process(one)


def ended(one: Execution, state: ExecutionState, now: datetime, *, result: object = None, error: str = "") -> Execution:
    """Give an execution that is over."""
    return replace(_moved(one, state, now), result=result, error=error, ended_at=now)


def reported(
    one: Execution, state: str, now: datetime, *, result: object = None, error: str = "", waits_for: str = "",
    lease: timedelta = WAIT_LEASE,
) -> Execution:  # fmt: skip
    """Give an execution after its process said how it goes; Invalid for a word that a process cannot say.

    That it waits is believed for `lease`, unless something holds it; saying it again renews that.
    """
    if state not in REPORTED:
        raise Invalid(f"a process cannot say that an execution is {state!r}", hint=f"say {', '.join(sorted(REPORTED))}")
    word = next(name for name in get_args(ExecutionState) if name == state)
    if word in OVER:
        return ended(one, word, now, result=result, error=error)
    after = _left_to_its_process(_moved(one, word, now))
    return replace(after, waits_for=waits_for, held_until=now + lease) if word == "waiting" else after


def overdue(one: Execution, now: datetime) -> bool:
    """Whether its time is up; while it waits for a person no time passes."""
    return not one.over and one.paused_at is None and one.deadline <= now


def forgotten(one: Execution, now: datetime, *, held: bool) -> bool:
    """Whether it said that it waits, nothing holds it, and it has not said so again in time."""
    return one.state == "waiting" and not held and one.held_until is not None and one.held_until <= now


def forsaken(one: Execution, now: datetime) -> ExecutionState | None:
    """Give what becomes of an execution whose owner is gone: sent again, lost, or None where nothing has to change."""
    if one.over or one.held_until is None or one.held_until > now:
        return None
    if one.state == "queued":
        return "queued" if one.intact else "lost"
    return None if one.accepted else "lost"


def _left_to_its_process(one: Execution) -> Execution:
    """Nobody has to renew a hold on it: whoever looks after its deadline ends it."""
    return replace(one, accepted=True, owner="", held_until=one.deadline)


def _moved(one: Execution, to: ExecutionState, now: datetime) -> Execution:
    if to not in _ARROWS.get(one.state, frozenset()):
        raise Conflict(
            f"execution {one.id} is {one.state} and cannot become {to}",
            hint="what is over stays as it is" if one.over else "look at it again",
        )
    if to == "waiting":
        return replace(one, state=to, paused_at=one.paused_at or now)
    if one.paused_at is not None:
        spared = max(timedelta(), now - one.paused_at)
        return replace(one, state=to, paused_at=None, waits_for="", deadline=one.deadline + spared)
    return replace(one, state=to)
