"""Phrases as a person would list them, made into one pattern.

The guardrail knows hundreds of phrases. As plain regular expressions nobody could review them, so they are written
as lists: `a | b` separates phrases, a line may end after any bar or blank, `word*` stands for any ending, and
`<name>` for a list written before. All else is a regular expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_BAR = re.compile(r"\s+\|\s+|\|\s*\n\s*")
_OPENING = re.compile(r"(?<=\(\?:)\s*\n\s*")
_ENDING = re.compile(r"(?<=[\w)\]])\*")


def phrases(listed: str, **parts: str) -> str:
    """Give the group that matches any of the listed phrases; `parts` are what `<name>` stands for."""
    joined = " ".join(_OPENING.sub("", _BAR.sub("|", listed.strip())).split())
    text = _ENDING.sub(r"\\w{0,20}", joined)
    for name, part in parts.items():
        text = text.replace(f"<{name}>", part)
    return f"(?:{text})"


@dataclass(frozen=True, slots=True)
class Spotted:
    """A pattern that is compiled at its first use: all of them take a tenth of each start, and few processes judge."""

    pattern: str

    def search(self, text: str) -> re.Match[str] | None:
        """Find the first place where one of the phrases stands."""
        return _compiled(self.pattern).search(text)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """Match the whole of a text."""
        return _compiled(self.pattern).fullmatch(text)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def spotted(listed: str, **parts: str) -> Spotted:
    """Give the pattern that finds any of the listed phrases, as whole words."""
    return Spotted(rf"\b{phrases(listed, **parts)}(?:(?<!\w)|(?!\w))")
