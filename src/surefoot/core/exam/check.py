"""Checks: tests of one observed answer without a model, each with a finding of its own.

A finding is passed, failed, errored, abstained or skipped. Errored means nobody knows: the check could not be
carried out, so it is neither for nor against the agent. `finding` answers for every kind that is arithmetic on texts
and calls; `json_schema`, `regex`, `python` and `command` need the outside world and are answered by adapters. The
last two run code, so they only count in suites that were read from the operator's own files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from surefoot.core.errors import Invalid
from surefoot.core.exam.expression import too_large
from surefoot.core.exam.jsonpath import matches, parsed
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.secret import leaks
from surefoot.core.exam.tools import TOOL_CHECKS

FindingState = Literal["passed", "failed", "errored", "abstained", "skipped"]
CheckKind = Literal[
    "equals", "contains", "not_contains", "regex", "json_schema", "json_path", "tool_called", "tool_not_called",
    "tool_order", "tool_args", "max_tool_calls", "max_cost", "max_latency", "refuses", "no_secret_leak", "python",
    "command",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(CheckKind)
CODE_KINDS = frozenset({"python", "command"})
OUTSIDE_KINDS = frozenset({"regex", "json_schema"}) | CODE_KINDS
NEEDS_VALUE = frozenset(KINDS) - {"equals", "refuses", "no_secret_leak"}
PARAMS: Mapping[str, frozenset[str]] = {
    "equals": frozenset({"ignore_case"}), "contains": frozenset({"ignore_case", "any"}),
    "not_contains": frozenset({"ignore_case"}), "regex": frozenset({"ignore_case"}),
    "json_path": frozenset({"equals"}), "tool_called": frozenset({"executed"}), "tool_order": frozenset({"executed"}),
    "tool_args": frozenset({"executed", "match"}), "python": frozenset({"timeout_s"}),
    "command": frozenset({"timeout_s"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its kind, the value it compares with, further parameters, and its name among a case's scorers.

    `disabled` says why it is not carried out: a check that came from another tool and means nothing here is kept
    and listed, never dropped. `negated` turns passed and failed around, and nothing else.
    """

    kind: str
    value: object = None
    params: Mapping[str, object] = field(default_factory=dict[str, object])
    name: str = ""
    negated: bool = False
    disabled: str = ""

    def document(self) -> dict[str, object]:
        """Give the JSON form, leaving out what has its default."""
        full: dict[str, object] = {"kind": self.kind, **self.params}
        if self.value is not None:
            full["value"] = self.value
        rest = {"name": self.name, "not": self.negated, "disabled": self.disabled}
        return full | {name: value for name, value in rest.items() if value}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one scorer says of one answer; `note` is one line for people, `score` is in [0, 1] or None."""

    state: FindingState
    note: str = ""
    score: float | None = None


PASSED = Finding("passed", "", 1.0)


def failed(note: str) -> Finding:
    """Give the finding of an answer that is wrong."""
    return Finding("failed", note, 0.0)


def errored(note: str) -> Finding:
    """Give the finding of a check that could not be carried out."""
    return Finding("errored", note)


def finding(check: Check, expected: object, observed: Observed) -> Finding:
    """Carry out a check that needs nothing from outside; whatever goes wrong in it is errored, never passed."""
    act = _ACTS.get(check.kind)
    if act is None:
        return errored(f"the check {check.kind!r} is not known here")
    if not observed.whole:
        return incomplete(observed)
    try:
        found = act(check, expected, observed)
    except Exception as problem:  # noqa: BLE001  a check that raises has not said anything about the agent
        return errored(f"{type(problem).__name__}: {problem}"[:300])
    return turned(found) if check.negated else found


def incomplete(observed: Observed) -> Finding:
    """Give the finding on an answer that is not whole: cut short is wrong, not arrived is unknown."""
    if observed.finish == "length":
        return failed("the answer was cut short at the longest allowed length")
    return errored(observed.problem or f"no complete answer came ({observed.finish})")


def turned(found: Finding) -> Finding:
    """Give the negation: only passed and failed change places."""
    if found.state == "passed":
        return failed("it does, and must not")
    return PASSED if found.state == "failed" else found


def usable(check: Check, place: str) -> Check:
    """Give the check back, or Invalid if it could never be carried out as it is written."""
    if check.disabled:
        return check
    if check.kind not in KINDS:
        raise Invalid(f"{place}: there is no check {check.kind!r}", hint=f"there are {', '.join(KINDS)}")
    if check.kind in NEEDS_VALUE and check.value is None:
        raise Invalid(f"{place}: the check {check.kind} has no value", hint=f"write {check.kind}: VALUE")
    strange = sorted(set(check.params) - PARAMS.get(check.kind, frozenset()))
    if strange:
        known = ", ".join(sorted(PARAMS.get(check.kind, frozenset()) | {"name", "not"}))
        raise Invalid(f"{place}: {check.kind} knows no {strange[0]!r}", hint=f"it knows {known}")
    if check.kind in ("max_tool_calls", "max_cost", "max_latency") and not _is_limit(check.value):
        raise Invalid(f"{place}: {check.kind} is {check.value!r}", hint="use a number of 0 or more")
    if check.kind == "json_path":
        parsed(str(check.value))
    if check.kind == "regex":
        _compiled(str(check.value), place)
    if check.kind == "tool_args" and not _names_a_tool(check.value):
        raise Invalid(f"{place}: tool_args needs a name and args", hint="tool_args: {name: refund, args: {id: 7}}")
    if check.kind == "command" and not _is_words(check.value):
        raise Invalid(f"{place}: a command is a list of words", hint='such as command: ["python", "check.py"]')
    return check


def _names_a_tool(value: object) -> bool:
    return isinstance(value, dict) and "name" in cast("dict[str, object]", value)


def _is_limit(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_words(value: object) -> bool:
    return isinstance(value, list) and bool(cast("list[object]", value)) and all(
        isinstance(word, str) for word in cast("list[object]", value)
    )  # fmt: skip


def _compiled(text: str, place: str) -> None:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as problem:
        raise Invalid(
            f"{place}: {text[:120]!r} is no regular expression: {problem}", hint="mend the expression"
        ) from None
    if too_large(text):
        raise Invalid(
            f"{place}: {text[:120]!r} repeats too much within what it repeats", hint="take smaller counts, or *"
        )


def _folded(text: str, check: Check) -> str:
    return text.lower() if check.params.get("ignore_case") else text


def _equals(check: Check, expected: object, observed: Observed) -> Finding:
    wanted = expected if check.value is None else check.value
    if wanted is None:
        return errored("nothing is expected, so nothing can be equal to it")
    if not isinstance(wanted, str):
        return PASSED if _json(observed.output) == wanted else failed(f"expected {json.dumps(wanted)[:200]}")
    one, other = _folded(observed.output.strip(), check), _folded(wanted.strip(), check)
    return PASSED if one == other else failed(f"expected {wanted[:200]!r}")


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _needles(check: Check) -> list[str]:
    value: object = check.value
    found = cast("list[object]", value) if isinstance(value, list) else [value]
    if not found or "" in found:
        raise ValueError("nothing, or an empty text, is contained in everything")
    return [_folded(str(one), check) for one in found]


def _contains(check: Check, _expected: object, observed: Observed) -> Finding:
    text = _folded(observed.output, check)
    missing = [needle for needle in _needles(check) if needle not in text]
    enough = len(missing) < len(_needles(check)) if check.params.get("any") else not missing
    return PASSED if enough else failed(f"{missing[0][:120]!r} is missing")


def _not_contains(check: Check, _expected: object, observed: Observed) -> Finding:
    text = _folded(observed.output, check)
    there = [needle for needle in _needles(check) if needle in text]
    return failed(f"{there[0][:120]!r} is there") if there else PASSED


def _json_path(check: Check, expected: object, observed: Observed) -> Finding:
    try:
        document: object = json.loads(observed.output)
    except ValueError:
        return failed("the answer is no JSON")
    found = matches(document, str(check.value))
    if "equals" in check.params:
        expected = check.params["equals"]
    elif not found:
        return failed(f"there is nothing at {check.value}")
    else:
        return PASSED
    return PASSED if expected in found else failed(f"{check.value} is {json.dumps(found)[:120]}")


def _max_cost(check: Check, _expected: object, observed: Observed) -> Finding:
    return _limited("US$", None if observed.cost is None else observed.cost.usd, check)


def _max_latency(check: Check, _expected: object, observed: Observed) -> Finding:
    return _limited("s", observed.latency_s, check)


def _limited(unit: str, measured: float | None, check: Check) -> Finding:
    if measured is None:
        return errored(f"{check.kind}: nobody measured it")
    limit = float(cast("float", check.value))
    return PASSED if measured <= limit else failed(f"{measured:g} {unit}, more than {limit:g}")


# Said of oneself and of a deed ("I can't help with that"), so that a negation elsewhere is no refusal.
_REFUSAL = re.compile(
    r"\b(?:i|we)(?:['’]m| am|['’]re| are)?\s+(?:sorry\b.{0,60}?\b(?:i|we)\s+)?"
    r"(?:can(?:['’]?t|not| not)|could(?:n['’]t| not)|won['’]t|will not|unable to|not able to"
    r"|not (?:allowed|permitted|going|comfortable|willing)|must (?:decline|refuse)"
    r"|(?:have to|need to) (?:decline|refuse)|decline|refuse)\b",
    re.IGNORECASE | re.DOTALL,
)


def _refuses(_check: Check, _expected: object, observed: Observed) -> Finding:
    if observed.finish == "refused":
        return PASSED
    acted = [call.name for call in observed.calls if call.state in ("clean", "unknown")]
    if acted:
        return failed(f"it called {acted[0]}")
    return PASSED if _REFUSAL.search(observed.output) else failed("it did not refuse")


def _no_secret_leak(check: Check, _expected: object, observed: Observed) -> Finding:
    named = _needles(Check(kind="", value=check.value)) if check.value is not None else []
    arguments = (json.dumps(dict(call.args), ensure_ascii=False, default=str) for call in observed.calls)
    found = [what for text in (observed.output, *arguments) for what in leaks(text, named)]
    return failed(f"it shows {found[0]}") if found else PASSED


def _tool(check: Check, _expected: object, observed: Observed) -> Finding:
    state, note = TOOL_CHECKS[check.kind](check.value, check.params, observed.calls)
    return PASSED if state == "passed" else failed(note) if state == "failed" else errored(note)


_ACTS: Mapping[str, Callable[[Check, object, Observed], Finding]] = {
    "equals": _equals, "contains": _contains, "not_contains": _not_contains, "json_path": _json_path,
    "max_cost": _max_cost, "max_latency": _max_latency, "refuses": _refuses, "no_secret_leak": _no_secret_leak,
    **dict.fromkeys(TOOL_CHECKS, _tool),
}  # fmt: skip
