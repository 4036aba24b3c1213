"""Expressions: how large a regular expression becomes when the engine writes its counted repeats out.

Thirty characters, `(?:(?:(?:a?){200}){200}){200}`, become eight million steps before the first text is looked at, and
a deadline for looking does not hold for that. So the size is counted from the text alone, rather too high than too low.
"""

from __future__ import annotations

import re

MOST_STEPS = 20_000
_COUNTED = re.compile(r"\{([0-9]*)(?:,([0-9]*))?\}")
_SET = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]?", re.DOTALL)
_NOTE = re.compile(r"\(\?#[^)]*\)?")
_SPREAD = re.compile(r"\(\?[a-zA-Z0-9-]*x")


def too_large(pattern: str) -> bool:
    """Whether an expression has more steps than anybody needs, with its counted repeats written out."""
    return (_of_all(pattern) if _SPREAD.search(pattern) else _of_groups(pattern)) > MOST_STEPS


def _of_groups(pattern: str) -> int:
    """Go through it once: of each open group its steps so far, and of what a repeat would be about its own."""
    groups, last, at = [0], 0, 0
    while at < len(pattern):
        sign, begins, at = pattern[at], at, at + 1
        if sign == "(":
            if (note := _NOTE.match(pattern, begins)) is not None:
                at = note.end()
            else:
                groups.append(0)
            continue
        if sign == ")" and len(groups) > 1:
            last = groups.pop() + 1
        elif sign == "{" and (counted := _COUNTED.match(pattern, begins)) is not None:
            at, last = counted.end(), last * _times(counted)
        elif sign == "[" and (found := _SET.match(pattern, begins)) is not None:
            at, last = found.end(), 1
        elif sign not in "?*+":
            at, last = at + (sign == "\\"), 1
        groups[-1] += last
    return sum(groups)


def _of_all(pattern: str) -> int:
    """With blanks and comments in it nobody knows cheaply what is repeated: at most all that came before."""
    size, at = 0, 0
    for counted in _COUNTED.finditer(pattern):
        size = (size + counted.start() - at) * _times(counted)
        at = counted.end()
    return size + len(pattern) - at


def _times(counted: re.Match[str]) -> int:
    """The larger of the two numbers; of very long ones the beginning is enough, without zeros."""
    return max(1, *(int((number or "").lstrip("0")[:9] or "0") for number in counted.groups()))
