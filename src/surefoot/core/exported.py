"""What an export looks like: which kinds there are, and one row as a line of JSON or of a table.

A cell that a spreadsheet would take for a formula gets an apostrophe in front: texts come from strangers, and a table
that is opened must not do anything. What has parts is written into its cell as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, get_args

ExportKind = Literal["traces", "outcomes", "failures", "spans", "cases", "memory", "audit"]
ExportFormat = Literal["jsonl", "csv"]
KINDS: tuple[ExportKind, ...] = get_args(ExportKind)
COLUMNS: Mapping[ExportKind, tuple[str, ...]] = {
    "traces": (
        "id", "agent", "version", "at", "verdict", "finish", "input", "output", "session", "actor", "external_id",
        "unit", "source", "rollout", "arm", "weight_percent", "epoch", "slices", "latency_s", "cost_usd",
    ),
    "outcomes": ("trace_id", "at", "verdict", "score", "expected", "feedback", "source"),
    "failures": ("trace_id", "version", "at", "input", "predicted", "expected", "source", "slices"),
    "spans": (
        "trace_id", "span_id", "parent_id", "agent", "version", "name", "kind", "status", "message", "started_at",
        "latency_s", "session", "actor", "model", "input", "output", "tokens_in", "tokens_out", "cost_usd",
        "attributes",
    ),
    "cases": ("id", "group", "split", "input", "expected", "slices", "origin", "must_pass"),
    "memory": ("scope", "owner", "key", "value", "written_at", "expires_at"),
    "audit": ("seq", "at", "actor", "action", "subject", "payload", "previous", "digest"),
}  # fmt: skip
_QUOTE = '"'
_PARTING = (",", _QUOTE, "\r", "\n")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def jsonl(rows: Iterable[Mapping[str, Any]], kind: ExportKind) -> str:
    """Give rows as lines of JSON, fields in their order."""
    made = (json.dumps({name: plain(row[name]) for name in COLUMNS[kind]}, ensure_ascii=False) for row in rows)
    return "".join(f"{line}\n" for line in made)


def table_head(kind: ExportKind) -> str:
    """Give the first line of a table."""
    return lines([COLUMNS[kind]])


def table(rows: Iterable[Mapping[str, Any]], kind: ExportKind) -> str:
    """Give rows as lines of a table (RFC 4180), with no cell that a spreadsheet would carry out."""
    return lines([cell(row[name]) for name in COLUMNS[kind]] for row in rows)


def cell(value: object) -> str:
    """Give a value as text in a cell; numbers stay numbers, also negative ones."""
    flat = plain(value)
    if isinstance(flat, bool):
        return "true" if flat else "false"
    if isinstance(flat, int | float):
        return repr(flat)
    text = "" if flat is None else flat if isinstance(flat, str) else json.dumps(flat, ensure_ascii=False)
    bare = text.lstrip(" ")
    return f"'{text}" if bare.startswith(_FORMULA) else text


def plain(value: object) -> object:
    """Give a value as JSON knows it: moments in ISO form."""
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def lines(rows: Iterable[Iterable[str]]) -> str:
    """Give rows of cells as lines of a table; whatever would begin another line stands in quotes."""
    return "".join(f"{','.join(_quoted(one) for one in row)}\r\n" for row in rows)


def _quoted(text: str) -> str:
    return f'"{text.replace(_QUOTE, _QUOTE * 2)}"' if any(sign in text for sign in _PARTING) else text
