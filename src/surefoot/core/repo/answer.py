"""Answer: what a coding agent may tell the loop in its last message, besides what it changed.

Only lines of a known form count: `PREMISE MISMATCH: why`, `LESSON: what [evidence: …]`, `FOCUS: new focus`, `NEXT: what
comes next`. They are text from outside: cut, made one line, and taken for a wish, never for an instruction. A lesson
needs its evidence. Nothing that an agent says can make a change pass (S0-21).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from surefoot.core.injection import smell
from surefoot.core.repo.lessons import EVIDENCE_CHARS, TEXT_CHARS
from surefoot.core.repo.paper import one_line

_LINE = re.compile(
    r"[ \t]*(?:[-*>][ \t]+)?\**(PREMISE MISMATCH|LESSON|FOCUS|NEXT)\**[ \t]*:\**[ \t]*(\S.*?)[ \t]*", re.IGNORECASE
)
_EVIDENCE = re.compile(  # in brackets it may hold parentheses, such as those of a call
    r"[ \t]*(?:\[evidence:[ \t]*([^\]]+)\]|\(evidence:[ \t]*([^)]+)\))[ \t]*$", re.IGNORECASE
)
MOST_LESSONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was told: a reason why the premise is wrong, lessons as (text, evidence), and wishes for the strategy."""

    mismatch: str = ""
    lessons: tuple[tuple[str, str], ...] = ()
    focus: str = ""
    following: str = ""


def answer(summary: str) -> Answer:
    """Read the last message of a coding agent."""
    found: dict[str, list[str]] = {}
    for line in summary.splitlines():
        if (match := _LINE.fullmatch(line)) is not None:
            found.setdefault(match[1].upper(), []).append(match[2].strip("* "))
    return Answer(
        mismatch=one_line(found.get("PREMISE MISMATCH", [""])[0], TEXT_CHARS),
        lessons=tuple(_lesson(text) for text in found.get("LESSON", []) if _proven(text))[:MOST_LESSONS],
        focus=one_line(found.get("FOCUS", [""])[0], TEXT_CHARS),
        following=one_line(found.get("NEXT", [""])[0], TEXT_CHARS),
    )


def _proven(text: str) -> bool:
    """Whether a lesson brings evidence and does not read as an order to whoever reads it next."""
    return _EVIDENCE.search(text) is not None and smell(text) is None


def _lesson(text: str) -> tuple[str, str]:
    match = _EVIDENCE.search(text)
    evidence = (match[1] or match[2]) if match else ""
    return one_line(_EVIDENCE.sub("", text), TEXT_CHARS), one_line(evidence, EVIDENCE_CHARS)
