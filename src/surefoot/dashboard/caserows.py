"""The cases of an eval as rows: what changed, in the order of `core`, and the words of those one may read.

Nothing is judged here: changes and standings are those of `core`. Of a case that is held out from this visitor
(`core.exam.held`) a row has the numbers only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from surefoot.core.errors import Invalid
from surefoot.core.exam.contrast import Flip
from surefoot.core.exam.held import held_out, may_read
from surefoot.core.exam.label import Label
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.exam.verdict import CaseResult
from surefoot.core.token import Token
from surefoot.engine.compare import Compared

TEASER, MOST_DOTS = 180, 12
CHANGES = ("regressed", "fixed", "flaky", "same", "unknown")
STANDINGS = ("failed", "errored", "abstained", "passed")
TONES = {
    "regressed": "bad", "fixed": "ok", "flaky": "warn", "same": "idle", "unknown": "asks", "passed": "ok",
    "failed": "bad", "errored": "warn", "abstained": "asks", "better": "ok", "worse": "bad", "inconclusive": "idle",
    "pass": "ok", "fail": "bad", "too_many_errored": "warn", "cancelled": "idle",
}  # fmt: skip
WORDS = {"abstained": "undecided", "too_many_errored": "too many errored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """A case over its epochs on one side: k of n passed; `dots` are there for a dozen at most, passed ones first."""

    passed: int
    failed: int
    unknown: int
    dots: tuple[str, ...]

    @property
    def epochs(self) -> int:
        """How many epochs there are."""
        return self.passed + self.failed + self.unknown

    @property
    def said(self) -> str:
        """The dots in words."""
        more = f", {self.unknown} unknown" if self.unknown else ""
        return f"{self.passed} of {self.epochs} passed{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """One case; `question` is empty where this visitor may not read it, `said` counts the people who spoke of it."""

    case: str
    change: str
    tone: str
    word: str
    must: bool
    held: bool
    readable: bool
    question: str
    before: Dots | None
    after: Dots | None
    p: float | None
    shown: bool
    said: int


def flips_of(seen: Compared) -> list[Flip]:
    """Give every case in the order of the page: as `core` orders flips; with one side only, what did not pass first."""
    if seen.difference is not None:
        return list(seen.difference.flips)
    results = seen.after.results
    found = [
        Flip(case=case.id, change="unknown", before=None, p=1.0, severity=case.severity,
             after=results[case.id].rate if case.id in results else None)
        for case in seen.after.cases.values()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (STANDINGS.index(change_of(seen, one)), one.severity != "must", one.case))


def change_of(seen: Compared, one: Flip) -> str:
    """Give the word of a row: its change, or with one side only how it stands."""
    if seen.difference is not None:
        return one.change
    result = seen.after.results.get(one.case)
    return result.standing if result is not None else "errored"


def chips_of(seen: Compared, flips: Sequence[Flip]) -> tuple[tuple[str, str, int], ...]:
    """Give what rows can be filtered by: name, word and count."""
    counted = Counter(change_of(seen, one) for one in flips)
    names = CHANGES if seen.difference is not None else STANDINGS
    return tuple((one, WORDS.get(one, one), counted[one]) for one in names if counted[one] or one != "unknown")


def place_of(flips: Sequence[Flip], after: str) -> int:
    """Give where a page begins: behind the case that the page before it ended with."""
    if not after:
        return 0
    found = next((at for at, one in enumerate(flips) if one.case == after), None)
    if found is None:
        raise Invalid("the case that this page goes on after is not in this list", hint="begin at its first page")
    return found + 1


def row_of(reader: Token, seen: Compared, one: Flip, labels: Sequence[Label]) -> CaseRow:
    """Give the row of a case, as far as this reader may see it."""
    case, word = seen.after.cases[one.case], change_of(seen, one)
    readable = _readable(reader, seen, case)
    before = seen.before.results.get(one.case) if seen.before and seen.difference else None
    return CaseRow(
        case=one.case, change=word, tone=TONES[word], word=WORDS.get(word, word), must=one.severity == "must",
        held=held_out(case.split), readable=readable, question=case.text[:TEASER] if readable else "",
        before=_dots(before), after=_dots(seen.after.results.get(one.case)), p=one.p if one.p < 1 else None,
        shown=one.shown, said=len({label.by for label in labels if label.case == one.case}),
    )  # fmt: skip


def _readable(reader: Token, seen: Compared, case: SuiteCase) -> bool:
    """Whether the reader may read a case; of a look there is nothing to read, since its cases came without words."""
    return seen.after.run is not None and may_read(reader, case.split, agent=seen.agent)


def _dots(one: CaseResult | None) -> Dots | None:
    if one is None:
        return None
    whole = ["ok"] * one.passed + ["bad"] * one.failed + ["open"] * one.unknown
    return Dots(passed=one.passed, failed=one.failed, unknown=one.unknown,
                dots=tuple(whole) if len(whole) <= MOST_DOTS else ())  # fmt: skip
