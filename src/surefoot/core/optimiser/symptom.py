"""Symptoms: failures that say the same, and whether they are real.

A failure that does not come back when the case is run again was noise, and noise alone never makes an edit
(improver.md §2: reproduce, then cluster). A symptom stands when a case shows it twice; it is gone when the case was
run `PATIENCE` times without it. What is said the same is the same symptom: equal words, or nearly all words shared.
A case that keeps failing in ever new words has the symptom `ANY`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.case import words

PATIENCE = 3
ALIKE = 0.8
ANY = ""
KEEPS_FAILING = 0.75
Standing = Literal["stands", "gone", "again"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One run of one case: its score in [0, 1] (None: nobody knows), and what was said of it."""

    score: float | None
    feedback: str = ""
    symptom: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is known to have fallen short."""
        return self.score is not None and self.score < 1.0

    def shows(self, symptom: str) -> bool:
        """Whether it failed in this way; `ANY` is every way."""
        return self.failed and symptom in (ANY, self.symptom)


def standing(sightings: Iterable[Sighting], symptom: str) -> Standing:
    """Say whether one case really has a symptom, has not, or should be run again."""
    known = [one for one in sightings if one.score is not None]
    same = sum(one.shows(symptom) for one in known)
    if symptom == ANY:
        if same < KEEPS_FAILING * len(known):
            return "gone"
        return "stands" if same > PATIENCE else "again"
    if same >= 2:
        return "stands"
    return "gone" if len(known) - same >= PATIENCE else "again"


def suspects(seen: Mapping[str, Sequence[Sighting]]) -> dict[str, tuple[str, ...]]:
    """Give the cases that showed each symptom, commonest symptom first, and per symptom the surest case first."""
    counts: dict[str, dict[str, int]] = {}
    for case, sightings in seen.items():
        for one in sightings:
            if one.failed:
                by_case = counts.setdefault(one.symptom, {})
                by_case[case] = by_case.get(case, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-len(item[1]), item[0]))
    return {name: tuple(sorted(by, key=lambda case: (-by[case], case))) for name, by in ranked}


def unexplained(seen: Mapping[str, Sequence[Sighting]]) -> tuple[str, ...]:
    """Give the cases that were run again and kept failing, and that no symptom of theirs explains."""
    return tuple(
        case for case, runs in seen.items()
        if len(runs) > PATIENCE and standing(runs, ANY) != "gone"
        and all(standing(runs, one.symptom) != "stands" for one in runs if one.failed)
    )  # fmt: skip


class Register:
    """The symptoms met so far; gives one name to what says the same."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._leaders: list[tuple[str, frozenset[str]]] = []

    def name(self, feedback: str) -> str:
        """Give the symptom that this feedback tells of, a new one if none is alike."""
        plain = " ".join(feedback.casefold().split())
        if plain not in self._exact:
            bag = frozenset(words(feedback))
            alike = next((name for name, leader in self._leaders if _alike(bag, leader)), "")
            if not alike:
                self._leaders.append((plain, bag))
            self._exact[plain] = alike or plain
        return self._exact[plain]


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one) and len(one & other) >= ALIKE * len(one | other)
