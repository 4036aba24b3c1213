"""Parquet: an export as columns, a group of rows a page; needs the extra `parquet` (pyarrow)."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from surefoot.core.errors import Unavailable
from surefoot.core.exported import COLUMNS, ExportKind, plain

_NUMBERS = frozenset({"latency_s", "cost_usd", "weight_percent", "score"})
_WHOLE = frozenset({"version", "epoch", "seq", "tokens_in", "tokens_out"})
_TRUTHS = frozenset({"must_pass"})


@contextmanager
def parquet_file(out: Path, kind: ExportKind) -> Generator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """Open a file for rows of a kind; it gets its name when it is whole. Moments are ISO texts, parts JSON texts.

    Raises Unavailable where pyarrow is not installed.
    """
    try:
        arrow, files = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise Unavailable("pyarrow is not installed", hint="pip install 'surefoot[parquet]', or use jsonl") from None
    schema = arrow.schema([(name, _kind(arrow, name)) for name in COLUMNS[kind]])
    part = out.with_name(f"{out.name}.part")
    try:
        with files.ParquetWriter(part, schema) as writer:

            def write(rows: Sequence[Mapping[str, Any]]) -> None:
                columns = {name: [_value(name, row[name]) for row in rows] for name in COLUMNS[kind]}
                writer.write_table(arrow.table(columns, schema=schema))

            yield write
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _kind(arrow: Any, name: str) -> Any:
    if name in _NUMBERS:
        return arrow.float64()
    if name in _WHOLE:
        return arrow.int64()
    return arrow.bool_() if name in _TRUTHS else arrow.string()


def _value(name: str, value: Any) -> Any:
    flat = plain(value)
    if flat is None or name in _NUMBERS | _WHOLE | _TRUTHS or isinstance(flat, str):
        return flat
    return json.dumps(flat, ensure_ascii=False)
