"""An incident: something went wrong with what serves, and a person has to look.

It says which version and rollout it is about, in one sentence and with the numbers of that moment, and stays open
until a named person closes it with a note. Which steps of a rollout open one is decided here: a rollback of a canary
opens none, because that is what a canary is for, and a freeze by an alarm of the sentinel none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, get_args

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.rollout.facts import Step
from surefoot.core.rollout.settings import RolloutState

IncidentKind = Literal["sentinel", "holdback", "guard", "violation", "sample_ratio"]
IncidentState = Literal["open", "closed"]
KINDS: tuple[IncidentKind, ...] = get_args(IncidentKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident; `facts` is JSON-shaped, `rollout` is empty where none is concerned."""

    id: str
    agent: str
    kind: IncidentKind
    at: datetime
    version: int
    sentence: str
    rollout: str = ""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    state: IncidentState = "open"
    closed_by: str = ""
    closed_at: datetime | None = None
    note: str = ""
    revision: int = 0


def kind_of(before: RolloutState, step: Step) -> IncidentKind | None:
    """Say which incident a step opens; None for those that are a rollout's ordinary business."""
    if step.action == "hold":
        return None
    match step.reason:
        case "zero_tolerance":
            return "violation"
        case "sample_ratio":
            return "sample_ratio"
        case "holdback_alarm" if step.action != "close":
            return "holdback"
        case "hard_guard" if before == "promoted":
            return "guard"
        case _:
            return None


def closed(incident: Incident, *, by: str, note: str, at: datetime) -> Incident:
    """Close an incident in a person's name; Invalid without a name, Conflict when it is closed already."""
    if not by.strip():
        raise Invalid(f"incident {incident.id} is closed by a person", hint="say who has looked (--by NAME)")
    if incident.state == "closed":
        raise Conflict(
            f"incident {incident.id} was closed by {incident.closed_by}", hint="surefoot incidents lists open ones"
        )
    return replace(incident, state="closed", closed_by=by, closed_at=at, note=note)
