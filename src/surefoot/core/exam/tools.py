"""Checks of tool calls: called, not called, in order, with these arguments, not too often.

Only a clean execution satisfies an expectation. A call whose end nobody recorded makes the answer unknown where it
would have decided it, unless the check says `executed: false` and asks only what was requested. What must *not* be
called counts however the call ended: a forbidden call that was refused was still tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

from surefoot.core.exam.observed import ToolCall

Said = tuple[Literal["passed", "failed", "errored"], str]
Params = Mapping[str, object]
Calls = Sequence[ToolCall]


def _counted(params: Params, calls: Calls) -> list[ToolCall]:
    return [call for call in calls if call.state == "clean" or params.get("executed") is False]


def _unclear(params: Params, calls: Calls) -> list[ToolCall]:
    return [] if params.get("executed") is False else [call for call in calls if call.state == "unknown"]


def _called(value: object, params: Params, calls: Calls) -> Said:
    missing: list[str] = []
    for name in _names(value):
        if any(call.name == name for call in _counted(params, calls)):
            continue
        if any(call.name == name for call in _unclear(params, calls)):
            return "errored", f"nobody recorded whether {name} was carried out"
        missing.append(name)
    if not missing:
        return "passed", ""
    ends = {call.state for call in calls if call.name == missing[0]}
    return "failed", f"{missing[0]} was {', '.join(sorted(ends))}" if ends else f"{missing[0]} was not called"


def _not_called(value: object, _params: Params, calls: Calls) -> Said:
    names = set(_names(value))
    tried = [call for call in calls if call.name in names]
    return ("failed", f"{tried[0].name} was called ({tried[0].state})") if tried else ("passed", "")


def _order(value: object, params: Params, calls: Calls) -> Said:
    wanted = _names(value)
    if _in_order(wanted, _counted(params, calls)):
        return "passed", ""
    if _in_order(wanted, [call for call in calls if call.state in ("clean", "unknown")]):
        return "errored", "nobody recorded whether these calls were carried out"
    return "failed", f"not in the order {', '.join(wanted)}"


def _in_order(wanted: Sequence[str], calls: Calls) -> bool:
    rest = iter(call.name for call in calls)
    return all(name in rest for name in wanted)


def _args(value: object, params: Params, calls: Calls) -> Said:
    wanted = cast("Mapping[str, object]", value if isinstance(value, dict) else {})
    name, args = str(wanted.get("name", "")), cast("Mapping[str, object]", wanted.get("args") or {})
    if not name:
        return "errored", "tool_args needs a name and args"
    exact = params.get("match") == "exact"
    if any(fits(call, name, args, exact=exact) for call in _counted(params, calls)):
        return "passed", ""
    if any(fits(call, name, args, exact=exact) for call in _unclear(params, calls)):
        return "errored", f"nobody recorded whether {name} was carried out"
    close = [call for call in calls if call.name == name]
    return "failed", f"{name} was called with other arguments, or not cleanly" if close else f"{name} was not called"


def _most(value: object, _params: Params, calls: Calls) -> Said:
    most = int(cast("float", value))
    return ("passed", "") if len(calls) <= most else ("failed", f"{len(calls)} calls, more than {most}")


def _names(value: object) -> list[str]:
    found = [str(one) for one in cast("list[object]", value)] if isinstance(value, list) else [str(value)]
    if not found:
        raise ValueError("an empty list of tools says nothing")
    return found


def fits(call: ToolCall, name: str, args: Mapping[str, object], *, exact: bool = False) -> bool:
    """Say whether a call is of this tool with these arguments; others beside them only count if `exact`."""
    if call.name != name or (exact and set(call.args) != set(args)):
        return False
    return all(key in call.args and same(call.args[key], wanted) for key, wanted in args.items())


def same(one: object, other: object) -> bool:
    """Say whether two JSON values are equal; a truth value is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast("dict[str, object]", one), cast("dict[str, object]", other)
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        first, second = list(cast("list[object]", one)), list(cast("list[object]", other))
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return one == other


def expected_calls(wanted: Sequence[ToolCall], calls: Calls, *, additional: bool, executed: bool) -> Said:
    """Judge a case's expected calls: each needs a clean call of its own, and without `additional` there is no other.

    The matching is one to one (Kuhn's algorithm), so one call never satisfies two expectations.
    """
    params: Params = {} if executed else {"executed": False}
    clean, unclear = _counted(params, calls), _unclear(params, calls)
    matched = _matched(wanted, clean)
    if matched < len(wanted):
        if _matched(wanted, [*clean, *unclear]) == len(wanted):
            return "errored", "nobody recorded whether the expected calls were carried out"
        return "failed", f"{len(wanted) - matched} of {len(wanted)} expected calls were not carried out cleanly"
    names = {call.name for call in wanted}
    others = [call for call in calls if call.name not in names]  # also refused ones: they were tried
    if not additional and (others or len(clean) > len(wanted)):
        return "failed", f"{others[0].name} was called too" if others else f"{len(clean) - len(wanted)} calls too many"
    return "passed", ""


def _matched(wanted: Sequence[ToolCall], calls: Calls) -> int:
    taken: dict[int, int] = {}

    def placed(index: int, seen: set[int]) -> bool:
        for at, call in enumerate(calls):
            if at in seen or not fits(call, wanted[index].name, wanted[index].args):
                continue
            seen.add(at)
            if at not in taken or placed(taken[at], seen):
                taken[at] = index
                return True
        return False

    return sum(placed(index, set()) for index in range(len(wanted)))


TOOL_CHECKS: Mapping[str, Callable[[object, Params, Calls], Said]] = {
    "tool_called": _called, "tool_not_called": _not_called, "tool_order": _order, "tool_args": _args,
    "max_tool_calls": _most,
}  # fmt: skip
