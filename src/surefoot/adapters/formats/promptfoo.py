"""promptfoo's YAML: tests with vars and assertions.

The input is the first prompt with its `{{vars}}` filled in; further prompts, providers and transformations belong to
the subject, not to the suite, and are noted. `llm-rubric` and its kin become criteria. What would run JavaScript or
Python, call a service, or measure something we do not measure is kept, disabled.
"""

from __future__ import annotations

import re
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

_VARIABLE = re.compile(r"\{\{-?\s*([\w.]+)\s*(\|[^}]*)?-?\}\}")
_PLAIN = {"equals": "equals", "contains": "contains", "regex": "regex"}
_RUBRICS = frozenset({"llm-rubric", "model-graded-closedqa", "g-eval", "factuality", "model-graded-factuality"})
_INPUTS = ("input", "question", "message", "query", "prompt", "text", "user_input")


def suite_document(document: object, source: str) -> Mapping[str, object]:
    """Give a suite of ours."""
    head = fields(document) or {"tests": document}
    notes: list[str] = []
    prompt = _prompt(head, notes)
    usual = mapping(head.get("defaultTest"), source, "defaultTest")
    if isinstance(head.get("tests"), str):
        notes.append(f"tests are in {head['tests']}, which is not read: import that file")
    lost = ("scenarios", "redteam", "extensions", "transform")
    notes += [f"{name} is not carried over" for name in lost if name in head]
    tests = objects([] if isinstance(head.get("tests"), str) else head.get("tests", []), source, "tests")
    named = [str(test.get("description") or f"test-{number}") for number, test in enumerate(tests, 1)]
    rows = [
        _case(test, usual, prompt, name, where(source, test, number), notes)
        for number, (test, name) in enumerate(zip(tests, unique(named), strict=True), 1)
    ]
    return {"cases": rows, "notes": list(dict.fromkeys(notes))}


def _prompt(head: Mapping[str, object], notes: list[str]) -> str:
    prompts = as_list(head.get("prompts"))
    if len(prompts) > 1:
        notes.append(f"the input is the first of {len(prompts)} prompts; run the others as versions")
    first = prompts[0] if prompts else ""
    text = first if isinstance(first, str) else as_text(mapping(first, "", "a prompt").get("raw", ""))
    if text.startswith("file://") or text.endswith((".txt", ".json", ".py", ".js")):
        notes.append(f"the prompt is in {text}, which is not read: the input is the test's variables")
        return ""
    return text


def _case(
    test: Mapping[str, object], usual: Mapping[str, object], prompt: str, name: str, place: str, notes: list[str]
) -> Lined:
    given = {**mapping(usual.get("vars"), place, "vars"), **mapping(test.get("vars"), place, "vars")}
    checks: list[object] = []
    criteria: list[str] = []
    for one in [*_flat(usual.get("assert")), *_flat(test.get("assert"))]:
        made = _assertion(mapping(one, place, "an assertion"), given)
        if isinstance(made, str):
            criteria.append(made)
        else:
            checks.append(made)
    lost = [name for name in ("threshold", "options", "provider") if name in test or name in usual]
    notes += [f"{name} of a test is not carried over: every check must pass" for name in lost]
    tags = [f"{k}:{as_text(v)}" for k, v in mapping(test.get("metadata"), place, "metadata").items()]
    return row_from(test, {
        "id": name, "input": _input(prompt, given), "checks": checks, "criteria": list(dict.fromkeys(criteria)),
        "tags": tags, "provenance": f"promptfoo: {place}",
    })  # fmt: skip


def _flat(given: object) -> list[object]:
    """Give the assertions, with sets of them opened (each of a set must pass here)."""
    found: list[object] = []
    for one in as_list(given):
        inner = fields(one) or {}
        found += as_list(inner.get("assert")) if inner.get("type") == "assert-set" else [one]
    return found


def _filled(text: str, given: Mapping[str, object]) -> str:
    return _VARIABLE.sub(lambda found: as_text(given[found[1]]) if found[1] in given else found[0], text)


def _input(prompt: str, given: Mapping[str, object]) -> str:
    if prompt and _VARIABLE.search(prompt):
        return _filled(_filled(prompt, given), given)  # a variable may name another
    for name in _INPUTS:
        if name in given:
            return as_text(given[name])
    texts = [as_text(value) for value in given.values()]
    if len(texts) == 1:
        return texts[0]
    return "\n".join(f"{name}: {as_text(value)}" for name, value in given.items()) or prompt


def _assertion(one: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object] | str:
    """Give a check of ours, or a criterion as a text."""
    kind = str(one.get("type", ""))
    plain, negated = kind.removeprefix("not-"), kind.startswith("not-")
    value = one.get("value")
    value = _filled(value, given) if isinstance(value, str) else value
    outside = isinstance(value, str) and value.startswith("file://")
    if "transform" in one or outside:
        return disabled(kind, value, "needs a file or a transformation that is not carried over", **_rest(one))
    if plain in _RUBRICS and not negated:
        return as_text(value) if value is not None else disabled(kind, value, "has no rubric")
    made = _check(plain, value, one)
    if made is None:
        return disabled(kind, value, "there is no such check here", **_rest(one))
    return made | {"not": True} if negated else made


def _check(plain: str, value: object, one: Mapping[str, object]) -> dict[str, object] | None:
    match plain:
        case "equals" | "contains" | "regex" if value is not None:
            return {_PLAIN[plain]: value}
        case "icontains" if value is not None:
            return {"contains": value, "ignore_case": True}
        case "contains-all" | "icontains-all" if value is not None:
            return {"contains": _several(value), "ignore_case": plain.startswith("i")}
        case "contains-any" | "icontains-any" if value is not None:
            return {"contains": _several(value), "any": True, "ignore_case": plain.startswith("i")}
        case "starts-with" if value is not None:
            return {"regex": rf"\A{re.escape(as_text(value))}"}
        case "is-json":
            return {"json_schema": value if isinstance(value, dict) else {}}
        case "is-refusal":
            return {"kind": "refuses"}
        case "cost" if isinstance(one.get("threshold"), int | float):
            return {"max_cost": one["threshold"]}
        case "latency" if isinstance(one.get("threshold"), int | float):
            return {"max_latency": float(str(one["threshold"])) / 1000}
        case _:
            return None


def _several(value: object) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [as_text(part) for part in as_list(value)]


def _rest(one: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in one.items() if name not in ("type", "value")}
