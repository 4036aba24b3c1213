"""Suites from JSON-shaped documents: the native form, read strictly, because a misspelt field would test nothing.

A check is a bare kind (`equals`), a kind with its value (`contains: refund`), or that with parameters beside it
(`{contains: [a, b], any: true}`). Every refusal names the place: file, line and case, as far as they are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from surefoot.core.errors import Invalid
from surefoot.core.exam.check import KINDS, Check
from surefoot.core.exam.observed import ToolCall, call_from
from surefoot.core.exam.suite import TIMEOUT_S, Message, Origin, Severity, Suite, SuiteCase, case_of, suite_of

Place = Callable[[object], str]
_CASE = frozenset({
    "id", "input", "expected", "criteria", "checks", "expected_tool_calls", "allow_additional_tool_calls", "executed",
    "tags", "severity", "split", "slice", "setup", "teardown", "timeout_s", "epochs", "threshold", "provenance",
    "draft",
})  # fmt: skip
_SUITE = frozenset({"suite", "min_pass", "max_errored", "defaults", "cases", "notes"})
_DEFAULTS = _CASE - {"id", "input", "expected", "provenance", "draft"}
_ROLES = ("system", "user", "assistant", "tool")


def suite_from(document: object, *, name: str, origin: Origin, root: str = "", place: Place = lambda _: "") -> Suite:
    """Read a suite; `place` gives the place of a part of the document, for messages."""
    here = place(document) or name
    head = cast("dict[str, object]", document) if isinstance(document, dict) else {"cases": document}
    _known(head, _SUITE, here)
    rows = head.get("cases")
    if not isinstance(rows, list) or not rows:
        raise Invalid(f"{here}: there is no list of cases", hint="write cases: with one entry each")
    defaults = _object(head.get("defaults", {}), here, "defaults")
    _known(defaults, _DEFAULTS, place(defaults) or name)
    cases = tuple(
        case_from(_object(row, place(row) or name, "a case"), place(row) or f"{name}, case {number}",
                  origin=origin, defaults=defaults)
        for number, row in enumerate(cast("list[object]", rows), 1)
    )  # fmt: skip
    return suite_of(Suite(
        name=str(head.get("suite", name)), cases=cases, origin=origin, root=root,
        min_pass=_number(head.get("min_pass", 1.0), here, "min_pass"),
        max_errored=_number(head.get("max_errored", 0.1), here, "max_errored"),
        notes=tuple(_texts(head.get("notes", []), name, "notes")),
    ))  # fmt: skip


def case_from(
    row: Mapping[str, object], place: str, *, origin: Origin, defaults: Mapping[str, object] | None = None
) -> SuiteCase:
    """Read one case; checks, criteria and tags of `defaults` are added to its own, the rest fills what it lacks."""
    _known(row, _CASE, place)
    usual = defaults or {}
    both = {**usual, **row}
    for name in ("checks", "criteria", "tags"):
        both[name] = [*_list(usual.get(name, []), place, name), *_list(row.get(name, []), place, name)]
    severity = both.get("severity", "should")
    return case_of(SuiteCase(
        id=_text(both.get("id", ""), place, "id"), input=_messages(both.get("input"), place),
        expected=both.get("expected"), criteria=tuple(_texts(both["criteria"], place, "criteria")),
        checks=tuple(check_from(one, place) for one in _list(both["checks"], place, "checks")),
        expected_tool_calls=tuple(_call(c, place) for c in _list(both.get("expected_tool_calls", []), place, "calls")),
        allow_additional_tool_calls=_flag(both.get("allow_additional_tool_calls", True), place),
        executed=_flag(both.get("executed", True), place), draft=_flag(both.get("draft", False), place),
        tags=tuple(dict.fromkeys(_texts(both["tags"], place, "tags"))), severity=cast("Severity", severity),
        split=_text(both.get("split", ""), place, "split"),
        slice={k: str(v) for k, v in _object(both.get("slice", {}), place, "slice").items()},
        setup=tuple(_texts(both.get("setup", []), place, "setup")),
        teardown=tuple(_texts(both.get("teardown", []), place, "teardown")),
        timeout_s=_number(both.get("timeout_s", TIMEOUT_S), place, "timeout_s"),
        epochs=int(_number(both.get("epochs", 1), place, "epochs")),
        threshold=_number(both.get("threshold", 1.0), place, "threshold"),
        provenance=_text(both.get("provenance", ""), place, "provenance"),
    ), place, origin=origin)  # fmt: skip


def check_from(one: object, place: str) -> Check:
    """Read one check in any of its three forms."""
    if isinstance(one, str):
        return Check(kind=one)
    row = dict(_object(one, place, "a check"))
    name, negated = str(row.pop("name", "")), _flag(row.pop("not", False), place)
    disabled = str(row.pop("disabled", ""))
    kind = row.pop("kind", None)
    if kind is None:
        kinds = [key for key in row if key in KINDS]
        if len(kinds) != 1:
            raise Invalid(
                f"{place}: {sorted(row)} is no check", hint=f"write one of {', '.join(KINDS)}, with its value"
            )
        kind, value = kinds[0], row.pop(kinds[0])
    else:
        value = row.pop("value", None)
    return Check(kind=str(kind), value=value, params=row, name=name, negated=negated, disabled=disabled)


def _call(one: object, place: str) -> ToolCall:
    return call_from(one, f"{place}, expected_tool_calls")


def _messages(given: object, place: str) -> tuple[Message, ...]:
    if isinstance(given, str):
        return (Message(role="user", content=given),)
    if not isinstance(given, list) or not given:
        raise Invalid(f"{place}: the input is neither a text nor a list of messages",
                      hint="put a text in quotes, or list messages with role and content")  # fmt: skip
    return tuple(_message(_object(one, place, "a message"), place) for one in cast("list[object]", given))


def _message(row: Mapping[str, object], place: str) -> Message:
    role, content = row.get("role"), row.get("content")
    if role not in _ROLES or not isinstance(content, str) or set(row) > {"role", "content"}:
        raise Invalid(f"{place}: a message needs a role ({', '.join(_ROLES)}) and a content that is text",
                      hint="such as {role: user, content: …}")  # fmt: skip
    return Message(role=role, content=content)


def _known(row: Mapping[str, object], names: frozenset[str], place: str) -> None:
    strange = [name for name in row if name not in names]
    if strange:
        raise Invalid(f"{place}: there is no field {strange[0]!r}", hint=f"there are {', '.join(sorted(names))}")


def _object(value: object, place: str, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict) or any(not isinstance(name, str) for name in cast("dict[object, object]", value)):
        raise Invalid(f"{place}: {what} is no object", hint="write names with their values")
    return cast("dict[str, object]", value)


def _list(value: object, place: str, what: str) -> list[object]:
    if isinstance(value, list):
        return cast("list[object]", value)
    raise Invalid(f"{place}: {what} is no list", hint=f"write {what}: [...]")


def _texts(value: object, place: str, what: str) -> Sequence[str]:
    return [_text(one, place, what) for one in _list(value, place, what)]


def _text(value: object, place: str, what: str) -> str:
    if isinstance(value, str):
        return value
    raise Invalid(f"{place}: {what} holds {value!r}, which is no text", hint="put it in quotes")


def _flag(value: object, place: str) -> bool:
    if isinstance(value, bool):
        return value
    raise Invalid(f"{place}: {value!r} is neither true nor false", hint="write true or false")


def _number(value: object, place: str, what: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise Invalid(f"{place}: {what} is {value!r}, which is no number", hint="write a number")
