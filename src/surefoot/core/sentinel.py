"""The sentinel's arithmetic: has what the live version answers moved, against its own history?

A canary is blind to what hits both arms, such as a provider who changes the model underneath. So the live version
answers a bank of known cases night after night, each case once per window, and each score is compared with the mean
of all earlier ones of the same case under the same version and model. The mean, not the last score: a last score
that was bad luck makes the next one look like a gain, and a move would be visible for one window only. The first
score of a case has nothing to be compared with and is only banked. Source: evidence.md §1.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from surefoot.core.digest import unit_interval
from surefoot.core.evidence.detector import SENTINEL_RUN, PairedWatch

BANK = 200
NIGHT = 50
SHOWN = 10
ALARM_AT = SENTINEL_RUN
"""Comparisons that pass, on average, before a false alarm: 3 000 of them, sixty nights, see one in 3 % of stories."""
_STAKE = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Banked:
    """What a version answered on a case of the bank in one window; `score` in [0, 1], `slices` with its label."""

    agent: str
    window: str
    case: str
    version: int
    model: str
    at: datetime
    answer: str
    score: float
    slices: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A banked answer beside the case's own history: the mean score before, and the answer given most often."""

    row: Banked
    before: float
    usual: str

    @property
    def difference(self) -> float:
        """Now minus before, in [-1, 1]."""
        return self.row.score - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceMove:
    """The mean score of a slice's cases before and since; `name` such as `label=billing`."""

    name: str
    before: float
    after: float
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What moved: from which window on, accuracy before and since, slices by the size of their change, and answers.

    `answers` are (case, usual answer, answer now) of the cases that changed, the latest first, ten at most.
    """

    since: str
    before: float
    after: float
    cases: int
    slices: tuple[SliceMove, ...]
    answers: tuple[tuple[str, str, str], ...]


def bank(cases: Iterable[str], salt: str, *, size: int = BANK) -> list[str]:
    """Give the bank: the `size` cases whose hash is lowest, in that order; nobody's outcome has a say in it."""
    return sorted(cases, key=lambda case: (unit_interval("sentinel", salt, case), case))[:size]


def tonight(banked: Sequence[str], seen: Mapping[str, int], done: Collection[str], *, size: int = NIGHT) -> list[str]:
    """Give the cases still to ask in this window: those with the shortest history first, each once.

    `seen` counts a case's earlier windows, `done` are the cases that have their answer in this one.
    """
    room = size - len(set(done))
    order = sorted((case for case in banked if case not in done), key=lambda case: seen.get(case, 0))
    return order[: max(0, room)]


def against_history(rows: Iterable[Banked]) -> list[Compared]:
    """Compare each row (in order) with the earlier windows of its case; first ones and repeats are left out."""
    history: defaultdict[str, dict[str, Banked]] = defaultdict(dict)
    found: list[Compared] = []
    for row in rows:
        mine = history[row.case]
        if row.window in mine:
            continue
        if mine:
            usual = Counter(one.answer for one in mine.values()).most_common(1)[0][0]
            found.append(Compared(row=row, before=math.fsum(o.score for o in mine.values()) / len(mine), usual=usual))
        mine[row.window] = row
    return found


def move(compared: Sequence[Compared]) -> Move | None:
    """Say what moved, from the window since which it most looks so; None when there is nothing to compare."""
    if not compared:
        return None
    since = _since(compared)
    rows = [one for one in compared if one.row.window >= since]
    changed = [one for one in reversed(rows) if one.row.answer != one.usual and one.difference]
    return Move(
        since=since, before=_mean([one.before for one in rows]), after=_mean([one.row.score for one in rows]),
        cases=len(rows), slices=_slices(rows), answers=_answers(changed),
    )  # fmt: skip


def _since(compared: Sequence[Compared]) -> str:
    """Give the window that best splits what was from what is, by a bet in either direction on all that came since."""
    best, since, totals = -math.inf, compared[-1].row.window, [0.0, 0.0]
    ends = {one.row.window: at for at, one in reversed(list(enumerate(compared)))}  # where each window begins
    for at in range(len(compared) - 1, -1, -1):
        d = _STAKE * compared[at].difference
        totals = [totals[0] + math.log1p(d), totals[1] + math.log1p(-d)]
        if ends[compared[at].row.window] == at and max(totals) > best:
            best, since = max(totals), compared[at].row.window
    return since


def _slices(rows: Sequence[Compared]) -> tuple[SliceMove, ...]:
    members: defaultdict[str, list[Compared]] = defaultdict(list)
    for one in rows:
        for dimension, name in one.row.slices.items():
            members[f"{dimension}={name}"].append(one)
    moves = [
        SliceMove(name=name, before=_mean([one.before for one in mine]), after=_mean([one.row.score for one in mine]),
                  cases=len(mine))
        for name, mine in members.items()
    ]  # fmt: skip
    moved = [one for one in moves if one.before != one.after]
    return tuple(sorted(moved, key=lambda one: (-abs(one.after - one.before) * one.cases, one.name)))


def _answers(changed: Sequence[Compared]) -> tuple[tuple[str, str, str], ...]:
    latest: dict[str, Compared] = {}
    for one in changed:
        latest.setdefault(one.row.case, one)
    return tuple((one.row.case, one.usual, one.row.answer) for one in list(latest.values())[:SHOWN])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def drift_path(compared: Iterable[Compared]) -> Iterator[float]:
    """Give, after each comparison, the Shiryaev-Roberts evidence that scores have moved, up or down, at some time.

    When nothing moves it passes `n` only after about `n` comparisons on average, however often one looks: evidence
    of every possible beginning of a move is added up, each a betting e-process.
    """
    watch = PairedWatch(looks_for="moved")
    for one in compared:
        watch = watch.after(one.difference)
        yield watch.evidence


def drift_evidence(compared: Iterable[Compared]) -> float:
    """Give the evidence of a move after all comparisons; 0 for none."""
    return max(deque(drift_path(compared), maxlen=1), default=0.0)
