"""What the importers share: objects of another tool's file, and rows of ours that remember where they came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import cast

from surefoot.adapters.formats.lines import Lined, place_in
from surefoot.core.errors import Invalid


def row_from(origin: object, row: Mapping[str, object]) -> Lined:
    """Give a row of ours, without what is empty, that stands at the line of the one it came from."""
    made = Lined((name, value) for name, value in row.items() if value not in (None, [], {}, ""))
    made.line = origin.line if isinstance(origin, Lined) else 0
    return made


def objects(rows: object, source: str, what: str) -> list[Mapping[str, object]]:
    """Give a list of objects; Invalid where it is something else."""
    if not isinstance(rows, list):
        raise Invalid(f"{source}: {what} is no list", hint="look at the file; it may be of another format")
    for row in cast("list[object]", rows):
        if not isinstance(row, dict):
            raise Invalid(f"{source}: one of {what} is no object", hint="look at the file")
    return cast("list[Mapping[str, object]]", rows)


def mapping(value: object, place: str, what: str) -> Mapping[str, object]:
    """Give an object, the empty one for nothing."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"{place}: {what} is no object", hint="look at the file")
    return cast("Mapping[str, object]", value)


def fields(value: object) -> Mapping[str, object] | None:
    """Give an object, or None for anything else."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object]:
    """Give a list: itself, nothing, or the one thing there is."""
    if value is None:
        return []
    return cast("list[object]", value) if isinstance(value, list) else [value]


def as_text(value: object) -> str:
    """Give a text: itself, or the JSON of what is none."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def messages(value: object, place: str) -> object:
    """Give an input of ours from a text, or a chat of role and content (a content of parts is joined)."""
    if not isinstance(value, list):
        return as_text(value)
    talk: list[dict[str, str]] = []
    for one in objects(cast("list[object]", value), place, "the messages"):
        role = str(one.get("role", "user"))
        parts = [part if (inner := fields(part)) is None else inner.get("text") for part in as_list(one.get("content"))]
        known = {"developer": "system", "function": "tool", "ai": "assistant", "human": "user"}.get(role, role)
        talk.append({"role": known, "content": "\n".join(as_text(part) for part in parts if part is not None)})
    return talk


def disabled(kind: str, value: object, why: str, **params: object) -> dict[str, object]:
    """Give a check that is kept and listed but not carried out."""
    kept = {name: one for name, one in params.items() if name not in ("kind", "value", "name", "not", "disabled")}
    return {"kind": kind, "value": value, "disabled": why, **kept}


def unique(ids: Iterable[str]) -> list[str]:
    """Give each id a number where it comes again."""
    seen: dict[str, int] = {}
    taken: set[str] = set()
    made: list[str] = []
    for one in ids:
        name = one
        while name in taken:
            seen[one] = seen.get(one, 1) + 1
            name = f"{one}-{seen[one]}"
        taken.add(name)
        made.append(name)
    return made


def where(source: str, row: object, number: int) -> str:
    """Name the place of a row."""
    place = place_in(source, row)
    return place if place != source else f"{source}, case {number}"
