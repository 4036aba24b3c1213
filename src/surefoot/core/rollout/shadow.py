"""Shadow: both versions on the same requests, before any user meets the challenger.

One request gives one difference d = score(challenger) - score(incumbent). A betting e-process on the differences, in
the order in which the requests were chosen, asks for a win, and one on their negatives for harm. The first of the two
to reach its limit ends the shadow, and what comes later changes nothing: so the verdict is the same however the
requests were batched, after however many crashes. No verdict within the cap is no proof. Source: evidence.md §1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Literal

from surefoot.core.errors import Invalid
from surefoot.core.evidence.mixture import e_value
from surefoot.core.evidence.paired import BETS
from surefoot.core.evidence.rollout import noninferior_evidence
from surefoot.core.rollout.facts import PairedEvidence, RolloutFacts
from surefoot.core.rollout.settings import RolloutSettings

ShadowVerdict = Literal["collecting", "win", "harm", "cap"]

LOPSIDED = 0.20
ENOUGH_TO_TELL = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one version answered: its text, its score in [0, 1], US dollars and seconds (None where not measured)."""

    text: str
    score: float
    cost_usd: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One request that both versions answered; `case` names it by its content, `trace` is where it was recorded."""

    rollout: str
    case: str
    at: datetime
    input: str
    expected: str
    incumbent: Reply
    challenger: Reply
    trace: str = ""
    unit: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def difference(self) -> float:
        """Challenger minus incumbent, in [-1, 1]."""
        return self.challenger.score - self.incumbent.score


def paired_evidence(differences: Iterable[float], settings: RolloutSettings) -> PairedEvidence:
    """Give the evidence for a win and for harm up to the first verdict, from the differences in their order."""
    wins, harms = [0.0] * len(BETS), [0.0] * len(BETS)
    seen = PairedEvidence(e_win=1.0, e_harm=1.0, cases=0)
    for cases, d in enumerate(differences, start=1):
        if not -1 <= d <= 1:
            raise Invalid(f"a difference of {d} lies outside [-1, 1]", hint="score requests in [0, 1]")
        wins = [total + math.log1p(stake * d) for total, stake in zip(wins, BETS, strict=True)]
        harms = [total + math.log1p(-stake * d) for total, stake in zip(harms, BETS, strict=True)]
        seen = PairedEvidence(e_win=e_value(wins), e_harm=e_value(harms), cases=cases)
        if shadow_verdict(seen, settings) != "collecting":
            break
    return seen


def shadow_verdict(evidence: PairedEvidence, settings: RolloutSettings) -> ShadowVerdict:
    """Say whether the shadow has ended, and how; harm comes before a win."""
    if evidence.e_harm >= settings.paired_harm:
        return "harm"
    if evidence.e_win >= settings.paired_win_at:
        return "win"
    return "cap" if evidence.cases >= settings.paired_cap else "collecting"


def middle(values: Iterable[float | None]) -> float | None:
    """Give the median of what was measured, None where nothing was."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Recorded requests that were judged right and wrong, and for how many of each the right answer was said."""

    right: int = 0
    right_said: int = 0
    wrong: int = 0
    wrong_said: int = 0

    @property
    def lopsided(self) -> bool:
        """Whether the right answer is said far more often for the wrong answers, or for the right ones.

        Then the requests that can be used are chosen by whether the incumbent was right, and an equal challenger
        would win or lose by that choice alone. Below 20 of either nothing can be told.
        """
        if self.right < ENOUGH_TO_TELL or self.wrong < ENOUGH_TO_TELL:
            return False
        return abs(self.right_said / self.right - self.wrong_said / self.wrong) > LOPSIDED


def paired_shown(facts: RolloutFacts) -> dict[str, object]:
    """Give what a reconcile on the paired road shows besides: the pairs, and two-point non-inferiority, live.

    Non-inferiority is shown, not required; None where the incumbent's failure rate was unknown at the start.
    """
    settings, paired = facts.settings, facts.paired
    if settings.road != "paired":
        return {}
    rate = settings.baseline_rate
    shown = None
    if rate is not None:
        shown = noninferior_evidence(facts.strata, baseline_rate=rate, use_successes=settings.success_labels)
    return {
        "e_noninferior": shown,
        "paired": None if paired is None else {
            "e_win": paired.e_win, "e_harm": paired.e_harm, "cases": paired.cases,
            "win": settings.paired_win_at, "harm": settings.paired_harm, "cap": settings.paired_cap,
        },
    }  # fmt: skip


def shares_of_work(pairs: Sequence[Shared]) -> dict[str, dict[str, float | None]]:
    """Give the medians of cost (US dollars) and latency (seconds) of either version, side by side."""
    sides = {"incumbent": [one.incumbent for one in pairs], "challenger": [one.challenger for one in pairs]}
    return {
        side: {
            "cost_usd": middle(reply.cost_usd for reply in replies),
            "latency_s": middle(reply.latency_s for reply in replies),
        }
        for side, replies in sides.items()
    }
