"""Labels of people on what a judge judged: drawn blind, and fairly.

`sample` labels are drawn by a hash that knows nothing of the judge's verdict, so rates computed from them hold;
`queue` labels settle what the judge could not, and count for nothing else. A person sees case and answer, never what
the judge said. What is said in the open, beside everything that is known, counts for no rate either: that an answer
as a whole is right or wrong (by the scorer `person`), and what the right one would be (by the scorer `expected`, whose
note is that answer).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from surefoot.core.digest import unit_interval
from surefoot.core.exam.suite import Message
from surefoot.core.exam.verdict import Verdict

Drawn = Literal["sample", "queue", "open"]
PERSON = "person"
EXPECTED = "expected"
MOST_CHARS = 20_000
Key = tuple[str, int, str]
Questions = Mapping[str, tuple[Message, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a person said of one answer by one criterion."""

    run: str
    case: str
    epoch: int
    scorer: str
    by: str
    passed: bool
    drawn: Drawn
    note: str
    at: datetime

    def document(self) -> dict[str, Any]:
        """Give its JSON form: what it is about, and the verdict or the right answer."""
        expects = self.scorer == EXPECTED
        return {
            "case": self.case, "epoch": self.epoch + 1, "about": "expected" if expects else "answer",
            "verdict": None if expects else "pass" if self.passed else "fail", "text": self.note, "by": self.by,
            "at": self.at,
        }  # fmt: skip


def key_of(one: Verdict | Label) -> Key:
    """Name the answer and criterion that a verdict or a label is about."""
    return (one.case, one.epoch, one.scorer)


def judged(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Give what a judge has looked at: passed, failed or abstained."""
    return [v for v in verdicts if v.scorer.startswith("judge:") and v.state in ("passed", "failed", "abstained")]


def to_label(run: str, verdicts: Iterable[Verdict], labels: Iterable[Label], *, by: str, drawn: Drawn) -> list[Verdict]:
    """Give what this person has not labelled yet: the queue of abstentions, or all in an order drawn by hash."""
    done = {key_of(label) for label in labels if label.by == by}
    waiting = [v for v in judged(verdicts) if key_of(v) not in done and (drawn == "sample" or v.state == "abstained")]
    return sorted(waiting, key=lambda v: unit_interval("label", run, v.case, str(v.epoch), v.scorer))


def agreement(verdicts: Iterable[Verdict], labels: Iterable[Label]) -> list[tuple[bool | None, bool]]:
    """Give (the judge said pass, people said pass) of one run, by sampled labels only; None where it abstained.

    Where people disagree on an answer it is left out.
    """
    said: dict[Key, set[bool]] = {}
    for label in labels:
        if label.drawn == "sample":
            said.setdefault(key_of(label), set()).add(label.passed)
    return [
        (None if v.state == "abstained" else v.state == "passed", next(iter(said[key_of(v)])))
        for v in judged(verdicts) if len(said.get(key_of(v), ())) == 1
    ]  # fmt: skip


def said_right(
    labels: Iterable[Label], asked: Mapping[str, Questions], now: Questions
) -> tuple[dict[str, str], list[str]]:
    """Give the right answers that people agree on, by case, and the cases on which they differ.

    `asked` are the questions of each run that counts, `now` those that are asked today. What was said of a case whose
    question was another one says nothing of it. The last word of each person counts: `labels` come oldest first.
    """
    said: dict[str, dict[str, str]] = {}
    for one in labels:
        question = asked.get(one.run, {}).get(one.case)
        if one.scorer == EXPECTED and question is not None and question == now.get(one.case):
            said.setdefault(one.case, {})[one.by] = one.note
    agreed = {case: next(iter(words.values())) for case, words in said.items() if len(set(words.values())) == 1}
    return agreed, sorted(set(said) - set(agreed))
