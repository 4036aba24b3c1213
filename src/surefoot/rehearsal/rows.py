"""Labelled rows: JSON Lines with an input, the label expected for it, and perhaps a slice."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from surefoot.core.case import Split, groups, split_of
from surefoot.core.digest import unit_interval
from surefoot.core.errors import Invalid, NotFound

INPUTS, LABELS = ("input", "text"), ("expected", "label")
SHARES: dict[Split, float] = {
    "shown": 0.34, "hidden": 0.06, "val": 0.20, "sealed": 0.20, "later": 0.08, "untouched": 0.12,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled request; `group` holds near-duplicates together."""

    input: str
    expected: str
    slice: str = ""
    group: str = ""


def load_rows(path: Path, *, labels: Sequence[str] = ()) -> list[Row]:
    """Read rows from a .jsonl or .jsonl.gz file; with `labels` only those of these labels.

    Accepts `input` or `text`, and `expected` or `label`. Invalid names the line that is wrong, NotFound the label
    that no row has. A text that occurs twice with one label is kept once.
    """
    if not path.exists():
        raise NotFound(f"there is no file {path}", hint="give a .jsonl file with `input` and `expected` on each line")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            rows = parse_rows(cast("Iterable[str]", lines), str(path))
    except (UnicodeDecodeError, gzip.BadGzipFile, OSError) as error:
        raise Invalid(f"{path} cannot be read: {error}", hint="it must be UTF-8 JSON Lines, plain or gzip") from None
    return _of_labels(rows, labels, path)


def parse_rows(lines: Iterable[str], source: str) -> list[Row]:
    """Read rows from lines; `source` names them in errors."""
    found: dict[tuple[str, str], Row] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row = _row(line, f"{source}, line {number}")
            found.setdefault((row.input, row.expected), row)
    if not found:
        raise Invalid(f"{source} has no rows", hint='write lines such as {"input": "…", "expected": "…"}')
    return list(found.values())


def _row(line: str, where: str) -> Row:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{where}: this is not JSON ({error})", hint="each line is one JSON object") from None
    if not isinstance(document, dict):
        raise Invalid(f"{where}: this is not a JSON object", hint='write {"input": "…", "expected": "…"}')
    fields = cast("dict[str, Any]", document)
    return Row(
        input=_text(fields, INPUTS, where),
        expected=_text(fields, LABELS, where).strip(),
        slice=_slice(fields.get("slice")),
    )


def _text(fields: dict[str, Any], names: Sequence[str], where: str) -> str:
    value = next((fields[name] for name in names if fields.get(name) is not None), None)
    if isinstance(value, (int, float)):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise Invalid(f"{where}: there is no text under {' or '.join(names)}", hint=f"write it under {names[0]!r}")
    return value.encode("utf-8", "replace").decode()


def _slice(value: object) -> str:
    return "" if value is None else str(value)


def _of_labels(rows: list[Row], labels: Sequence[str], path: Path) -> list[Row]:
    known = Counter(row.expected for row in rows)
    if missing := [label for label in labels if label not in known]:
        names = ", ".join(sorted(known)[:20])
        raise NotFound(f"{path} has no row with the label {missing[0]!r}", hint=f"it has {names}")
    return [row for row in rows if not labels or row.expected in labels]


def drawn(rows: Sequence[Row], most: int, *, seed: int) -> list[Row]:
    """Give at most `most` rows, drawn by hash, in their order."""
    chance = {row: unit_interval("draw", str(seed), row.input, row.expected) for row in rows}
    limit = sorted(chance.values())[most - 1] if len(rows) > most else 1.0
    return [row for row in rows if chance[row] <= limit]


def partition(rows: Sequence[Row], salt: str) -> dict[Split, list[Row]]:
    """Split rows by group and hash: the same salt gives the same split, near-duplicates stay together."""
    parts: dict[Split, list[Row]] = {split: [] for split in SHARES}
    keys = groups([row.input for row in rows])
    for row, key in zip(rows, keys, strict=True):
        grouped = Row(input=row.input, expected=row.expected, slice=row.slice, group=key)
        parts[split_of(salt, key, SHARES)].append(grouped)
    return parts
