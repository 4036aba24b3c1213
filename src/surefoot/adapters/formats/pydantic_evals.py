"""pydantic-evals' YAML: cases with inputs, expected_output, metadata and evaluators, and evaluators of the data set.

`EqualsExpected`, `Equals`, `Contains`, `MaxDuration` and `LLMJudge` have counterparts here. Types, spans and the
evaluators that somebody wrote in Python do not, and are kept, disabled.
"""

from __future__ import annotations

from collections.abc import Mapping

from surefoot.adapters.formats.foreign import (
    as_list,
    as_text,
    disabled,
    fields,
    mapping,
    objects,
    row_from,
    unique,
    where,
)
from surefoot.adapters.formats.lines import Lined


def suite_document(document: object, source: str) -> Mapping[str, object]:
    """Give a suite of ours."""
    head = mapping(document, source, "the file")
    cases = objects(head.get("cases"), source, "cases")
    names = unique(str(case.get("name") or f"case-{number}") for number, case in enumerate(cases, 1))
    shared, notes = as_list(head.get("evaluators")), list[str]()
    for field in ("report_evaluators",):
        if head.get(field):
            notes.append(f"{field} are not carried over")
    rows = [
        _case(case, shared, name, where(source, case, number), notes)
        for number, (case, name) in enumerate(zip(cases, names, strict=True), 1)
    ]
    return {"suite": str(head.get("name") or source.split(".")[0]), "cases": rows, "notes": list(dict.fromkeys(notes))}


def _case(case: Mapping[str, object], shared: list[object], name: str, place: str, notes: list[str]) -> Lined:
    checks: list[object] = []
    criteria: list[str] = []
    for one in [*shared, *as_list(case.get("evaluators"))]:
        kind, given = _evaluator(one)
        made = _check(kind, given, case, notes)
        if isinstance(made, str):
            criteria.append(made)
        elif made is not None:
            checks.append(made)
    meta = case.get("metadata")
    extra = fields(meta) or ({"metadata": meta} if meta else {})
    return row_from(case, {
        "id": name, "input": _input(case.get("inputs", "")), "expected": case.get("expected_output"), "checks": checks,
        "criteria": list(dict.fromkeys(criteria)),
        "tags": [f"{key}:{as_text(value)}" for key, value in extra.items() if len(as_text(value)) <= 60],
        "provenance": f"pydantic-evals: {place}",
    })  # fmt: skip


def _input(inputs: object) -> str:
    """Give the text of an input; of an object with one field that field."""
    given = [value for value in (fields(inputs) or {}).values() if value is not None]
    return given[0] if len(given) == 1 and isinstance(given[0], str) else as_text(inputs)


def _evaluator(one: object) -> tuple[str, object]:
    """Read the three short forms: a name, a name with its one argument, a name with arguments."""
    if isinstance(one, str):
        return one, None
    row = mapping(one, "", "an evaluator")
    if isinstance(row.get("name"), str) and "arguments" in row:
        return str(row["name"]), row["arguments"]
    return next(iter(row.items()), ("", None))


def _check(kind: str, given: object, case: Mapping[str, object], notes: list[str]) -> dict[str, object] | str | None:
    args = fields(given) or {}
    value = args.get("value", given) if args else given
    match kind:
        case "EqualsExpected":
            return {"kind": "equals"} if case.get("expected_output") is not None else None
        case "Equals" if value is not None:
            return {"kind": "equals", "value": value}
        case "Contains" if value is not None and not args.get("as_strings"):
            return {"contains": value if isinstance(value, list) else as_text(value),
                    "ignore_case": args.get("case_sensitive") is False}  # fmt: skip
        case "MaxDuration":
            seconds = args.get("seconds", given)
            return {"max_latency": seconds} if isinstance(seconds, int | float) else disabled(kind, given, "no number")
        case "LLMJudge":
            if set(args) - {"rubric"}:
                notes.append(
                    "a judge sees input, expectation and trace here; model and options of LLMJudge are dropped"
                )
            rubric = args.get("rubric", given)
            return as_text(rubric) if rubric else disabled(kind, given, "has no rubric")
        case _:
            return disabled(kind, given, "there is no such check here")
