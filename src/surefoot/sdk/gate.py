"""The release gate for anyone's scores: two recordings of the same cases in, one verdict out; no store, no model.

Each case counts once (repeats averaged), and both sides must hold the same cases: one that is missing is named, not
skipped. Then `core.gate.release_verdict` takes one planned look at level `alpha`: an exact sign test for 0/1 scores,
a betting e-process for graded ones, with every slice judged by itself. Nothing here counts looks; who looks at the
same cases again and again should divide `alpha` by the number of looks planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from surefoot.core.digest import digest
from surefoot.core.errors import Invalid
from surefoot.core.evidence.slices import SliceFinding
from surefoot.core.gate import RELEASE_ALPHA, Pair, ReleaseVerdict, release_verdict
from surefoot.sdk.scores import Plain, Rows, Scored, plain, rows_of, scored

Decision = Literal["pass", "fail", "inconclusive"]
Test = Literal["sign test", "betting e-process"]
Slices = str | Sequence[Any] | Mapping[Any, Any] | None
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """What the gate says: `pass` (better, and no slice lost), `fail` (worse, or a slice lost), else `inconclusive`.

    `p` is one-sided, for "the candidate is not better"; of an e-process it is 1/e. `power` is the chance that this
    many cases show a true gain of 5 points, `n_needed` the cases for a chance of 80 % (None beyond 20 000). `blocks`
    and `flags` are slices, worst first. Counts are of cases; `unscored` of cases where a side has no known score.
    """

    decision: Decision
    reason: str
    sentence: str
    test: Test
    alpha: float
    p: float | None
    power: float | None
    n_needed: int | None
    n: int
    gained: int
    lost: int
    unscored: int
    blocks: tuple[SliceFinding, ...]
    flags: tuple[SliceFinding, ...]

    def document(self) -> dict[str, object]:
        """Give the JSON form."""
        return {
            "decision": self.decision, "reason": self.reason, "sentence": self.sentence, "test": self.test,
            "alpha": self.alpha, "p": self.p, "power": self.power, "n_needed": self.n_needed, "n": self.n,
            "gained": self.gained, "lost": self.lost, "unscored": self.unscored,
            "blocks": [_slice(one) for one in self.blocks], "flags": [_slice(one) for one in self.flags],
        }  # fmt: skip


def gate(a: Rows | Plain, b: Rows | Plain, slices: Slices = None, alpha: float = RELEASE_ALPHA) -> Gated:
    """Judge the candidate `b` against the incumbent `a` on the same cases.

    Each side is rows with `case_id`, `score` in [0, 1] (None = unknown) and the fields named in `slices`, or the path
    of a JSONL file (or .gz) of such rows; or bare scores, as a list in one order for both or by case, and then
    `slices` gives each case its own, likewise. Errors: Invalid names the row, the cases that one side lacks, or a
    slice field that nothing has; Unavailable for a file that cannot be read.
    """
    if not 0 < alpha < 1:
        raise Invalid(f"the level {alpha} is impossible", hint="take one between 0 and 1, such as .05")
    old, new = plain(a), plain(b)
    if old is None or new is None:
        return _judged(cast("Rows", a), cast("Rows", b), _fields(slices), alpha)
    if isinstance(slices, str):
        raise Invalid(f"bare scores have no field {slices!r}", hint="give each case its slice, or rows with fields")
    before, after = rows_of(old, slices), rows_of(new, slices)
    if not before or not after:
        return _judged(before, after, [], alpha)
    return _judged(before, after, sorted({name for row in before for name in row} - {"case_id", "score"}), alpha)


def _fields(slices: Slices) -> list[str]:
    if isinstance(slices, str):
        return [name.strip() for name in slices.split(",") if name.strip()]
    return [str(name) for name in cast("Iterable[object]", slices or ())]


def _judged(a: Rows, b: Rows, fields: Sequence[str], alpha: float) -> Gated:
    before, after = scored(a, fields, side="the incumbent"), scored(b, fields, side="the candidate")
    _same_cases(before, after)
    pairs = [_pair(case, before[case], after[case]) for case in sorted(before)]
    for field in fields:
        if not any(field in pair.slices for pair in pairs):
            raise Invalid(f"no row has the field {field!r}", hint="--slices names a field of the rows")
    seed = digest([[pair.case_id, pair.incumbent, pair.candidate, dict(pair.slices)] for pair in pairs])
    return _gated(release_verdict(pairs, seed=seed, slots_left=1, slots=1, alpha=alpha))


def _same_cases(before: Mapping[str, Scored], after: Mapping[str, Scored]) -> None:
    for side, here, there in (("candidate", after, before), ("incumbent", before, after)):
        if missing := sorted(there.keys() - here.keys()):
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise Invalid(
                f"the {side} lacks {len(missing)} of {len(here.keys() | there.keys())} cases: "
                f"{', '.join(missing[:_NAMED])}{more}",
                hint='score the same cases on both sides; write "score": null where no answer came',
            )


def _pair(case: str, before: Scored, after: Scored) -> Pair:
    for name in before.slices.keys() & after.slices.keys():
        if before.slices[name] != after.slices[name]:
            raise Invalid(
                f"case {case!r} is {name}={before.slices[name]} for the incumbent and {name}={after.slices[name]} "
                "for the candidate",
                hint="a slice is a fact about the case, not about the answer",
            )
    return Pair(
        case_id=case, incumbent=before.score, candidate=after.score, slices={**after.slices, **before.slices}
    )  # fmt: skip


def _gated(verdict: ReleaseVerdict) -> Gated:
    first = verdict.powers[0] if verdict.powers else None
    return Gated(
        decision=verdict.verdict, reason=verdict.reason, sentence=verdict.sentence,
        test="betting e-process" if verdict.e_value is not None else "sign test", alpha=verdict.alpha, p=_p(verdict),
        power=first.power if first else None, n_needed=first.cases_needed if first else None, n=verdict.tally.n,
        gained=verdict.tally.gained, lost=verdict.tally.lost, unscored=verdict.unscored, blocks=verdict.blocked,
        flags=tuple(one for one in verdict.slices if one.mark == "flag"),
    )  # fmt: skip


def _p(verdict: ReleaseVerdict) -> float | None:
    """Give the p of either test; 1/e is one, by Markov's inequality."""
    if verdict.e_value is None:
        return verdict.p_value
    return 1.0 if verdict.e_value <= 1 else 1 / verdict.e_value


def _slice(one: SliceFinding) -> dict[str, object]:
    return {
        "slice": one.name, "n": one.tally.n, "gained": one.tally.gained, "lost": one.tally.lost, "gain": one.gain,
        "low": one.low, "high": one.high, "p_loss": one.p_loss,
    }  # fmt: skip
