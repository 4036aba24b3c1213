"""What each learned block still buys, found by taking it away: the pure half of pruning.

A block is measured on its own cluster: cases it applies to that resemble those it was learned from, and every case
whose answer changes without it. In this order: a must-pass case that needs it keeps it; shown harm; shown help that
is worth its tokens; an upper bound below what would be worth having means it no longer helps; else nobody can tell
yet, and about how many more cases would. A block that is not shown to help is never called helpful, and one that was
measured on few cases is never called useless (S3-05, §3-8).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.digest import digest
from surefoot.core.edit import Edit
from surefoot.core.evidence.comparison import Comparison, Pair, comparison
from surefoot.core.evidence.paired import (
    betting_cases_needed,
    betting_evidence,
    cases_needed,
    sign_test,
    tally,
)
from surefoot.core.figure import figure, percent, signed
from surefoot.core.genome import Block, BlockKind, Genome

WorthVerdict = Literal["helps", "no longer helps", "harms", "cannot tell"]
LEARNED: tuple[BlockKind, ...] = ("rule", "example", "section")
ALPHA = 0.05
LEAST_GAIN = 0.05
LEAST_CASES = 20
PRICE_PER_100_TOKENS = 0.005
_Z = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablated:
    """One case with and without a block: its right answer, both scores (None = unknown), and whether it matters.

    `changed` says that the answers differ, `must_pass` that the case may never be lost.
    """

    case_id: str
    expected: str
    with_it: float | None
    without: float | None
    changed: bool
    must_pass: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What one block bought.

    `gained` and `lost` count cases of its cluster (`n`) that are better or worse with it; `gain` is their difference
    as a share of the cluster, shrunken, within `low` and `high` (95 %). `overall` is the same as a share of all cases
    measured, and `price` what its tokens cost on that scale. `needed` is about how many more cases would tell.
    """

    block: str
    kind: BlockKind
    identity: str
    verdict: WorthVerdict
    sentence: str
    n: int
    gained: int
    lost: int
    gain: float
    low: float
    high: float
    overall: float
    tokens: int
    price: float
    needed: int | None

    @property
    def value(self) -> float:
        """What keeps a block in a full genome: what it buys of all cases, less what its tokens cost."""
        return self.overall - self.price


def identity(block: Block) -> str:
    """Name what a block says and where: a measured worth is good for these words only."""
    return digest([block.id, block.kind, block.text, block.answer, [list(pair) for pair in block.applies_to]])[:16]


def learned(base: Genome, genome: Genome) -> tuple[Block, ...]:
    """Give the rules, examples and sections that the base does not have in these words."""
    born = {identity(block) for block in base.blocks}
    return tuple(b for b in genome.blocks if b.kind in LEARNED and not b.locked and identity(b) not in born)


def undoing(base: Genome, block: Block) -> Edit:
    """Give the edit that takes a learned block away: back to the base's words, or retired where the base had none."""
    if base.has(block.id):
        old = base.block(block.id)
        return Edit(kind="replace", target=block.id, text=old.text, answer=old.answer, applies_to=old.applies_to)
    return Edit(kind="retire", target=block.id)


def tokens(block: Block) -> int:
    """Give about how many tokens a block costs in each prompt: four bytes a token."""
    return math.ceil(len((block.text + block.answer).encode()) / 4)


def cluster(cases: Sequence[Ablated], labels: Collection[str]) -> tuple[Ablated, ...]:
    """Give a block's own cases: those with one of `labels` as the right answer, and all whose answer changes.

    `labels` are the answers it was learned for (lower case); without any, those of the cases that change, and where
    nothing changes, every case.
    """
    wanted = set(labels) or {case.expected.strip().lower() for case in cases if case.changed}
    if not wanted:
        return tuple(cases)
    return tuple(case for case in cases if case.changed or case.expected.strip().lower() in wanted)


def worth(block: Block, cases: Sequence[Ablated], labels: Collection[str], *, measured: int) -> Worth:
    """Judge a block by the cases it applies to, out of `measured` cases in all."""
    own = cluster(cases, labels)
    # The block is what the incumbent has and the pruned candidate lacks, so a loss of the candidate is its gain.
    seen = comparison(
        Pair(case_id=one.case_id, incumbent=one.with_it, candidate=one.without, must_pass=one.must_pass) for one in own
    )
    bought = [-d for d in seen.differences]
    gain, low, high = _interval(bought)
    size = tokens(block)
    price = PRICE_PER_100_TOKENS * size / 100 * (len(cases) / measured if measured else 0.0)
    overall = math.fsum(bought) / measured if measured else 0.0
    margin = max(LEAST_GAIN, price * measured / len(bought)) if bought else LEAST_GAIN
    count = tally(bought)
    verdict, why = _verdict(seen, bought, high=high, margin=margin, profit=overall - price)
    needed = _needed(seen, bought, gain=gain, margin=margin) if verdict == "cannot tell" else None
    return Worth(
        block=block.id, kind=block.kind, identity=identity(block), verdict=verdict,
        sentence=_sentence(block, verdict, why, needed, points=f"{signed(gain)} ({signed(low)} to {signed(high)})"),
        n=count.n, gained=count.gained, lost=count.lost, gain=gain, low=low, high=high, overall=overall, tokens=size,
        price=price, needed=needed,
    )  # fmt: skip


def _verdict(
    seen: Comparison, bought: Sequence[float], *, high: float, margin: float, profit: float
) -> tuple[WorthVerdict, str]:
    if lost := seen.must_pass_lost:
        return "helps", f"without it the must-pass case {lost[0]} is lost"
    if not bought:
        return "cannot tell", "no case of its cluster has a score"
    if seen.too_many_unscored or seen.must_pass_unscored:
        return "cannot tell", f"{seen.unscored} of {seen.pairs} cases miss a score"
    count = tally(bought)
    counts = f"{count.gained} of {count.n} cases are right only with it, {count.lost} only without"
    if _p(seen, [-d for d in bought]) <= ALPHA:
        return "harms", counts
    if _p(seen, bought) <= ALPHA and profit > 0:
        return "helps", counts
    if high < margin and len(bought) >= LEAST_CASES:  # below, the interval is too optimistic to retire by
        return "no longer helps", f"{counts}, and a gain of {percent(margin)} is ruled out"
    return "cannot tell", counts


def _p(seen: Comparison, differences: Sequence[float]) -> float:
    """Give the one-sided p of "the mean difference is at most 0": exact for 0/1 scores, 1/e for graded ones."""
    if seen.binary:
        count = tally(differences)
        return sign_test(for_it=count.gained, against_it=count.lost)
    return 1 / max(1.0, betting_evidence(differences))


def _interval(bought: Sequence[float]) -> tuple[float, float, float]:
    """Give the shrunken mean and its interval: half a case is added to each cell (Agresti & Min 2005)."""
    cases = len(bought) + 2
    gain = math.fsum(bought) / cases
    spread = _Z * math.sqrt(max(0.0, (math.fsum(d * d for d in bought) + 1) / cases - gain**2) / cases)
    return gain, max(-1.0, gain - spread), min(1.0, gain + spread)


def _needed(seen: Comparison, bought: Sequence[float], *, gain: float, margin: float) -> int | None:
    """Give about how many more cases would show help, harm or neither; at least 1, None beyond 20 000."""
    n, target = len(bought), max(margin, abs(gain))
    rate = math.fsum(d * d for d in bought) / n if n else 0.0
    shown = (
        cases_needed(discordance=rate, gain=target, alpha=ALPHA)
        if seen.binary or not n
        else betting_cases_needed(bought, gain=target, alpha=ALPHA)
    )
    quiet = max(LEAST_CASES, _Z / margin, _Z**2 * rate / (margin - gain) ** 2) if gain < margin else math.inf
    enough = min(math.inf if shown is None else shown, quiet)
    return None if enough > 20_000 else max(1, math.ceil(enough) - n)


def _sentence(block: Block, verdict: WorthVerdict, why: str, needed: int | None, *, points: str) -> str:
    more = ""
    if verdict == "cannot tell":
        some = "20 000 cases would not" if needed is None else f"about {figure(needed)} more cases would"
        more = f"; {some} tell"
    return f"{block.id} {verdict}: {why}, {points} of its cluster{more}."


def prunable(worths: Iterable[Worth], genome: Genome) -> tuple[Worth, ...]:
    """Give what may be proposed for removal, harmful ones first, then the least valuable; never what is pinned."""
    free = [
        one for one in worths
        if one.verdict in ("harms", "no longer helps") and genome.has(one.block)
        and not genome.block(one.block).pinned and identity(genome.block(one.block)) == one.identity
    ]  # fmt: skip
    return tuple(sorted(free, key=lambda one: (one.verdict != "harms", one.value, one.block)))
