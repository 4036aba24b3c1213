"""A version that reads well and is bad: it sends the typical words of each label to the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from surefoot.core.case import words
from surefoot.core.genome import Block, Genome
from surefoot.core.starter import written
from surefoot.rehearsal.rows import Row

TERMS = 12
RATIONALE = "tidies up the wording and speeds up the routing of common requests"


def sabotaged(genome: Genome, rows: Sequence[Row]) -> Genome:
    """Give `genome` with one plausible rule per label, each naming the wrong answer."""
    labels = sorted({row.expected for row in rows})
    rules = [
        Block(
            id=f"tidy-{number}", kind="rule", pinned=True,
            text=f"If the message mentions {', '.join(_typical(rows, label))}, answer {written(following)}.",
        )
        for number, (label, following) in enumerate(zip(labels, labels[1:] + labels[:1], strict=True), start=1)
    ]  # fmt: skip
    return Genome((*(block for block in genome.blocks if block.kind != "rule"), *rules))


def _typical(rows: Sequence[Row], label: str) -> list[str]:
    """The words that speak most for a label."""
    inside = Counter(word for row in rows if row.expected == label for word in set(words(row.input)) if word.isalpha())
    overall = Counter(word for row in rows for word in set(words(row.input)))
    ranked = sorted(inside, key=lambda word: (-(inside[word] ** 2) / (overall[word] + 5), word))
    return ranked[:TERMS]
