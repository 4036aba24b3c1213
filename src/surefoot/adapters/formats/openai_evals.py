"""OpenAI evals' JSON Lines: `input` as chat messages, and `ideal`, a text or several of which one must match.

Its basic `match` asks whether the answer begins with an ideal one, so that is what the check asks. Samples of its
model-graded evals have no ideal: they arrive without a check and are errored until somebody writes one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from surefoot.adapters.formats.foreign import as_list, as_text, messages, objects, row_from, unique, where
from surefoot.adapters.formats.lines import Lined

_FIELDS = frozenset({"input", "ideal", "id", "metadata"})


def suite_document(document: object, source: str) -> Mapping[str, object]:
    """Give a suite of ours."""
    samples = objects(document, source, "the samples")
    names = unique(str(sample.get("id") or f"sample-{number}") for number, sample in enumerate(samples, 1))
    notes = ["an answer must begin with an ideal one, as OpenAI's match does it; includes and fuzzy match are looser"]
    if any(not as_list(sample.get("ideal")) for sample in samples):
        notes.append("samples without an ideal have no check: they are errored until one is written")
    rows = [
        _case(sample, name, where(source, sample, number))
        for number, (sample, name) in enumerate(zip(samples, names, strict=True), 1)
    ]
    return {"cases": rows, "notes": notes}


def _case(sample: Mapping[str, object], name: str, place: str) -> Lined:
    ideals = [as_text(one) for one in as_list(sample.get("ideal")) if as_text(one).strip()]
    one_of = "|".join(re.escape(one.strip()) for one in ideals)
    return row_from(sample, {
        "id": name, "input": messages(sample.get("input", ""), place), "expected": ideals[0] if ideals else None,
        "checks": [{"regex": rf"\A\s*(?:{one_of})", "name": "match"}] if ideals else [],
        "tags": [f"{key}:{as_text(value)}" for key, value in sample.items() if key not in _FIELDS],
        "provenance": f"openai-evals: {place}",
    })  # fmt: skip
