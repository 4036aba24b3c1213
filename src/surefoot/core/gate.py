"""Whether a candidate may go on: a loose verdict while searching, a strict one before a release.

Both compare incumbent and candidate on the same cases and look in the same order: at what forbids passing (a lost
must-pass case, shown harm, a blocked slice), then at whether enough was scored, then at the gain. Nothing scored, or
no slot left, is inconclusive and never a pass. The search verdict may be asked after every case; the release verdict
is one planned look at sealed cases, and spends one of the slots declared when they were split off. Source:
evidence.md §2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.errors import Invalid
from surefoot.core.evidence.comparison import Comparison, Pair, ScoredCase, comparison
from surefoot.core.evidence.paired import (
    Tally,
    betting_cases_needed,
    betting_evidence,
    betting_power,
    cases_needed,
    sign_test,
    sign_test_power,
    tally,
)
from surefoot.core.evidence.slices import SliceFinding, slice_findings
from surefoot.core.figure import figure, percent

__all__ = ["Pair", "Power", "ReleaseVerdict", "SearchVerdict", "release_verdict", "search_verdict"]

ACCEPT_AT = 10.0
VETO_AT = 5.0
FUTILE_BELOW = 0.25
FUTILE_AFTER = 8
RELEASE_ALPHA = 0.05
HARM_ALPHA = 0.05
DEFAULT_SLOTS = 20
PLANNED_GAINS = (0.05, 0.10)

SearchWord = Literal["accept", "veto", "futile", "undecided"]
ReleaseWord = Literal["pass", "fail", "inconclusive"]
GateReason = Literal[
    "nothing_scored",
    "too_many_unscored",
    "must_pass_unscored",
    "must_pass_lost",
    "harm_shown",
    "slice_blocked",
    "gain_shown",
    "gain_not_shown",
    "futile",
    "no_slot_left",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchVerdict:
    """Whether a tick may keep an edit: accept, veto (it harms), futile (give up), or undecided (run more cases)."""

    verdict: SearchWord
    reason: GateReason
    sentence: str
    e_gain: float
    e_harm: float
    tally: Tally
    unscored: int
    must_pass_lost: tuple[str, ...]
    slices: tuple[SliceFinding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a set of this size can show of a true gain (a share of cases): its chance, and the cases for 80 %."""

    gain: float
    power: float
    cases_needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVerdict:
    """The one look at the sealed cases; `p_value` for 0/1 scores, `e_value` for graded ones, neither if not looked.

    `alpha` is the level of the slot. `powers` are for gains of 5 and 10 points at the discordance really observed;
    `cases_needed` of the first is the size to plan next time, None when 20 000 would not do.
    """

    verdict: ReleaseWord
    reason: GateReason
    sentence: str
    alpha: float
    p_value: float | None
    e_value: float | None
    tally: Tally
    unscored: int
    must_pass_lost: tuple[str, ...]
    slices: tuple[SliceFinding, ...]
    powers: tuple[Power, ...]

    @property
    def blocked(self) -> tuple[SliceFinding, ...]:
        """The slices that forbid the release, worst first."""
        return _blocked(self.slices)


def search_verdict(
    target: Iterable[Pair], others: Iterable[Pair] = (), *, shown: Iterable[Pair] = (), seed: str
) -> SearchVerdict:
    """Judge an edit while searching.

    `target` are the hidden cases of the lever's cluster and val: acceptance at evidence 10, futility below .25 after
    8 cases. `others` are all other cases, among them past successes, and `shown` those that the improver read:
    evidence of harm of 5 on both together vetoes. Slices are judged without the shown ones, which an edit may know
    by heart. A case in two sets counts in the first. `seed` makes the slice shuffles repeatable.
    """
    wanted = comparison(target)
    unseen = comparison(_without(others, wanted.cases))
    kept = comparison((*_without(others, wanted.cases), *_without(shown, (*wanted.cases, *unseen.cases))))
    e_gain = betting_evidence(wanted.differences)
    e_harm = betting_evidence([-d for d in kept.differences])
    slices = _slices((*wanted.cases, *unseen.cases), seed)
    word, reason, sentence = _search_answer(wanted, kept, e_gain=e_gain, e_harm=e_harm, slices=slices)
    return SearchVerdict(
        verdict=word,
        reason=reason,
        sentence=sentence,
        e_gain=e_gain,
        e_harm=e_harm,
        tally=tally(wanted.differences),
        unscored=wanted.unscored + kept.unscored,
        must_pass_lost=(*wanted.must_pass_lost, *kept.must_pass_lost),
        slices=slices,
    )


def _search_answer(
    wanted: Comparison, kept: Comparison, *, e_gain: float, e_harm: float, slices: Sequence[SliceFinding]
) -> tuple[SearchWord, GateReason, str]:
    counts = f"{_counts(tally(wanted.differences))}, evidence {figure(e_gain)}"
    if lost := (*wanted.must_pass_lost, *kept.must_pass_lost):
        return "veto", "must_pass_lost", f"The edit loses the must-pass case {_named(lost)}."
    if e_harm >= VETO_AT:
        return "veto", "harm_shown", f"The edit harms other cases (evidence {figure(e_harm)}, allowed {VETO_AT:g})."
    if blocked := _blocked(slices):
        return "veto", "slice_blocked", f"The edit loses on the slice {_named([one.name for one in blocked])}."
    if not wanted.cases:
        return "undecided", "nothing_scored", "No case of the target has been scored yet."
    if missing := (*wanted.must_pass_unscored, *kept.must_pass_unscored):
        return "undecided", "must_pass_unscored", f"The must-pass case {_named(missing)} misses a score."
    if wanted.too_many_unscored or kept.too_many_unscored:
        return "undecided", "too_many_unscored", f"{wanted.unscored + kept.unscored} pairs miss a score."
    if e_gain >= ACCEPT_AT:
        return "accept", "gain_shown", f"The edit helps ({counts})."
    if len(wanted.cases) >= FUTILE_AFTER and e_gain < FUTILE_BELOW:
        return "futile", "futile", f"The edit is unlikely to help ({counts})."
    return "undecided", "gain_not_shown", f"Not decided yet ({counts})."


def release_verdict(
    pairs: Iterable[Pair],
    *,
    seed: str,
    slots_left: int,
    slots: int = DEFAULT_SLOTS,
    alpha: float = RELEASE_ALPHA,
) -> ReleaseVerdict:
    """Judge a release on the sealed cases: one planned look at the level `alpha / slots`.

    With no slot left the scores are not looked at. 0/1 scores get the exact one-sided sign test, graded ones the
    betting e-process, which must reach `slots / alpha`. Harm is shown at .05 of the same test turned round. Raises
    `Invalid` for an impossible number of slots.
    """
    if slots < 1 or not 0 <= slots_left <= slots or not 0 < alpha < 1:
        raise Invalid(f"{slots_left} of {slots} slots at level {alpha} is impossible", hint="declare 1 or more slots")
    if slots_left == 0:
        spent = f"All {slots} looks at these sealed cases are spent; make at least half of the cases fresh."
        return _unlooked("no_slot_left", spent, level=alpha / slots, unscored=0)
    seen = comparison(pairs)
    if not seen.cases:
        return _unlooked("nothing_scored", "Nothing was scored.", level=alpha / slots, unscored=seen.unscored)
    return _looked(seen, alpha / slots, seed)


def powers(seen: Comparison, level: float) -> tuple[Power, ...]:
    """Give what these cases could show at `level` of gains of 5 and 10 points, from the discordance they showed."""
    return tuple(_power(seen, gain, level) for gain in PLANNED_GAINS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gain:
    """The gain test of a release in one form for both kinds of score."""

    p_value: float | None
    e_value: float | None
    shown: bool
    harmed: bool
    words: str


def _looked(seen: Comparison, level: float, seed: str) -> ReleaseVerdict:
    gain = _binary_gain(seen, level) if seen.binary else _graded_gain(seen, level)
    slices, strength = _slices(seen.cases, seed), powers(seen, level)
    word, reason, sentence = _release_answer(seen, gain, slices, strength)
    return ReleaseVerdict(
        verdict=word,
        reason=reason,
        sentence=sentence,
        alpha=level,
        p_value=gain.p_value,
        e_value=gain.e_value,
        tally=tally(seen.differences),
        unscored=seen.unscored,
        must_pass_lost=seen.must_pass_lost,
        slices=slices,
        powers=strength,
    )


def _release_answer(
    seen: Comparison, gain: _Gain, slices: Sequence[SliceFinding], strength: Sequence[Power]
) -> tuple[ReleaseWord, GateReason, str]:
    counts = _counts(tally(seen.differences))
    if lost := seen.must_pass_lost:
        return "fail", "must_pass_lost", f"The candidate loses the must-pass case {_named(lost)}."
    if gain.harmed:
        return "fail", "harm_shown", f"The candidate is worse: {counts}."
    if blocked := _blocked(slices):
        return "fail", "slice_blocked", f"Overall {counts}, but it loses on {_named([one.name for one in blocked])}."
    if missing := seen.must_pass_unscored:
        return "inconclusive", "must_pass_unscored", f"The must-pass case {_named(missing)} misses a score."
    if seen.too_many_unscored:
        sentence = f"{seen.unscored} of {seen.pairs} pairs miss a score ({seen.candidate_missing} the candidate's)."
        return "inconclusive", "too_many_unscored", sentence
    if gain.shown:
        return "pass", "gain_shown", f"The candidate is better: {counts} ({gain.words})."
    return "inconclusive", "gain_not_shown", f"Not proven: {counts} ({gain.words}). {_prospects(strength)}"


def _binary_gain(seen: Comparison, level: float) -> _Gain:
    count = tally(seen.differences)
    p_value = sign_test(for_it=count.gained, against_it=count.lost)
    return _Gain(
        p_value=p_value,
        e_value=None,
        shown=p_value <= level,
        harmed=sign_test(for_it=count.lost, against_it=count.gained) <= HARM_ALPHA,
        words=f"p {p_value:.2g}, needed {level:.2g}",
    )


def _graded_gain(seen: Comparison, level: float) -> _Gain:
    e_value = betting_evidence(seen.differences)
    return _Gain(
        p_value=None,
        e_value=e_value,
        shown=e_value >= 1 / level,
        harmed=betting_evidence([-d for d in seen.differences]) >= 1 / HARM_ALPHA,
        words=f"evidence {figure(e_value)}, needed {figure(1 / level)}",
    )


def _power(seen: Comparison, gain: float, level: float) -> Power:
    differences = seen.differences
    if seen.binary:
        found = tally(differences).discordance
        chance = sign_test_power(n=len(differences), discordance=found, gain=gain, alpha=level)
        return Power(gain=gain, power=chance, cases_needed=cases_needed(discordance=found, gain=gain, alpha=level))
    chance = betting_power(differences, n=len(differences), gain=gain, alpha=level)
    return Power(gain=gain, power=chance, cases_needed=betting_cases_needed(differences, gain=gain, alpha=level))


def _unlooked(reason: GateReason, sentence: str, *, level: float, unscored: int) -> ReleaseVerdict:
    return ReleaseVerdict(
        verdict="inconclusive",
        reason=reason,
        sentence=sentence,
        alpha=level,
        p_value=None,
        e_value=None,
        tally=Tally(gained=0, lost=0, n=0),
        unscored=unscored,
        must_pass_lost=(),
        slices=(),
        powers=(),
    )


def _without(pairs: Iterable[Pair], taken: Iterable[ScoredCase]) -> list[Pair]:
    ids = {case.case_id for case in taken}
    return [pair for pair in pairs if pair.case_id not in ids]


def _slices(cases: Sequence[ScoredCase], seed: str) -> tuple[SliceFinding, ...]:
    return slice_findings([case.difference for case in cases], [case.slices for case in cases], seed=seed)


def _blocked(slices: Iterable[SliceFinding]) -> tuple[SliceFinding, ...]:
    return tuple(one for one in slices if one.mark == "block")


def _counts(count: Tally) -> str:
    return f"{count.gained} gained, {count.lost} lost of {count.n} cases"


def _prospects(strength: Sequence[Power]) -> str:
    chances = " and ".join(f"{percent(one.power, 0)} for {one.gain * 100:.0f} points" for one in strength)
    first = strength[0]
    needed = f"about {first.cases_needed}" if first.cases_needed is not None else "more than 20 000"
    return f"These cases had a power of {chances}; {first.gain * 100:.0f} points need {needed} cases."


def _named(names: Sequence[str], most: int = 3) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
