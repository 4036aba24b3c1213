"""A trace: one request that an agent answered, with the version, arm and weight it was assigned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Arm = Literal["incumbent", "challenger"]
_BITS = re.compile("[0-9a-f]{32}")
_APART = "~"  # no id that a program may choose, and no agent's name, has it
GONE = "gone"
"""How a trace ends whose texts were deleted; it is kept only because counts of a rollout rest on it."""


def apart(trace_id: str, agent: str) -> str:
    """Give the id of an agent's request in a trace whose own id another agent's request has.

    Several agents may have a part in one trace, and any may tell of it first; so none keeps another from being heard.
    """
    return f"{trace_id}{_APART}{agent}"


def steps_id(trace_id: str) -> str:
    """Give the id that the steps of a request have: instrumented code writes the 128 bits bare, in small letters."""
    return trace_id.partition(_APART)[0].replace("-", "").lower()


def spellings(trace_id: str) -> list[str]:
    """Give all spellings under which 128 bits may be kept, the given one first; any other id has only its own.

    A program may tell of a request under a UUID with dashes, whose spans come with the bare bits.
    """
    bits = trace_id.replace("-", "").lower()
    if not _BITS.fullmatch(bits):
        return [trace_id]
    return list(dict.fromkeys((trace_id, bits, dashed(bits))))


def dashed(bits: str) -> str:
    """Give 32 digits as a UUID is written."""
    return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One answered request.

    `unit` is what assignment was sticky to (session, else actor, else the request). `weight_percent` is the
    challenger's share when the unit was first seen, `epoch` the weight epoch of that moment. Outside a rollout
    `rollout` is empty and `arm` is incumbent. `source` names who is behind the request, for quotas; empty if unknown.
    `session` and `actor` are what the app calls the conversation and the person, `external_id` what it calls the
    request; each empty if it does not say. An `external_id` used again names the newest request of the agent.
    """

    id: str
    agent: str
    version: int
    unit: str
    input: str
    output: str
    finish: str
    at: datetime
    rollout: str = ""
    arm: Arm = "incumbent"
    weight_percent: float = 0.0
    epoch: int = 0
    source: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    latency_s: float = 0.0
    cost_usd: float = 0.0
    session: str = ""
    actor: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What a unit was given at its first request in a rollout, and keeps."""

    rollout: str
    unit: str
    arm: Arm
    weight_percent: float
    epoch: int
