"""A pause: an agent's program waits for a person, and goes on with what the person decided.

The name is the program's own, such as `promote-2.1.0`, and belongs to one agent. Asking again under the same name is
the same wait: a program that was killed while it waited asks again and hears what was decided meanwhile, and nobody is
asked twice. A pause expires at its time by the server's clock, whoever is asleep; expired is a decision of its own and
never a success. Whoever asked cannot decide, a pause is decided once, and a request for changes says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from surefoot.core.approval import FEEDBACK_CHARS, among, identity
from surefoot.core.errors import Conflict, Forbidden, Invalid

PauseDecision = Literal["approved", "rejected", "request_changes"]
PauseState = Literal["pending", "approved", "rejected", "request_changes", "expired"]
DEFAULT_HOURS = 72.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One wait. `reason` and `url` are for the person; `response` is what came with the decision, any JSON object."""

    agent: str
    name: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    reason: str = ""
    url: str = ""
    execution: str = ""
    state: PauseState = "pending"
    decided_by: str = ""
    decided_at: datetime | None = None
    feedback: str = ""
    response: Mapping[str, object] = field(default_factory=dict[str, object])
    revision: int = 0


def asked(
    agent: str, name: str, *, by: str, now: datetime, hours: float = DEFAULT_HOURS, reason: str = "", url: str = "",
    execution: str = "",
) -> Pause:  # fmt: skip
    """Give a new pause; Invalid for a time that is no time."""
    if not 0 < hours <= 24 * 366:
        raise Invalid(f"a pause of {hours} hours makes no sense", hint="more than 0, a year at most")
    return Pause(
        agent=agent, name=name, requested_by=by, requested_at=now, expires_at=now + timedelta(hours=hours),
        reason=reason, url=url, execution=execution,
    )  # fmt: skip


def state_at(pause: Pause, now: datetime) -> PauseState:
    """Give the state as of `now`: what nobody decided in time is expired."""
    return "expired" if pause.state == "pending" and now >= pause.expires_at else pause.state


def goes_on_at(paused_at: datetime, waits: Iterable[Pause], now: datetime) -> datetime | None:
    """Give when the last wait of what has paused since then expired; None while one is open, or if none expired."""
    states = [(one, state_at(one, now)) for one in waits]
    if any(state == "pending" for _, state in states):
        return None
    ends = (one.expires_at for one, state in states if state == "expired" and one.expires_at > paused_at)
    return max(ends, default=None)


def decided(
    pause: Pause, decision: PauseDecision, *, by: str, now: datetime, feedback: str = "",
    response: Mapping[str, object] | None = None, people: Mapping[str, str] | None = None,
) -> Pause:  # fmt: skip
    """Give the decided pause. The same person may say the same again, which changes nothing.

    `people` says which person is behind the name of a token, by identity; one person with several is one person.
    Invalid (no such decision, nobody's name, changes without saying which), Forbidden (one's own question), Conflict
    (decided otherwise, expired).
    """
    behind = people or {}
    _must_be_able(pause, decision, by, feedback, behind)
    if (state := state_at(pause, now)) != "pending":
        if state == decision and among(by, [pause.decided_by], behind) and feedback == pause.feedback:
            return pause
        raise Conflict(f"the pause {pause.name!r} of {pause.agent} is {state}", hint="it is decided once")
    return replace(
        pause, state=decision, decided_by=by.strip(), decided_at=now, feedback=feedback, response=dict(response or {})
    )


def _must_be_able(
    pause: Pause, decision: PauseDecision, by: str, feedback: str, people: Mapping[str, str]
) -> None:  # fmt: skip
    if decision not in get_args(PauseDecision):
        raise Invalid(f"{decision!r} decides nothing", hint=f"use one of {', '.join(get_args(PauseDecision))}")
    if not identity(by):
        raise Invalid(f"the pause {pause.name!r} needs a person's name", hint="say who decides (--by NAME)")
    if among(by, [pause.requested_by], people):
        raise Forbidden(f"{by} asked for {pause.name!r} and cannot decide on it", hint="another person has to look")
    if len(feedback) > FEEDBACK_CHARS:
        raise Invalid(
            f"the feedback has {len(feedback)} characters, {FEEDBACK_CHARS} are read", hint="say the most important"
        )
    if decision == "request_changes" and not feedback.strip():
        raise Invalid("a request for changes says which", hint="say what should be different (--feedback TEXT)")
