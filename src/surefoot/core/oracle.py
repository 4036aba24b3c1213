"""The oracle: what a promise lets a check demand of every answer, without a model.

Only what a clause says in so many words becomes a check: a bound on words, sentences or lines, JSON and its keys,
words in quotes that must or must never be said, how an answer begins or ends, one of the labels. A clause that holds
only sometimes demands nothing in general. Where no check can be read off, the promise itself is the criterion, and a
judge has to read the answer (S4-07). Expressions never take a step back (`++`, `*+`), so no answer makes them slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from surefoot.core.clauses import Clause
from surefoot.core.exam.check import Check

_NUMBERS = {"one": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}
_AMOUNT = r"(?P<n>\d{1,5}|one|a single|two|three|four|five|six|ten)"
_MOST = re.compile(
    rf"\b(?:at most|up to|no more than|not more than|never more than|no longer than|not exceed|maximum of|max(?:imum)?|"
    rf"within|in|exactly|only|with) {_AMOUNT} (?:short |single |simple )?(?P<unit>words?|sentences?|characters?|"
    rf"lines?)\b|\b(?P<below>under|fewer than|less than|below) (?P<m>\d{{1,5}}) (?P<unit2>words?|sentences?|"
    rf"characters?|lines?)\b",
    re.IGNORECASE,
)
_QUOTE = r"[\"“`](?P<words>[^\"”`\n]{1,200})[\"”`]"
_NEVER_SAYS = re.compile(
    rf"\b(?:never|do not|don['’]t|must not|may not|avoid)\b[^.;]{{0,30}}?\b(?:say|saying|use|using|write|writing|"
    rf"mention|mentioning|include|including|output|answer with|reply with|call (?:it|them|us|anyone))\b[^\".;]{{0,40}}"
    rf"{_QUOTE}",
    re.IGNORECASE,
)
_ALWAYS_SAYS = re.compile(
    rf"\b(?:include|mention|say|contain|use)s?\b[^\".;]{{0,40}}{_QUOTE}", re.IGNORECASE
)  # fmt: skip
_BEGINS = re.compile(rf"\b(?:begin|start|open)s?\b[^\".;]{{0,40}}\bwith\b[^\".;]{{0,30}}{_QUOTE}", re.IGNORECASE)
_ENDS = re.compile(rf"\b(?:end|finish|close|sign off)s?\b[^\".;]{{0,40}}\bwith\b[^\".;]{{0,30}}{_QUOTE}", re.IGNORECASE)
_JSON = re.compile(r"\b(?:answer|reply|respond|return|output|give|write|produce|format)\w*\b[^.;]{0,60}\bjson\b",
                   re.IGNORECASE)  # fmt: skip
_KEYS = re.compile(r"\b(?:keys?|fields?|propert(?:y|ies))\b(?P<rest>[^.;]{1,200})", re.IGNORECASE)
_KEY = re.compile(r"[\"“`']([A-Za-z_][\w-]{0,60})[\"”`']")
_UPPER = re.compile(r"\b(?:in|only|all) (?:upper ?case|capitals?|capital letters)\b", re.IGNORECASE)
_LOWER = re.compile(r"\b(?:in|only|all) lower ?case\b", re.IGNORECASE)
_ONE_LABEL = re.compile(
    r"\b(?:exactly|only|just|nothing but)?\s?(?:one|a|the) (?:single )?(?:label|category|class|intent)\b[^.;]{0,20}$"
    r"|\b(?:label set|one of (?:the|these) (?:labels|categories|classes|intents))\b|\blabel (?:alone|only)\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:never|not|don['’]t|avoid|no)\b", re.IGNORECASE)


def demands(clause: Clause, labels: Sequence[str] = ()) -> tuple[Check, ...]:
    """Give the checks that every answer must pass if the clause is kept; none where it cannot be read off."""
    if clause.conditional or clause.kind in ("example", "context"):
        return ()
    return tuple(check for rule in _RULES for check in rule(clause, labels))


def standing_demands(found: Sequence[Clause], labels: Sequence[str] = ()) -> tuple[Check, ...]:
    """Give the checks that hold for every answer under these instructions, each once."""
    seen: dict[str, Check] = {}
    for clause in found:
        for check in demands(clause, labels):
            seen.setdefault(repr((check.kind, check.value, check.negated)), check)
    return tuple(seen.values())


def one_of(labels: Sequence[str]) -> Check:
    """Give the check that an answer is one of the labels and nothing else."""
    names = "|".join(re.escape(label) for label in labels)
    return Check(kind="regex", value=rf"\A\s*+(?:{names})\s*+\Z", params={"ignore_case": True}, name="one-label")


def criterion(clause: Clause) -> str:
    """Give what a judge is asked where no check can tell."""
    return f"The answer keeps this promise of the agent's instructions: {clause.text}"


def _limits(clause: Clause, _labels: Sequence[str]) -> list[Check]:
    match = _MOST.search(clause.text)
    if match is None:
        return []
    unit = (match["unit"] or match["unit2"]).lower().rstrip("s")
    said = (match["n"] or match["m"]).lower()
    most = _NUMBERS.get(said) or int(said if said.isdecimal() else 0)
    most -= match["below"] is not None
    if most < 1:
        return []
    name = f"at-most-{most}-{unit}s"
    if unit == "word":
        return [Check(kind="regex", value=rf"\A\s*+(?:\S++\s++){{0,{most - 1}}}+\S*+\s*+\Z", name=name)]
    if unit == "character":
        return [Check(kind="regex", value=rf"(?s)\A.{{0,{most}}}\Z", name=name)]
    if unit == "line":
        return [Check(kind="regex", value=rf"\A\s*+[^\n]*+(?:\n[^\n]*+){{0,{most - 1}}}+\s*+\Z", name=name)]
    sentence = r"(?:[^.!?]|[.!?](?!\s|\Z))*+[.!?](?:\s|\Z)"
    return [Check(kind="regex", value=rf"\A(?:{sentence}){{{most}}}+\s*+\S", name=name, negated=True)]


def _sayings(clause: Clause, _labels: Sequence[str]) -> list[Check]:
    text = clause.text
    if match := _NEVER_SAYS.search(text):
        return [Check(kind="not_contains", value=match["words"], params={"ignore_case": True}, name="never-says")]
    if _NEGATED.search(text):
        return []
    if match := _BEGINS.search(text):
        return [Check(kind="regex", value=rf"\A\s*+{re.escape(match['words'])}", name="begins-with")]
    if match := _ENDS.search(text):
        return [Check(kind="regex", value=rf"{re.escape(match['words'])}\s*+\Z", name="ends-with")]
    if match := _ALWAYS_SAYS.search(text):
        return [Check(kind="contains", value=match["words"], params={"ignore_case": True}, name="always-says")]
    return []


def _shapes(clause: Clause, _labels: Sequence[str]) -> list[Check]:
    text, found = clause.text, list[Check]()
    if _NEGATED.search(text):
        return found
    if _JSON.search(text):
        keys = _KEY.findall(match["rest"]) if (match := _KEYS.search(text)) else []
        found += [Check(kind="json_path", value=f"$.{key}", name=f"json-{key}") for key in keys]
        found += [] if keys else [Check(kind="json_path", value="$", name="json")]
    if _UPPER.search(text):
        found.append(Check(kind="regex", value=r"\A[^a-z]*\Z", name="upper-case"))
    if _LOWER.search(text):
        found.append(Check(kind="regex", value=r"\A[^A-Z]*\Z", name="lower-case"))
    return found


def _labelled(clause: Clause, labels: Sequence[str]) -> list[Check]:
    return [one_of(labels)] if labels and _ONE_LABEL.search(clause.text.rstrip(".! ")) else []


_RULES: tuple[Callable[[Clause, Sequence[str]], list[Check]], ...] = (_limits, _sayings, _shapes, _labelled)
