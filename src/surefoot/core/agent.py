"""An agent: a named thing that is improved, its standing, and what its owner allows.

The record is one row that is only ever swapped against the revision it was read at, so two writers cannot both win.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Literal

from surefoot.core.budget import Budget
from surefoot.core.case import TRAFFIC_SHARES, Split
from surefoot.core.errors import Invalid, NotFound
from surefoot.core.guardrail import Bounds
from surefoot.core.policy import Policy
from surefoot.core.rollout.settings import RolloutSettings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
RenderMode = Literal["replace", "prepend", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the loop treats an agent.

    `slots` is K, the number of even looks that a sealed split carries. A release starts when `release_ticks` ticks
    went into the draft, or earlier when val predicts at least `release_power` (None = never early). `repeats` is how
    often a failure is run again before it counts; `concurrency` bounds model calls in flight. `shares` says how
    labelled cases are split; `headroom` is the least error worth working on. `arms` proposals compete for a lever.
    """

    model: str = "local-lexical"
    improver: str = "lexical"
    slots: int = 20
    release_ticks: int = 5
    release_power: float | None = 0.8
    repeats: int = 1
    concurrency: int = 8
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    headroom: float = 0.02
    shares: Mapping[Split, float] = field(default_factory=lambda: dict(TRAFFIC_SHARES))
    window: int = 500
    recent: int = 100
    arms: int = 1
    improver_budget: Budget = field(default_factory=lambda: Budget(calls=6, usd=0.50))
    tick_budget: Budget = field(default_factory=lambda: Budget(calls=50_000, usd=2.0))
    day_budget: Budget = field(default_factory=lambda: Budget(usd=10.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent; `base` is the genome it was created with, `live` the number of the version that serves.

    `draft_ticks` counts the ticks that went into the current draft, `tick` all ticks ever. `stopped` is the kill
    switch: nothing but the live version serves, and no tick starts.
    """

    name: str
    base: str
    live: int
    created_at: datetime
    labels: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    bounds: Bounds = field(default_factory=Bounds)
    habits: Habits = field(default_factory=Habits)
    salt: str = ""
    tick: int = 0
    last_tick_at: datetime | None = None
    stopped: bool = False
    revision: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Invalid(
                f"agent name {self.name!r} is not usable",
                hint="use 1 to 63 lower-case letters, digits, '-' or '_', starting with a letter or digit",
            )


def among(known: Iterable[Agent], name: str, *, sees: Callable[[str], bool]) -> Agent:
    """Give the agent of this name among those that the asker `sees`; NotFound tells of no other.

    An agent that is not theirs is answered as one that is not there, in the same words: only this decides whose names
    an asker is told, with the nearest of them first.
    """
    every = list(known)
    mine = {agent.name: agent for agent in every if sees(agent.name)}
    if name in mine:
        return mine[name]
    near = get_close_matches(name.lower(), mine, n=1, cutoff=0.5)
    none = "none is yours to see" if every else "there is none yet: surefoot init NAME creates one"
    told = f"agents: {', '.join(mine)}" if mine else none
    raise NotFound(f"there is no agent {name!r}", hint=f"did you mean {near[0]!r}? {told}" if near else told)
