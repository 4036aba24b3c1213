"""The improver's wire: a brief and a proposal as JSON, for improvers that are somebody else's program.

A brief goes out as one document; a proposal comes back as one text and is read strictly, from the outside in: its
length, its JSON, its fields, its edits, and what they cite. One wrong thing refuses the whole of it, since half a
proposal is not what its author meant. Who proposes and for which gap is not read but known, so nobody can sign for
another. Documented in docs/reference/improver-protocol.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any, TypeVar, cast

from surefoot.core.budget import Budget
from surefoot.core.edit import Edit
from surefoot.core.errors import Invalid
from surefoot.core.genome import Genome
from surefoot.core.proposal import Brief, Cost, Example, Proposal

_T = TypeVar("_T")
PROTOCOL = 1
LONGEST_PROPOSAL = 1_000_000
LONGEST_RATIONALE = 1000
MOST_EVIDENCE = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_HINT = "docs/reference/improver-protocol.md says what a proposal may hold"
_BOUNDS = ("max_edits", "rule_room", "example_room", "rule_chars")
_BRIEF = ("protocol", "agent", "genome", "gap", "title", "failures", "others", "labels", "tried", "lessons", "kinds",
          "model", *_BOUNDS, "budget")  # fmt: skip
_EXAMPLE = ("case_id", "input", "expected", "predicted", "feedback", "slices")
_EDIT = ("kind", "target", "text", "answer", "block_kind", "applies_to", "after", "gap", "evidence")
_COST = ("calls", "tokens", "usd")


def brief_document(brief: Brief, budget: Budget) -> dict[str, object]:
    """Give the JSON form of a brief with the budget it comes with."""
    return {
        "protocol": PROTOCOL, "agent": brief.agent, "genome": brief.genome.document(), "gap": brief.gap,
        "title": brief.title, "failures": [_example_document(one) for one in brief.failures],
        "others": [_example_document(one) for one in brief.others], "labels": list(brief.labels),
        "tried": sorted(brief.tried), "lessons": list(brief.lessons), "kinds": list(brief.kinds), "model": brief.model,
        **{name: getattr(brief, name) for name in _BOUNDS},
        "budget": {name: getattr(budget, name) for name in _COST},
    }  # fmt: skip


def _example_document(one: Example) -> dict[str, object]:
    texts: dict[str, object] = {name: getattr(one, name) for name in _EXAMPLE[:-1]}
    return texts | {"slices": dict(one.slices)}


def read_brief(text: str) -> tuple[Brief, Budget]:
    """Read the JSON text of `brief_document` back; Invalid for anything else."""
    given = _object(_parsed(text), _BRIEF, "the brief", needed=_BRIEF)
    _speaks(given, "the brief")
    limits = _object(given["budget"], _COST, "the budget", needed=_COST)
    brief = Brief(
        **cast("Any", {name: _text(given[name], name) for name in ("agent", "gap", "title", "model")}),
        **cast("Any", {name: _whole(given[name], name) for name in _BOUNDS}),
        **cast("Any", {name: _texts(given[name], name) for name in ("labels", "lessons", "kinds")}),
        tried=frozenset(_texts(given["tried"], "tried")),
        genome=Genome.from_document([_object(one, None, "a block") for one in _list(given["genome"], "genome")]),
        failures=tuple(_read_example(one) for one in _list(given["failures"], "failures")),
        others=tuple(_read_example(one) for one in _list(given["others"], "others")),
    )
    return brief, Budget(
        calls=_maybe(limits["calls"], "calls", _whole), tokens=_maybe(limits["tokens"], "tokens", _whole),
        usd=_maybe(limits["usd"], "usd", _number),
    )  # fmt: skip


def _read_example(value: object) -> Example:
    given = _object(value, _EXAMPLE, "an example", needed=_EXAMPLE)
    texts = {name: _text(given[name], name) for name in ("case_id", "input", "expected", "feedback")}
    slices = {name: _text(text, name) for name, text in _object(given["slices"], None, "slices").items()}
    return Example(**texts, predicted=_maybe(given["predicted"], "predicted", _text), slices=slices)


def proposal_document(proposal: Proposal) -> dict[str, object]:
    """Give the JSON form of a proposal; its author is left out, because the reader knows who was asked."""
    return {
        "protocol": PROTOCOL, "edits": [edit.document() for edit in proposal.edits], "rationale": proposal.rationale,
        "cost": {name: getattr(proposal.cost, name) for name in _COST},
    }  # fmt: skip


def read_proposal(text: str, *, improver: str, brief: Brief) -> Proposal:
    """Read what an improver answered to a brief; Invalid says why none of it is used.

    Refused are unknown or doubled fields, other types than the reference names, more edits than were asked for, texts
    longer than a rule may be, and evidence that was not shown. Whether an edit may be made is the guardrail's question.
    """
    if len(text) > LONGEST_PROPOSAL:
        raise _wrong(f"the proposal has {len(text)} characters, {LONGEST_PROPOSAL} are allowed")
    known = ("protocol", "edits", "rationale", "cost")
    given = _object(_parsed(text), known, "the proposal", needed=("protocol", "edits"))
    _speaks(given, "the proposal")
    edits = _list(given["edits"], "edits")
    if len(edits) > brief.max_edits:
        raise _wrong(f"the proposal holds {len(edits)} edits, {brief.max_edits} were asked for")
    shown = frozenset(one.case_id for one in (*brief.failures, *brief.others))
    return Proposal(
        improver=improver, edits=tuple(_read_edit(one, brief, shown) for one in edits),
        rationale=_line(_text(given.get("rationale", ""), "rationale")), cost=_read_cost(given.get("cost", {})),
    )  # fmt: skip


def _read_edit(value: object, brief: Brief, shown: frozenset[str]) -> Edit:
    given = _object(value, _EDIT, "an edit", needed=("kind", "target"))
    if given.get("gap", "") not in ("", brief.gap):
        raise _wrong(f"an edit answers the gap {str(given['gap'])[:60]!r}, which was not asked about")
    pairs = [_texts(pair, "applies_to") for pair in _list(given.get("applies_to", []), "applies_to")]
    if any(len(pair) != 2 for pair in pairs):
        raise _wrong("the field 'applies_to' must be a list of [slice, value] pairs")
    evidence = _texts(given.get("evidence", []), "evidence")
    if len(evidence) > MOST_EVIDENCE or not shown.issuperset(evidence):
        raise _wrong(f"an edit cites more than {MOST_EVIDENCE} cases, or one that was not shown")
    texts = {name: _text(text, name) for name, text in given.items() if name not in ("applies_to", "evidence")}
    edit = Edit.from_document({**texts, "applies_to": pairs, "evidence": list(evidence)})
    beside = [edit.target, edit.after, *(part for pair in pairs for part in pair)]
    longest = max(len(edit.text) + len(edit.answer), *(len(text) for text in beside))
    if longest > brief.rule_chars:
        raise _wrong(f"an edit has {longest} characters, {brief.rule_chars} are allowed")
    return replace(edit, gap=brief.gap)


def _read_cost(value: object) -> Cost:
    given = _object(value, _COST, "the cost")
    return Cost(
        calls=_whole(given.get("calls", 0), "calls"), tokens=_whole(given.get("tokens", 0), "tokens"),
        usd=_number(given.get("usd", 0.0), "usd"),
    )  # fmt: skip


def _line(text: str) -> str:
    return "".join(char for char in " ".join(text.split()) if char.isprintable())[:LONGEST_RATIONALE]


# JSON without surprises


def _parsed(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise _wrong("it is nested too deeply") from None
    except ValueError as error:
        raise _wrong(f"it is no JSON: {error}") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _wrong("a field is given twice")
    return found


def _no_constant(name: str) -> object:
    raise _wrong(f"{name} is no number")


def _object(
    value: object, known: Collection[str] | None, what: str, *, needed: Collection[str] = ()
) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _wrong(f"{what} must be an object")
    given = cast("dict[str, object]", value)
    for name in given:
        _text(name, "the name of a field")
    if known is not None and (unknown := sorted(given.keys() - set(known))):
        raise _wrong(f"{what} has the unknown field {unknown[0][:60]!r}")
    if missing := [name for name in needed if name not in given]:
        raise _wrong(f"{what} lacks the field {missing[0]!r}")
    return given


def _speaks(given: Mapping[str, object], what: str) -> None:
    version = _whole(given["protocol"], "protocol")
    if version != PROTOCOL:
        raise _wrong(f"{what} speaks protocol {version}, and this is protocol {PROTOCOL}")


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise _wrong(f"the field {name!r} must be a list")
    return cast("list[object]", value)


def _texts(value: object, name: str) -> tuple[str, ...]:
    return tuple(_text(one, name) for one in _list(value, name))


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise _wrong(f"the field {name!r} must be text")
    if _SURROGATE.search(value):
        raise _wrong(f"the field {name!r} holds text that is not valid Unicode")
    return value


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise _wrong(f"the field {name!r} must be a whole number, not negative")
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53 or not isfinite(value):
        raise _wrong(f"the field {name!r} must be a number, not negative")
    return float(value)


def _maybe(value: object, name: str, read: Callable[[object, str], _T]) -> _T | None:
    return None if value is None else read(value, name)


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, hint=_HINT)
