"""Clauses: an agent's instructions cut into sentences and bullets, and which of them promise something.

Headings and lists are taken apart first, then sentences; each piece is numbered in its order, so that a probe can
name the promise it tests and people can look it up. What a piece promises is read from its words, the most specific
kind first: a worked example, a tool, a prohibition, a label, a format, a scope, then any other duty. A piece that
only describes (a fact about the shop, a greeting) is context: it is kept in its place, but nothing is owed to it.
The instructions are the oracle (S4-08): what they do not promise is a wish, and no probe may ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from surefoot.core.genome import Genome, render

ClauseKind = Literal["example", "tool", "prohibition", "label", "format", "scope", "modal", "context"]
MOST_CLAUSES = 400
MOST_CHARS = 200_000
_BULLET = re.compile(r"(?:[-*•+]|\d{1,3}[.)]|[a-z]\))\s+")
_HEADING = re.compile(r"#{1,6}\s+\S|\*\*[^*]{1,80}\*\*:?$|[A-Z][^.!?:]{0,60}:$|</?\w[\w -]{0,40}>$|[-=_*]{3,}$")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|approx|incl|vs|no|mr|mrs|ms|dr|st)\.(?=\s)", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"\n]{1,300}"|“[^”\n]{1,300}”|`[^`\n]{1,300}`')
_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[“`]?[A-Z0-9À-Þ])|(?<=[。！？])")
_ARROW = re.compile(r"^(?P<asked>\"[^\"]+\"|“[^”]+”|`[^`]+`)\s*(?:->|=>|→)\s*(?P<answer>.+)$", re.DOTALL)
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|until|in case|for (?:any|all|every|each)|once|where|before|after)\b", re.IGNORECASE
)
_PROHIBITION = re.compile(
    r"\b(?:never|do not|don['’]t|must not|mustn['’]t|may not|should not|shouldn['’]t|shall not|cannot|can['’]t|"
    r"can not|not allowed|forbidden|prohibited|under no circumstances|avoid|refrain|refuse|decline|is no|are no)\b"
    r"|^no\b(?![^.]{0,30}\byet\b)",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    r"\b(?:json|yaml|xml|csv|markdown|html|bullet|bullets|bulleted|numbered list|headings?|table|plain text|"
    r"upper ?case|lower ?case|capitals|format|tone|polite|politely|formal|formally|concise|concisely|brief|briefly|"
    r"(?:at most|up to|more than|fewer than|less than|no longer than|exactly|maximum|max|under|within|in|one|two|three)"
    r" (?:\w+ )?(?:words?|sentences?|characters?|lines?|paragraphs?|labels?)|"
    r"(?:begin|start|end|finish|close|sign off)s? (?:\w+ ){0,3}with|in (?:english|german|french|spanish|italian|"
    r"portuguese|dutch|polish|japanese|chinese|the (?:user|customer|caller)['’]s (?:own )?language))\b",
    re.IGNORECASE,
)
_SCOPE = re.compile(
    r"\b(?:only (?:help|answer|respond|reply|talk|discuss|handle|deal|work|speak|about|for|with)|limited to|outside|"
    r"off[- ]topic|other topics?|unrelated|nothing else|anything else|out of scope|stay (?:on|within)|your (?:only )?"
    r"(?:task|job|purpose|role)|exclusively)\b|^you are (?:an?|the)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\b(?:labels?|categor(?:y|ies)|class(?:es)?|intents?)\b", re.IGNORECASE)
_MODAL = re.compile(
    r"\b(?:must|should|shall|always|have to|has to|need to|needs to|required?|ensure|make sure|be sure|remember to|"
    r"is to|are to|will)\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"^(?:(?:please|first|then|next|finally|also|and|kindly|politely|briefly)[, ]+)*(?:answer|reply|respond|ask|tell|"
    r"say|give|offer|use|call|check|verify|confirm|look|find|read|decide|choose|pick|classify|treat|keep|stay|include|"
    r"mention|explain|summari[sz]e|write|list|cite|quote|greet|thank|apologi[sz]e|escalate|transfer|forward|hand|send|"
    r"open|close|cancel|book|refund|help|follow|return|output|translate|extract|label|prefer|consider|assume|wait|"
    r"stop|start|begin|end|address|show|provide|speak|be|do|let|limit|log|report|redirect|refer|direct|suggest|"
    r"recommend|compare|calculate|compute|add|remove|update|create|set|get|run|search|consult|act|handle|solve|work|"
    r"think|note|point|state|identify|describe|repeat|mark|match|try|respect|protect|prioriti[sz]e|round|quote|sort)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(r"^(?:if|when|whenever|unless|in case|once|for|after|before|until)\b[^,:]*[,:]\s*", re.IGNORECASE)
_PART = re.compile(r"[,:]\s*(?:then\s+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One numbered piece of the instructions; `tools` and `labels` are those it names, `under` its heading.

    `conditional` says that it holds only sometimes, so that no answer in general can be held against it; `only` are
    the slices it is limited to.
    """

    number: int
    kind: ClauseKind
    text: str
    under: str = ""
    tools: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    conditional: bool = False
    only: tuple[tuple[str, str], ...] = ()

    @property
    def promise(self) -> bool:
        """Whether something is owed to this clause."""
        return self.kind != "context"

    def document(self) -> dict[str, object]:
        """Give the JSON form."""
        return {"number": self.number, "kind": self.kind, "text": self.text, "under": self.under,
                "tools": list(self.tools), "labels": list(self.labels)}  # fmt: skip


def clauses(instructions: str, *, tools: Sequence[str] = (), labels: Sequence[str] = ()) -> tuple[Clause, ...]:
    """Give the clauses of instructions in their order, numbered from 1; at most 400 of 200,000 characters."""
    found: list[Clause] = []
    for under, text in _pieces(instructions[:MOST_CHARS]):
        named = tuple(tool for tool in tools if _names(text, tool))
        meant = tuple(label for label in labels if _names(text, label))
        found.append(Clause(
            number=len(found) + 1, kind=_kind(text, under, named, meant), text=text, under=under, tools=named,
            labels=meant, conditional=bool(_CONDITION.search(text)),
        ))  # fmt: skip
        if len(found) == MOST_CLAUSES:
            break
    return tuple(found)


def instructions_of(genome: Genome, *, tools: Sequence[str] = (), labels: Sequence[str] = ()) -> tuple[Clause, ...]:
    """Give the clauses of a genome as it is rendered, and after them those of the rules that hold for some slices only.

    Its own tools count besides `tools`, which are those that the program around it has.
    """
    names = tools_of(genome, tools)
    found = list(clauses(render(genome), tools=names, labels=labels))
    for block in genome.of_kind("rule"):
        if block.applies_to:
            for one in clauses(block.text, tools=names, labels=labels):
                found.append(replace(one, number=len(found) + 1, under="Rules", only=block.applies_to))
    return tuple(found)


def tools_of(genome: Genome, more: Sequence[str] = ()) -> tuple[str, ...]:
    """Give the tools that a genome names, and those that its program has besides."""
    return tuple(dict.fromkeys([*(block.id for block in genome.of_kind("tool")), *more]))


def promises(found: Iterable[Clause]) -> tuple[Clause, ...]:
    """Give the clauses that promise something."""
    return tuple(clause for clause in found if clause.promise)


def about_scope(clause: Clause) -> bool:
    """Say whether a clause bounds what the agent is there for, of whatever kind it is."""
    return clause.kind == "scope" or bool(_SCOPE.search(clause.text))


def example_of(clause: Clause) -> tuple[str, str] | None:
    """Give what a worked example asks and answers; None for any other clause."""
    match = _ARROW.match(clause.text)
    return (match["asked"][1:-1], match["answer"].strip()) if match else None


def condition_of(clause: Clause) -> str:
    """Give the case a clause speaks about (*if the order is lost, …*), without its first word; empty if none."""
    if lead := _lead(clause.text):
        return lead.strip(" ,:").partition(" ")[2]
    tail = re.search(r"\b(?:if|when|whenever|in case|once)\s+([^.;!?]+)", clause.text, re.IGNORECASE)
    return tail.group(1).strip() if tail else ""


def _names(text: str, name: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE))


def _pieces(instructions: str) -> Iterator[tuple[str, str]]:
    """Give (heading, sentence) in order; a line that goes on in the next one is one text."""
    under = ""
    for line in _lines(instructions):
        if _HEADING.match(line):
            under = line.strip("#*<>-=_: ")
            continue
        for sentence in _sentences(line):
            yield under, sentence


def _lines(instructions: str) -> Iterator[str]:
    held = ""
    for raw in instructions.splitlines():
        line = raw.strip()
        bullet = _BULLET.match(line)
        if held and line and not bullet and (raw[:1] in " \t" or _goes_on(held, line)):
            held = f"{held} {line}"
            continue
        if held:
            yield held
        held = line[bullet.end() :] if bullet else line
    if held:
        yield held


def _goes_on(before: str, line: str) -> bool:
    return before[-1] not in ".!?:;" and line[0].islower()


def _sentences(line: str) -> Iterator[str]:
    """Split at sentence ends, but not within quotes and not after abbreviations."""
    if _ARROW.match(line):
        yield from _whole(line)
        return
    shade = _QUOTED.sub(lambda match: "_" * (len(match.group()) - 2) + match.group()[-2:], line)
    shade = _ABBREVIATION.sub(lambda match: "_" * len(match.group()), shade)
    at = 0
    for end in _END.finditer(shade):
        yield from _whole(line[at : end.end()])
        at = end.end()
    yield from _whole(line[at:])


def _whole(text: str) -> Iterator[str]:
    if any(char.isalnum() for char in text):
        yield text.strip()


def _kind(text: str, under: str, tools: Sequence[str], labels: Sequence[str]) -> ClauseKind:
    if _ARROW.match(text):
        return "example"
    if tools:
        return "tool"
    if _PROHIBITION.search(text):
        return "prohibition"
    if labels and (_LABEL.search(text) or _LABEL.search(under) or _owes(text) or _defines(text, labels)):
        return "label"
    if _FORMAT.search(text) and (_owes(text) or _LABEL.search(text)):
        return "format"
    if _SCOPE.search(text):
        return "scope"
    return "modal" if _owes(text) else "context"


def _owes(text: str) -> bool:
    return bool(_MODAL.search(text) or _ORDER.match(text[len(_lead(text)) :]))


def _lead(text: str) -> str:
    """Give the condition that a clause begins with, up to the comma after which it gives an order."""
    first = _LEAD.match(text)
    if first is None:
        return ""
    ends = [end.end() for end in _PART.finditer(text) if _ORDER.match(text[end.end() :])]
    return text[: ends[0]] if ends else first.group()


def _defines(text: str, labels: Sequence[str]) -> bool:
    head = text.partition(":")[0].strip(" \"'`*").lower()
    return head != text.strip().lower() and head in {label.lower() for label in labels}
