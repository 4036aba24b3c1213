"""What an improver sees (`Brief`) and all it can give (`Proposal`).

This pair of types is the wall between proposing and disposing: a brief holds shown cases only, and a proposal holds
edits, a rationale and what it cost. No store, no weight, no held-out case fits through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from surefoot.core.edit import Edit
from surefoot.core.errors import Invalid
from surefoot.core.genome import Genome


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A shown case with what the current genome answered; `predicted` is None where it was not run."""

    case_id: str
    input: str
    expected: str
    predicted: str | None = None
    feedback: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def wrong(self) -> bool:
        """Whether the current genome is known to have got it wrong."""
        return self.predicted is not None and self.predicted.strip().lower() != self.expected.strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """All that an improver may know: the genome, one gap, its shown failures, and shown cases that must stay right.

    `labels` is the closed answer set of a classification agent, empty otherwise. `tried` holds fingerprints of
    edits that did not work before. `max_edits`, `rule_room` and `example_room` are what the bounds still allow.
    `kinds` names the only kinds of change wanted this time (`core.arms`); empty means any. `model` is the name of the
    model that the agent runs on, for improvers that try their texts out.
    """

    agent: str
    genome: Genome
    gap: str
    title: str
    failures: tuple[Example, ...]
    others: tuple[Example, ...] = ()
    labels: tuple[str, ...] = ()
    tried: frozenset[str] = frozenset()
    lessons: tuple[str, ...] = ()
    max_edits: int = 5
    rule_room: int = 20
    example_room: int = 20
    rule_chars: int = 2000
    kinds: tuple[str, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What work cost: model calls, tokens (prompt and completion together) and US dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __post_init__(self) -> None:
        if not (self.calls >= 0 and self.tokens >= 0 and 0 <= self.usd < inf):
            raise Invalid(
                f"a cost of {self.calls} calls, {self.tokens} tokens and {self.usd} USD makes no sense",
                hint="report what was spent: finite and not negative",
            )

    def __add__(self, other: Cost) -> Cost:
        return Cost(calls=self.calls + other.calls, tokens=self.tokens + other.tokens, usd=self.usd + other.usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Edits with one line of rationale and their cost; no edits means "I have nothing to propose"."""

    improver: str
    edits: tuple[Edit, ...]
    rationale: str
    cost: Cost = field(default_factory=Cost)
