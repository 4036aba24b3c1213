"""The oracle: a check is read off a promise only where its words say it, and then it tells kept from broken."""

from __future__ import annotations

import pytest
import regex

from surefoot.core.clauses import clauses
from surefoot.core.exam.check import Check, finding
from surefoot.core.exam.observed import Observed
from surefoot.core.oracle import demands, standing_demands

LABELS = ("refund", "late parcel")


def holds(check: Check, answer: str) -> bool:
    """What the check says; expressions as the outside world searches them."""
    if check.kind == "regex":
        flags = regex.IGNORECASE if check.params.get("ignore_case") else 0
        return (regex.search(str(check.value), answer, flags, timeout=2) is not None) != check.negated
    return finding(check, None, Observed(output=answer)).state == "passed"


@pytest.mark.parametrize(("promise", "kept", "broken"), [
    ("Answer in at most 5 words.", "one two three four five", "one two three four five six"),
    ("Use no more than two sentences.", "It is 3.50 euro. Fine!", "One. Two. Three."),
    ("Reply in one sentence.", "Just this.", "This. And that."),
    ("Keep it under 20 characters.", "x" * 19, "x" * 20),
    ("Answer with at most 2 lines.", "a\nb", "a\nb\nc"),
    ("Reply in JSON.", '{"a": 1}', "a: 1"),
    ('Output JSON with the keys "answer" and "order".', '{"answer": "x", "order": 1}', '{"answer": "x"}'),
    ('Never say "guarantee".', "It should arrive.", "We GUARANTEE it."),
    ("Always mention “Acme Garden”.", "Here at acme garden.", "Here at our shop."),
    ('Begin every answer with "Hello".', "Hello there", "Well, Hello"),
    ("Always end with `Yours, Acme`.", "Bye. Yours, Acme", "Yours, Acme. Bye"),
    ("Write in lower case.", "quiet", "Quiet"),
    ("Answer in capitals.", "LOUD!", "Loud!"),
    ("Answer with exactly one label.", " Late Parcel\n", "refund, I think"),
    ("Stay within the label set: never answer with anything else.", "refund", "other"),
])  # fmt: skip
def test_a_promise_in_so_many_words_becomes_a_check_that_tells(promise: str, kept: str, broken: str) -> None:
    (clause,) = clauses(promise, labels=LABELS)
    checks = demands(clause, LABELS)
    assert checks, promise
    assert all(holds(check, kept) for check in checks)
    assert not all(holds(check, broken) for check in checks)


@pytest.mark.parametrize("promise", [
    "Be brief.", "If the customer is angry, answer in at most 5 words.", 'Say "hello" when somebody greets you.',
    "Never answer in JSON.", "Do not write in lower case.", "The shop has at most 5 words on its sign.",
    "Explain what a label is.", "We were founded in one sentence.", 'Do not end with "bye".',
])  # fmt: skip
def test_nothing_is_demanded_of_every_answer_that_was_not_promised_of_every_answer(promise: str) -> None:
    assert [check for one in clauses(promise) for check in demands(one)] == []


def test_what_holds_for_every_answer_is_asked_for_once() -> None:
    found = clauses("Reply in JSON. Always reply in JSON. Answer in at most 9 words.")
    assert [check.name for check in standing_demands(found)] == ["json", "at-most-9-words"]


def test_expressions_of_the_oracle_are_quick_on_hostile_answers() -> None:
    text = "Answer in at most 50 words. Use at most 10 sentences. Answer with at most 9 lines."
    words, sentences, lines = standing_demands(clauses(text))
    for answer in ("a " * 20_000, "a. " * 20_000, "." * 20_000, "\n" * 20_000, "a" * 50_000):  # each has two seconds
        told = [holds(check, answer) for check in (words, sentences, lines)]
        assert answer[:1] != "a" or told == [len(answer.split()) < 51, answer.count(".") < 11, True]
