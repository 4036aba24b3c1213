"""Lessons: what the loop learned, in the section `## Lessons` of `loop-prompt.md`.

The section only grows: each lesson is one line with the tick that taught it and the evidence. All of them stay; into a
prompt goes a capped choice, the four seeded and those of people first, then the ones whose words are nearest to the
lever (C4). Two lessons that say the opposite of each other are flagged for a person, and neither is dropped (S0-06).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from surefoot.core.repo.paper import Block, Paper, blocks, last_text, one_line
from surefoot.core.similar import nearest
from surefoot.core.words import FUNCTION_WORDS, stems, words

FILE = "loop-prompt.md"
SECTION = "Lessons"
CAP = 12
TEXT_CHARS, EVIDENCE_CHARS = 300, 200
_LINE = re.compile(r"[-*][ \t]+(?:\((?P<who>seed|tick \d{1,9}|[^()]{1,60})\)[ \t]+)?(?P<text>\S.*?)[ \t]*")
_EVIDENCE = re.compile(r"[ \t]+\[evidence: (?P<evidence>[^\[\]]*)\]$")
_NOT = frozenset("not never no don't dont avoid without stop cannot neither nor".split())
_ALWAYS = frozenset("always must should only every do use".split())
SEEDED = (
    "Verify that what you ship is not empty and is correct before you ship it.",
    "One finding is not a mandate for a sweeping change.",
    "When reality contradicts the premise of the task, report it and stop.",
    "Start the server that a check needs, wait for it, then check; refused connections are the environment.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoLesson:
    """One lesson; `who` is `seed`, `tick N`, or the name of a person."""

    text: str
    who: str = ""
    evidence: str = ""

    @property
    def tick(self) -> int:
        """The tick that taught it; 0 for seeds and people."""
        return int(self.who[5:]) if re.fullmatch(r"tick \d+", self.who) else 0


def lessons(source: Paper) -> tuple[RepoLesson, ...]:
    """Read the lessons of `loop-prompt.md`, oldest first; Invalid when the section is missing or there twice."""
    block = section(source)
    read = (_lesson(source.bare(at)) for at in range(block.start + 1, block.end))
    return tuple(one for one in read if one is not None)


def section(source: Paper) -> Block:
    """Give the section of the lessons."""
    found = [block for block in blocks(source, 2) if block.title.casefold() == SECTION.casefold()]
    if not found:
        raise source.wrong(max(0, len(source.lines) - 1), "there is no section ## Lessons", "add a line: ## Lessons")
    if len(found) > 1:
        raise source.wrong(found[1].start, "a second section ## Lessons", "keep one of the two")
    return found[0]


def _lesson(line: str) -> RepoLesson | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    text = match["text"]
    proof = _EVIDENCE.search(text)
    if proof is not None:
        text = text[: proof.start()]
    return RepoLesson(text=text, who=match["who"] or "", evidence=proof["evidence"] if proof else "")


def lesson_line(lesson: RepoLesson) -> str:
    """Give the line of a lesson."""
    who = f"({lesson.who}) " if lesson.who else ""
    evidence = one_line(lesson.evidence, EVIDENCE_CHARS).translate({91: 40, 93: 41})
    return f"- {who}{one_line(lesson.text, TEXT_CHARS)}" + (f" [evidence: {evidence}]" if evidence else "")


def learned(source: Paper, lesson: RepoLesson) -> Paper:
    """Give the paper with one more lesson at the end of the section; what is there already is not said again."""
    block = section(source)
    if _key(one_line(lesson.text, TEXT_CHARS)) in {_key(known.text) for known in lessons(source)}:
        return source
    at = last_text(source, block)
    return source.inserted(at, [*([""] if at == block.start + 1 else []), lesson_line(lesson)])


def append_only(before: Paper, after: Paper) -> bool:
    """Tell whether no lesson was lost or changed between two papers, and none changed its place."""
    known, now = lessons(before), lessons(after)
    return now[: len(known)] == known


def chosen(found: Sequence[RepoLesson], about: str, *, cap: int = CAP) -> tuple[RepoLesson, ...]:
    """Give the lessons for a prompt, at most `cap`, in the order of the file; those of people and seeds come first."""
    kept = [at for at, one in enumerate(found) if not one.tick][:cap]
    rest = [at for at, one in enumerate(found) if one.tick]
    near = nearest([about], [found[at].text for at in rest], max(0, cap - len(kept)))
    return tuple(found[at] for at in sorted([*kept, *(rest[place] for place in near)]))


def conflicts(found: Sequence[RepoLesson]) -> tuple[tuple[RepoLesson, RepoLesson], ...]:
    """Give pairs of lessons that speak of the same and say the opposite; a hint for a person, not a judgement."""
    marks = [(_about(one.text), _denies(one.text)) for one in found]
    return tuple(
        (found[one], found[other])
        for one in range(len(found)) for other in range(one + 1, len(found))
        if marks[one][1] != marks[other][1] and _alike(marks[one][0], marks[other][0])
    )  # fmt: skip


def _about(text: str) -> frozenset[str]:
    kept = [word for word in words(text) if word not in _NOT | _ALWAYS | FUNCTION_WORDS]
    return frozenset(stems(" ".join(kept)))


def _denies(text: str) -> bool:
    return any(word in _NOT for word in words(text))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= 2 and len(one & other) * 10 >= 6 * min(len(one), len(other))


def _key(text: str) -> str:
    return " ".join(words(text))
