"""Replaying recorded outcomes: two variants that both answered the same cases become incumbent and challenger.

Each order draws requests from the recorded cases, serves each by the arm that the operator assigns, and answers with
what that variant really did on that case. The decisions are the product's own, taken by `sdk.operator`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from surefoot.core.errors import Invalid, NotFound
from surefoot.sdk.operator import Preset, operator
from surefoot.sdk.scores import rows_in

Outcomes = Mapping[str, Mapping[str, bool]]
_START = datetime(2026, 1, 1, tzinfo=UTC)
LOOK = 100
"""Requests between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How one order ended: the state, requests served in all and by the challenger, and the extra failures it cost."""

    state: str
    requests: int
    challenger: int
    regret: float


def load_outcomes(path: Path) -> Outcomes:
    """Read outcomes as variant → case → success from JSON lines (or .gz).

    Each line has `case_id`, `variant`, and `success` (true or false) or `score` (in [0, 1], a success from one half).
    Errors: Invalid with the number of the line; Unavailable when the file cannot be read.
    """
    found: dict[str, dict[str, bool]] = {}
    for place, row in rows_in(path):
        case, variant, verdict = row.get("case_id"), row.get("variant"), row.get("success", row.get("score"))
        if not isinstance(case, str) or not isinstance(variant, str):
            raise Invalid(f"{place}: case_id and variant are missing", hint="both are texts")
        if not isinstance(verdict, (bool, int, float)):
            raise Invalid(f"{place}: no outcome", hint="give success (true, false) or a score")
        found.setdefault(variant, {})[case] = verdict >= 0.5
    if not found:
        raise Invalid(f"{path.name} holds no outcome", hint="give one JSON object a line")
    return found


def both(outcomes: Outcomes, incumbent: str, challenger: str) -> list[tuple[bool, bool]]:
    """Give the outcomes of the cases that both variants answered, the incumbent's first; NotFound without any."""
    for name in (incumbent, challenger):
        if name not in outcomes:
            raise NotFound(f"there is no variant {name!r}", hint=f"variants: {', '.join(sorted(outcomes))}")
    shared = sorted(outcomes[incumbent].keys() & outcomes[challenger].keys())
    if not shared:
        raise Invalid(f"{incumbent} and {challenger} answered no case in common", hint="take variants of one data set")
    return [(outcomes[incumbent][case], outcomes[challenger][case]) for case in shared]


def replay(cases: list[tuple[bool, bool]], *, seed: int, preset: Preset = "surefoot", requests: int = 6000) -> Replayed:
    """Play one random order of recorded requests, drawn with replacement, until the operator decides."""
    dice, failing = random.Random(seed), [1 - sum(side) / len(cases) for side in zip(*cases, strict=True)]
    p0 = min(0.98, max(0.005, failing[0]))
    run = operator(p0=p0, preset=preset, salt=f"replay-{seed}")
    now, served, mine, regret = _START, 0, 0, 0.0
    run.tick(now)
    while run.state == "canary" and served < requests:
        for _ in range(LOOK):
            unit, case = f"u{served}", dice.choice(cases)
            new = run.assign(unit) == "challenger"
            run.observe(unit, case[1] if new else case[0])
            served, mine = served + 1, mine + new
            regret += max(0.0, failing[new] - failing[not new])
        now += timedelta(hours=1)
        run.tick(now)
    return Replayed(state=run.state, requests=served, challenger=mine, regret=regret)
