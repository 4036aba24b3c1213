"""A simulated prompt with planted faults: what a prompt must say is known, so the truth of any prompt is exact.

A case has one or two faults and is answered rightly when the prompt mends all of them and says nothing that spoils
it. `score` flips with `noise`. `rewrite` behaves like a model: it mends what the failures name with some skill,
invents now and then, and forgets lines it was not asked about.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

FAULTS, SPOILERS, CASES, UNSEEN = 8, 6, 80, 300
HEAD = "You answer tickets."


class Planted:
    """One drawn task; `mends` of it are in the first prompt."""

    def __init__(self, seed: int, *, noise: float = 0.0, skill: float = 0.65, forget: float = 0.15) -> None:
        draw = random.Random(f"planted-{seed}")
        self.noise, self.skill, self.forget = noise, skill, forget
        self.faults = [f"F{seed}x{number}" for number in range(FAULTS)]
        self.needs = [frozenset(draw.sample(self.faults, draw.choice((1, 1, 2)))) for _ in range(CASES + UNSEEN)]
        self.spoilers = {f"S{seed}x{n}": {c for c in range(CASES + UNSEEN) if draw.random() < 0.2}
                         for n in range(SPOILERS)}  # fmt: skip
        self.cases = list(range(CASES))
        self.start = self.prompt(self.faults[:2])
        self.best = self.prompt(self.faults)
        self._rewrites = 0

    @staticmethod
    def prompt(mends: Sequence[str]) -> str:
        """Give the prompt that mends these."""
        return "\n".join([HEAD, *(f"- Mend {name}." for name in mends)])

    def right(self, prompt: str, case: int) -> str:
        """Give what is wrong with a case under a prompt, nothing if it is right."""
        said = set(re.findall(r"- Mend (\w+)\.", prompt))
        wrong = sorted(self.needs[case] - said) + sorted(n for n, spoils in self.spoilers.items()
                                                          if n in said and case in spoils)  # fmt: skip
        return wrong[case % len(wrong)] if wrong else ""

    def truth(self, prompt: str) -> float:
        """Give the share of cases, never seen by anybody, that a prompt answers rightly."""
        return sum(not self.right(prompt, case) for case in range(CASES, CASES + UNSEEN)) / UNSEEN

    def score(self, prompt: str, case: Any, number: int) -> tuple[float, str]:
        """Score one run."""
        draw = random.Random(f"{prompt}|{case}|{number}|{self.noise}")
        wrong = self.right(prompt, case)
        if (not wrong) != (draw.random() < self.noise):
            return 1.0, "right"
        return 0.0, f"wrong because of {wrong or f'noise {draw.randrange(40)}'}"

    def rewrite(self, prompt: str, failures: Sequence[tuple[Any, float, str]]) -> str:
        """Rewrite a prompt from failures."""
        self._rewrites += 1
        draw = random.Random(f"{self._rewrites}|{prompt}")
        lines = prompt.split("\n")
        if len(lines) > 1 and draw.random() < self.forget:
            lines.pop(draw.randrange(1, len(lines)))
        named = sorted({text.rsplit(" ", 1)[1] for _, _, text in failures})
        for name in draw.sample(named, min(2, len(named))):
            if name in self.spoilers and draw.random() < self.skill:
                lines = [line for line in lines if line != f"- Mend {name}."]
            elif name in self.faults and draw.random() < self.skill:
                lines.append(f"- Mend {name}.")
            else:
                lines.append(f"- Mend {draw.choice(['tone', 'length', 'style', *self.spoilers])}.")
        return "\n".join(dict.fromkeys(lines))
