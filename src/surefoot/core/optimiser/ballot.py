"""A ballot: several rewrites of one prompt for one symptom, and the edits that they have in common.

A rewrite that invents something does so in a new way each time; what is right recurs. Asking a few times and keeping
what most agree on (self-consistency, Wang et al. 2022) is cheaper than testing every invention, and it drops the
deletions that nobody meant. Edits that say nearly the same are one. Where no edit leads, the symptom has several
causes under one name; then each case is asked about by itself, and the cases that want the same edit belong together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from surefoot.core.case import words
from surefoot.core.edit import Edit

MOST_REWRITES = 7
MOST_SINGLE = 24
CLEAR_VOTES, CLEAR_LEAD = 3, 2
ARMS = 4
ALIKE = 0.8


@dataclass(slots=True)
class Arm:
    """One edit with how many rewrites wanted it, and the cases whose failures led to it."""

    edit: Edit
    votes: int = 0
    cases: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class Ballot:
    """Counts rewrites; an edit counts once a rewrite, whatever id it names."""

    rewrites: int = 0
    _arms: dict[str, Arm] = field(default_factory=dict[str, Arm])

    def cast(self, edits: Iterable[Edit], cases: Iterable[str]) -> None:
        """Count one rewrite that saw failures of these cases."""
        self.rewrites += 1
        voters = set(cases)
        for key, edit in {self._key(edit): edit for edit in edits}.items():
            arm = self._arms.setdefault(key, Arm(edit))
            arm.votes += 1
            arm.cases |= voters

    def _key(self, edit: Edit) -> str:
        """Give the fingerprint of the edit that says this already, or its own."""
        if edit.fingerprint in self._arms:
            return edit.fingerprint
        return next((key for key, arm in self._arms.items() if _alike(arm.edit, edit)), edit.fingerprint)

    @property
    def leads(self) -> bool:
        """Whether one edit is clearly what the rewrites want."""
        lead = [*sorted((arm.votes for arm in self._arms.values()), reverse=True)[:2], 0, 0]
        return lead[0] >= CLEAR_VOTES and (lead[0] - lead[1] >= CLEAR_LEAD or 2 * lead[0] > MOST_REWRITES)

    def arms(self, tried: Collection[str] = ()) -> list[Arm]:
        """Give the edits worth a test, most votes first: wanted twice and not tried before.

        Where nothing is wanted twice, single wishes count too; only a deletion always needs a second vote.
        """
        left = [arm for arm in self._arms.values() if arm.edit.fingerprint not in tried]
        ranked = sorted(left, key=lambda arm: (-arm.votes, arm.edit.fingerprint))
        twice = [arm for arm in ranked if arm.votes >= 2]
        return (twice or [arm for arm in ranked if arm.edit.kind != "retire"])[:ARMS]


def _alike(one: Edit, other: Edit) -> bool:
    if one.kind != other.kind or (one.kind != "add" and one.target != other.target):
        return False
    a, b = frozenset(words(one.text)), frozenset(words(other.text))
    return bool(a) and len(a & b) >= ALIKE * len(a | b)
