"""An improver: a rule for each label that is missed, from the words that no other label's messages use."""

from __future__ import annotations

import re
from collections import Counter

from surefoot.core.budget import Budget
from surefoot.core.edit import Edit
from surefoot.core.proposal import Brief, Example, Proposal

FEWEST = 3
MOST_WORDS = 8


def propose(brief: Brief, budget: Budget) -> Proposal:  # noqa: ARG001  it asks no model
    """Give a rule for each of the labels that are missed most often, or say why there is none."""
    missed = Counter(case.expected for case in brief.failures)
    room = min(brief.max_edits, brief.rule_room)
    rules = [rule for label, _ in missed.most_common() if (rule := rule_for(label, brief))][:room]
    said = f"words that only {', '.join(missed)} use" if rules else "no word marks the labels that are missed"
    return Proposal(improver="plain-words", edits=tuple(rules), rationale=said)


def rule_for(label: str, brief: Brief) -> Edit | None:
    """Give a rule with the words that the label's shown cases share and no other's use."""
    cases = (*brief.failures, *brief.others)
    elsewhere = {word for case in cases if case.expected != label for word in words(case)}
    mine = [case for case in cases if case.expected == label]
    counts = Counter(word for case in mine for word in words(case) - elsewhere)
    chosen = [word for word, count in counts.most_common(MOST_WORDS) if count >= FEWEST]
    if not chosen:
        return None
    text = f"If the message mentions {', '.join(chosen)}, answer {label}."
    cited = [case.case_id for case in brief.failures if case.expected == label and words(case) & set(chosen)]
    return Edit(kind="add", target=free_id(f"rule-{label}", brief), text=text, evidence=tuple(cited[:10]))


def words(case: Example) -> set[str]:
    return set(re.findall(r"[a-z]{4,20}", case.input.lower()))


def free_id(name: str, brief: Brief) -> str:
    taken = {block.id for block in brief.genome.blocks}
    return next(f"{name}-{number}" for number in range(1, 1000) if f"{name}-{number}" not in taken)
