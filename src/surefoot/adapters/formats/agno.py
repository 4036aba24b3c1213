"""Agno's cases as data: input, expected_output, criteria, expected_tool_calls, allow_additional_tool_calls.

Its accuracy evals let a model compare answer and expectation, so `expected_output` becomes a criterion unless the
case has criteria of its own. Tool calls are named there without arguments, and here too any arguments will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from surefoot.adapters.formats.foreign import as_list, as_text, disabled, fields, messages, objects, row_from, unique
from surefoot.adapters.formats.foreign import where as placed
from surefoot.adapters.formats.lines import Lined

_FIELDS = frozenset({
    "id", "name", "input", "expected_output", "criteria", "expected_tool_calls", "allow_additional_tool_calls", "tags",
    "additional_guidelines", "num_iterations", "description",
})  # fmt: skip


def suite_document(document: object, source: str) -> Mapping[str, object]:
    """Give a suite of ours."""
    rows = cast("Mapping[str, object]", document).get("cases") if isinstance(document, dict) else document
    cases = objects(rows, source, "cases")
    names = unique(str(c.get("id") or c.get("name") or f"case-{number}") for number, c in enumerate(cases, 1))
    made = [
        _case(case, name, placed(source, case, number))
        for number, (case, name) in enumerate(zip(cases, names, strict=True), 1)
    ]
    return {"cases": made, "notes": ["expected_output is compared by a judge, as Agno does it: name one with --judge"]}


def _case(case: Mapping[str, object], name: str, place: str) -> Lined:
    criteria = [as_text(one) for one in as_list(case.get("criteria"))]
    expected = case.get("expected_output")
    if expected is not None and not criteria:
        criteria = ["The answer says the same as the right answer."]
    criteria += [as_text(one) for one in as_list(case.get("additional_guidelines"))]
    calls = [fields(one) or {"name": as_text(one)} for one in as_list(case.get("expected_tool_calls"))]
    strange = [disabled(field, case[field], "there is no such check here") for field in case if field not in _FIELDS]
    return row_from(case, {
        "id": name, "input": messages(case.get("input", ""), place), "expected": expected, "criteria": criteria,
        "expected_tool_calls": calls, "checks": strange, "tags": [as_text(tag) for tag in as_list(case.get("tags"))],
        "allow_additional_tool_calls": bool(case.get("allow_additional_tool_calls", True)),
        "epochs": case.get("num_iterations"), "provenance": f"agno: {place}",
    })  # fmt: skip
