"""Inspect's samples, JSON Lines or CSV: input, target, choices, id, metadata, setup.

Inspect keeps its scorers in Python, so the target says what is right but not how it is compared. One target becomes
`equals`, several become "one of these"; a note says so. With choices the input lists them and the target is a letter,
as Inspect's multiple choice does it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from string import ascii_uppercase

from surefoot.adapters.formats.foreign import (
    as_list,
    as_text,
    disabled,
    fields,
    messages,
    objects,
    row_from,
    unique,
    where,
)
from surefoot.adapters.formats.lines import Lined

_FIELDS = frozenset({"input", "target", "choices", "id", "metadata", "setup", "files", "sandbox"})


def suite_document(document: object, source: str) -> Mapping[str, object]:
    """Give a suite of ours."""
    samples = objects(document, source, "the samples")
    names = unique(str(sample.get("id") or f"sample-{number}") for number, sample in enumerate(samples, 1))
    notes = [
        "Inspect keeps its scorer in Python; a target is compared as a whole here: change it to contains if need be"
    ]
    rows = [
        _case(sample, name, where(source, sample, number), notes)
        for number, (sample, name) in enumerate(zip(samples, names, strict=True), 1)
    ]
    return {"cases": rows, "notes": list(dict.fromkeys(notes))}


def _case(sample: Mapping[str, object], name: str, place: str, notes: list[str]) -> Lined:
    asked, target = messages(_parsed(sample.get("input", "")), place), _parsed(sample.get("target"))
    choices = [as_text(one) for one in as_list(_parsed(sample.get("choices"))) if one != ""]
    if choices and isinstance(asked, str):
        letters = (f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
        asked = "\n".join([asked, "", *letters, "", "Answer with the letter alone."])
    checks: list[object] = [_target(target)] if target not in (None, "", []) else []
    needed = [field for field in ("setup", "files", "sandbox") if sample.get(field)]
    checks += [disabled(field, as_text(sample[field]), "needs Inspect's sandbox") for field in needed]
    strange = sorted(set(sample) - _FIELDS)
    if strange:
        notes.append(f"these fields are kept as tags: {', '.join(strange)}")
    extra = {**_object(_parsed(sample.get("metadata"))), **{field: sample[field] for field in strange}}
    return row_from(sample, {
        "id": name, "input": asked, "expected": as_text(target) if isinstance(target, str) else None, "checks": checks,
        "tags": [f"{key}:{as_text(value)}" for key, value in extra.items() if len(as_text(value)) <= 60],
        "provenance": f"inspect: {place}",
    })  # fmt: skip


def _target(target: object) -> object:
    several = [as_text(one) for one in as_list(target)]
    if len(several) == 1:
        return {"equals": several[0], "ignore_case": True}
    one_of = "|".join(re.escape(one.strip()) for one in several)
    return {"regex": rf"\A\s*(?:{one_of})\s*\Z", "ignore_case": True, "name": "one_of"}


def _parsed(value: object) -> object:
    """Read JSON that stands in a cell of a CSV, where it is a list or an object."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _object(value: object) -> Mapping[str, object]:
    return fields(value) or {}
