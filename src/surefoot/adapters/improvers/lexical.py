"""The improver that needs no model: it mines words that tell labels apart, and writes them down as rules.

For the labels in need (missed in the gap's failures, or answered instead), most needed first, it proposes one rule
`If the message mentions …, answer L.` each, with the most contrastive terms of the shown cases, the strongest first.
A label has one such rule: later briefs replace it rather than add a second. While some labels have no rule yet, terms
that would touch many of their right answers are left out. Edits that are left go to examples: short, safe, unlike each
other. Edits tried before are varied, then left out. The same brief always gets the same proposal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from itertools import islice

from surefoot.adapters.improvers.caution import is_trusted_source
from surefoot.adapters.improvers.examples import representative
from surefoot.adapters.improvers.naming import new_id
from surefoot.adapters.improvers.terms import Corpus, Message, Phrase, Term
from surefoot.core.budget import Budget
from surefoot.core.edit import Edit
from surefoot.core.genome import Block, Genome
from surefoot.core.injection import smell
from surefoot.core.proposal import Brief, Cost, Example, Proposal
from surefoot.core.starter import written
from surefoot.core.weakening import contradiction

# Messages of its label that must hold a term: what only one person wrote is chance, or private.
FEWEST_HITS = 2
# A rule's most terms, and the largest share of a bare label's right answers that may hold any of them: at first, and
# for a rule that was tried in vain.
MANNERS = ((80, 0.15), (40, 0.05), (20, 0.0))
# The need of a label that has a rule already, beside that of one without: a first rule brings more than a better one.
RULED = 0.5
EVIDENCE_CITED = 10
_RULE = re.compile(r"If the message mentions (?P<terms>.+), answer (?P<label>.+)\.")


class LexicalImprover:
    """Writes rules and examples for classification agents, deterministically and at no cost."""

    name = "lexical"

    def price(self, budget: Budget) -> Cost:
        """Give nothing at all: no model is asked."""
        return Cost()

    async def propose(self, brief: Brief, budget: Budget) -> Proposal:
        """Give at most `brief.max_edits` edits; none if the brief is no classification task or teaches nothing."""
        if not brief.labels:
            return Proposal(improver=self.name, edits=(), rationale="lexical only knows how to improve classification")
        edits = _Draft(brief).edits()
        if not edits:
            return Proposal(improver=self.name, edits=(), rationale="no words tell these failures apart")
        labels = ", ".join(dict.fromkeys(_label_of(edit) for edit in edits))
        return Proposal(improver=self.name, edits=edits, rationale=f"words of the shown cases that mark {labels}")


class _Draft:
    """The edits for one brief, as they grow."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._known = {label.casefold(): label for label in brief.labels}
        self._failures = [case for case in brief.failures if self._label(case.expected)]
        shown = {case.case_id: case for case in (*brief.failures, *brief.others) if self._label(case.expected)}
        self._shown = [case for case in shown.values() if is_trusted_source(case.input)]
        self._corpus = Corpus(
            [Message(case_id=case.case_id, text=case.input, label=self._label(case.expected)) for case in self._shown]
        )
        self._own = {label: block for label in brief.labels if (block := _own_rule(brief.genome, label))}
        self._taken = {block.id for block in brief.genome.blocks}
        self._targets = self._in_need()
        self._bare = self._right_answers()

    def edits(self) -> tuple[Edit, ...]:
        rules = self._rules()
        room = min(self._brief.max_edits - len(rules), self._brief.example_room)
        return (*rules, *self._examples(room if self._wants("example") else 0))

    def _wants(self, kind: str) -> bool:
        return not self._brief.kinds or kind in self._brief.kinds

    def _label(self, text: str | None) -> str:
        """Give the label as the brief spells it; empty if it is none."""
        return self._known.get((text or "").strip().casefold(), "")

    def _in_need(self) -> list[str]:
        """Labels that the failures missed, or took for the right one; the greatest need first."""
        missed = Counter(self._label(case.expected) for case in self._failures)
        need = missed + Counter(label for case in self._failures if (label := self._label(case.predicted)))
        worth = {label: count * (RULED if label in self._own else 1.0) for label, count in need.items()}
        return sorted(need, key=lambda label: (-worth[label], -missed[label], label))

    def _right_answers(self) -> dict[str, list[Set[Phrase]]]:
        """Give, per bare label (it has no rule to answer back with), the terms of each of its right answers."""
        found: dict[str, list[Set[Phrase]]] = {}
        for case in self._shown:
            label = self._label(case.expected)
            if not case.wrong and label not in self._own:
                found.setdefault(label, []).append(self._corpus.phrases[case.case_id].keys())
        return found

    def _terms(self, label: str, harm: float, sheltered: Set[str]) -> Iterator[Term]:
        """Give the label's terms that together touch at most a share `harm` of each bare label's right answers."""
        alone = {bare: answers for bare, answers in self._bare.items() if bare != label and bare not in sheltered}
        touched: dict[str, set[int]] = {bare: set() for bare in alone}
        for term in self._corpus.terms(label, min_hits=FEWEST_HITS):
            more = {
                bare: touched[bare] | {at for at, said in enumerate(answers) if term.phrase in said}
                for bare, answers in alone.items()
            }
            if all(len(more[bare]) <= harm * len(answers) for bare, answers in alone.items()):
                touched = more
                yield term

    def _rules(self) -> list[Edit]:
        edits: list[Edit] = []
        room = self._brief.rule_room
        for label in self._targets:
            if len(edits) >= self._brief.max_edits:
                break
            old = self._own.get(label)
            wanted = self._wants("rule_edit" if old else "rule_add")
            edit = self._rule(label, old) if wanted and (old or room > 0) else None
            if edit:
                edits.append(edit)
                room -= old is None
        return edits

    def _rule(self, label: str, old: Block | None) -> Edit | None:
        sheltered = set(self._targets[: self._brief.max_edits])
        for size, harm in MANNERS:
            terms = list(islice(self._terms(label, harm, sheltered), size))
            sheltered = set[str]()
            text = _rule_text(label, terms, self._brief.rule_chars)
            if not text or (old and old.text == text):
                return None
            edit = Edit(
                kind="replace" if old else "add", target=old.id if old else new_id("rule", label, self._taken),
                text=text, gap=self._brief.gap, evidence=self._evidence(label, terms),
            )  # fmt: skip
            if edit.fingerprint not in self._brief.tried:
                self._taken.add(edit.target)
                return edit
        return None

    def _evidence(self, label: str, terms: Iterable[Term]) -> tuple[str, ...]:
        """Cite failures that hold the rule's terms: first those of its own label."""
        wanted = {term.phrase for term in terms}
        hit = [case for case in self._failures if wanted & self._corpus.phrases.get(case.case_id, {}).keys()]
        hit.sort(key=lambda case: self._label(case.expected) != label)
        return tuple(case.case_id for case in hit[:EVIDENCE_CITED])

    def _examples(self, room: int) -> list[Edit]:
        edits: list[Edit] = []
        for case in representative(self._failures, self._brief.genome, self._typical):
            label = self._label(case.expected)
            edit = Edit(
                kind="add_example", target=new_id("example", label, self._taken), text=case.input, answer=label,
                gap=self._brief.gap, evidence=(case.case_id,),
            )  # fmt: skip
            if len(edits) < room and edit.fingerprint not in self._brief.tried:
                self._taken.add(edit.target)
                edits.append(edit)
        return edits

    def _typical(self, case: Example) -> float:
        """How much a message speaks its label's language: the mean strength of its terms."""
        phrases = self._corpus.phrases.get(case.case_id, {})
        label = self._label(case.expected)
        return sum(max(0.0, self._corpus.strength(label, phrase)) for phrase in phrases) / (len(phrases) or 1)


def _own_rule(genome: Genome, label: str) -> Block | None:
    for block in genome.of_kind("rule"):
        match = _RULE.fullmatch(block.text)
        if match and match["label"] == written(label) and not (block.locked or block.pinned or block.applies_to):
            return block
    return None


def _label_of(edit: Edit) -> str:
    match = _RULE.fullmatch(edit.text)
    return edit.answer or (match["label"] if match else edit.target)


def _rule_text(label: str, terms: Iterable[Term], most_chars: int) -> str:
    """Write the rule with as many terms as fit and, together, read like no order; empty without any."""
    shown = [f'"{term.surface}"' if " " in term.surface else term.surface for term in terms]
    while shown and len(_sentence(label, shown)) > most_chars:
        shown.pop()
    if shown and _objection(_sentence(label, shown)):
        kept: list[str] = []
        for term in shown:
            if not _objection(_sentence(label, [*kept, term])):
                kept.append(term)
        shown = kept
    return _sentence(label, shown) if shown else ""


def _sentence(label: str, terms: Iterable[str]) -> str:
    return f"If the message mentions {', '.join(terms)}, answer {written(label)}."


def _objection(text: str) -> bool:
    """Whether the guardrails would refuse the rule: its terms may add up to what no single one says."""
    return smell(text) is not None or bool(contradiction(text))
