"""Scores that somebody else recorded, read as one row a case: the case, its score, and the slices it belongs to.

A row is a mapping with `case_id`, `score` in [0, 1] (true and false count as 1 and 0, null is unknown) and whatever
fields are named as slices; a file holds one JSON object a line, perhaps compressed. What cannot be read is refused
with the number of the row, because a row that is dropped silently changes a verdict.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from surefoot.core.errors import Invalid, Unavailable

Rows = str | Path | Iterable[Mapping[str, object]]
Plain = Sequence[float | None] | Mapping[str, float | None]
_SHAPE = 'one JSON object a line, such as {"case_id": "c1", "score": 1, "label": "billing"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One case of one side: the mean of its known scores (None = none is known), and its slices."""

    score: float | None
    slices: Mapping[str, str]


def scored(rows: Rows, slices: Sequence[str], *, side: str) -> dict[str, Scored]:
    """Give each case once, in the order of first appearance; repeats of a case are averaged.

    `side` names the recording in errors. Invalid for a row that cannot be read, a score outside [0, 1], a slice that
    differs between repeats, or no row at all; Unavailable for a file that cannot be read.
    """
    scores: defaultdict[str, list[float]] = defaultdict(list)
    homes: dict[str, dict[str, str]] = {}
    for place, row in _rows(rows, side):
        case, score = _case(row, place), _score(row, place)
        home = homes.setdefault(case, {})
        for name, value in _slices(row, slices, place).items():
            if home.setdefault(name, value) != value:
                raise Invalid(f"{place}: case {case!r} is {name}={value} here and {name}={home[name]} before",
                              hint="a case belongs to one value of a slice")  # fmt: skip
        scores[case] += [] if score is None else [score]
    if not homes:
        raise Invalid(f"{side} holds no case", hint=_SHAPE)
    return {
        case: Scored(score=math.fsum(scores[case]) / len(scores[case]) if scores[case] else None, slices=home)
        for case, home in homes.items()
    }


def plain(scores: Rows | Plain) -> Mapping[str, float | None] | None:
    """Give bare scores by case, a list by position; None for rows and files, which name their cases themselves."""
    if isinstance(scores, Mapping):
        return {str(case): score for case, score in cast("Mapping[object, float | None]", scores).items()}
    if isinstance(scores, str | Path) or not isinstance(scores, Sequence):
        return None
    bare = cast("Sequence[object]", scores)
    if any(one is not None and not isinstance(one, int | float) for one in bare):
        return None
    return {str(at): cast("float | None", score) for at, score in enumerate(bare)}


def rows_of(scores: Mapping[str, float | None], homes: object) -> list[Mapping[str, object]]:
    """Give bare scores as rows; `homes` gives each case its slice, by position or by case, a value or a mapping."""
    if isinstance(homes, Mapping):
        by_case = {str(case): home for case, home in cast("Mapping[object, object]", homes).items()}
    else:
        listed = list(cast("Iterable[object]", homes or ()))
        if listed and len(listed) != len(scores):
            raise Invalid(f"{len(listed)} slices for {len(scores)} cases", hint="give each case one, in the same order")
        by_case = dict(zip(scores, listed, strict=False))
    return [{**_home(by_case.get(case)), "case_id": case, "score": score} for case, score in scores.items()]


def _home(home: object) -> dict[str, object]:
    if isinstance(home, Mapping):
        return {str(name): value for name, value in cast("Mapping[object, object]", home).items()}
    return {} if home is None else {"slice": home}


def _rows(rows: Rows, side: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    if isinstance(rows, str | Path):
        yield from rows_in(Path(rows))
        return
    for number, row in enumerate(rows, start=1):
        if not isinstance(cast("object", row), Mapping):
            raise Invalid(f"{side}, row {number} is no mapping", hint="give case_id and score by name")
        yield f"{side}, row {number}", row


def rows_in(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Give each JSON object of a file of lines (or .gz) with its place; Invalid, or Unavailable for the file."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path.name}, line {number}", _object(line, f"{path.name}, line {number}")
    except UnicodeDecodeError as error:
        raise Invalid(f"{path.name} is not UTF-8 text", hint=_SHAPE) from error
    except (OSError, EOFError) as error:
        raise Unavailable(f"{path} cannot be read: {error}", hint="check the name of the file") from error


def _object(line: str, place: str) -> Mapping[str, object]:
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{place}: this is not JSON ({error})", hint=_SHAPE) from None
    if not isinstance(row, dict):
        raise Invalid(f"{place}: this is no JSON object", hint=_SHAPE)
    return cast("dict[str, object]", row)


def _case(row: Mapping[str, object], place: str) -> str:
    case = row.get("case_id")
    if isinstance(case, bool) or not isinstance(case, str | int) or case == "":
        raise Invalid(f"{place}: case_id is {case!r}", hint="name each case by a text or a whole number")
    return str(case)


def _score(row: Mapping[str, object], place: str) -> float | None:
    if "score" not in row:
        raise Invalid(f"{place}: there is no score", hint="give a score in [0, 1], or null where it is unknown")
    score = row["score"]
    if score is None:
        return None
    if not isinstance(score, int | float) or not 0 <= score <= 1:  # NaN is in no interval
        raise Invalid(f"{place}: the score {score!r} is not in [0, 1]", hint="scale scores to 0…1; null is unknown")
    return float(score)


def _slices(row: Mapping[str, object], names: Sequence[str], place: str) -> dict[str, str]:
    found = {name: row[name] for name in names if row.get(name) is not None}
    for name, value in found.items():
        if not isinstance(value, str | int | float):
            raise Invalid(f"{place}: the slice {name} is {value!r}", hint="a slice has one text or number a case")
    return {name: str(value) for name, value in found.items()}
