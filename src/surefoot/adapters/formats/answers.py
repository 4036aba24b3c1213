"""Answers that were recorded elsewhere, as JSON Lines: `case_id`, `output`, and if known `tool_calls`, `trial`, costs.

Several lines of one case are its trials, in the order of `trial` or of the file. With `variant` only its lines count.
"""

from __future__ import annotations

from pathlib import Path

from surefoot.adapters.exam.subjects import RecordedSubject, observed_from
from surefoot.adapters.formats.lines import place_in, read_lines, text_of
from surefoot.core.errors import Invalid
from surefoot.core.exam.observed import Observed


def recorded_subject(path: Path, variant: str = "") -> RecordedSubject:
    """Read a recording; Invalid names the line that is none."""
    found: dict[str, list[tuple[int, Observed]]] = {}
    variants: set[str] = set()
    for row in read_lines(text_of(path), path.name):
        place = place_in(path.name, row)
        case = row.get("case_id", row.get("id"))
        if not isinstance(case, str) or not case:
            raise Invalid(f"{place}: there is no case_id", hint="each line has case_id and output")
        variants.add(str(row.get("variant", "")))
        if variant and row.get("variant") != variant:
            continue
        trials = found.setdefault(case, [])
        trial = row.get("trial", len(trials))
        trials.append((trial if isinstance(trial, int) else len(trials), observed_from(row, place)))
    if not variant and len(variants) > 1:
        raise Invalid(f"{path.name} holds several variants", hint=f"choose one: {', '.join(sorted(variants))}")
    if not found:
        raise Invalid(f"{path.name} holds no answers{f' of {variant!r}' if variant else ''}", hint="look at the file")
    ordered = {case: [seen for _, seen in sorted(trials, key=lambda t: t[0])] for case, trials in found.items()}
    return RecordedSubject(ordered, name=f"{path.name}{f' {variant}' if variant else ''}")
