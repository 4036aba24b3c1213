"""Held out: who sees a run, and who may read what a case says.

A case of a split other than `shown` is there to test what its writer never saw. Its numbers are for everybody, its
words (question, expectation, answers, and what scorers said of them) are not: whoever may propose a version must not
read them. Reading is for those who judge, that is decide, and for nobody else.
"""

from __future__ import annotations

from surefoot.core.exam.run import EvalRun
from surefoot.core.token import Token, may

OPEN_SPLITS = frozenset({"", "shown"})


def held_out(split: str) -> bool:
    """Whether a case of this split tests what its writer never saw."""
    return split not in OPEN_SPLITS


def sees_run(reader: Token, run: EvalRun) -> bool:
    """Whether this reader sees a run: those of programs and recordings are about no agent, so only who is held to none.

    Its numbers, that is; what its cases say is for `may_read`.
    """
    return reader.sees(run.about)


def may_read(reader: Token, split: str, *, agent: str) -> bool:
    """Whether this reader may see what a case of this split says."""
    return not held_out(split) or (may(reader, "decide") and (not reader.agents or reader.sees(agent)))
