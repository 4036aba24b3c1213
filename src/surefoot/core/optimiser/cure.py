"""Whether an edit cures a symptom: does what the case showed before no longer show?

A score alone is a blunt witness: a case with two faults still fails when one of them is mended. So the question put
to an edit is its own: on the cases that had the symptom, run for run, is it gone? The answer is a betting e-process
on the differences (evidence.md §2, loose per edit: 10). Whether scores rise is asked of everything together, and of
sealed cases at the release.

Where one symptom has several causes, only a few cases speak for an edit, and some of them wrongly. Proof is out of
reach there, so a fair chance is enough to go on: what is wrong shows up as a new symptom, and no draft is released
that has not passed the sealed look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from surefoot.core.evidence.paired import betting_evidence
from surefoot.core.gate import ACCEPT_AT, FUTILE_AFTER
from surefoot.core.optimiser.symptom import Sighting

MOST_RUNS = 8
LOST_BELOW = 0.5
MIXED_AT = 1.5
Cure = Literal["cured", "not_cured", "again", "unproven"]
Seen = Mapping[str, Sequence[Sighting]]


def cure(before: Seen, after: Seen, cases: Sequence[str], symptom: str, *, mixed: bool = False) -> Cure:
    """Judge an edit on the cases of its symptom; "again" asks for one more run of each, up to `MOST_RUNS`.

    `mixed` says that the symptom has several causes.
    """
    pairs = [pair for case in cases for pair in zip(before.get(case, ()), after.get(case, ()), strict=False)]
    known = [(old, new) for old, new in pairs if old.score is not None and new.score is not None]
    evidence = betting_evidence([float(old.shows(symptom)) - new.shows(symptom) for old, new in known])
    if evidence >= (MIXED_AT if mixed else ACCEPT_AT):
        return "cured"
    still = sum(new.shows(symptom) for _, new in known)
    runs = min((len(after.get(case, ())) for case in cases), default=0)
    if (runs >= 2 and still >= 2 and evidence < 2) or (len(known) >= FUTILE_AFTER and evidence < LOST_BELOW):
        return "not_cured"
    return "unproven" if runs >= MOST_RUNS else "again"
