"""Reading YAML, JSON, JSON Lines and CSV so that every complaint names file and line.

Objects remember the line they began at. A key that comes twice is refused, since one of the two would be ignored; so
is a YAML file whose aliases unfold into more than a million nodes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from surefoot.core.errors import Invalid

MOST_BYTES = 200_000_000
MOST_NODES = 1_000_000


class Lined(dict[str, object]):
    """An object that knows its line."""

    line = 0


def text_of(path: Path) -> str:
    """Read a file as UTF-8, unpacked if it ends in .gz; Invalid names the first byte that is none."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            with gzip.open(io.BytesIO(raw)) as file:
                raw = file.read(MOST_BYTES + 1)
        except (OSError, EOFError) as problem:
            raise Invalid(f"{path.name} cannot be unpacked: {problem}", hint="pack it again") from None
    if len(raw) > MOST_BYTES:
        raise Invalid(f"{path.name} is larger than {MOST_BYTES // 10**6} MB", hint="split it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        raise Invalid(f"{path.name}, line {line}: byte {problem.start} is no UTF-8", hint="save it as UTF-8") from None


def place_in(source: str, thing: object) -> str:
    """Give file and line of an object, or the file alone."""
    return f"{source}, line {thing.line}" if isinstance(thing, Lined) and thing.line else source


def read_json(text: str, source: str) -> object:
    """Read one JSON document."""
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, source, 0), parse_constant=_no_number)
    except json.JSONDecodeError as problem:
        raise Invalid(f"{source}, line {problem.lineno}: {problem.msg}", hint="mend the JSON there") from None
    except (ValueError, RecursionError) as problem:
        raise Invalid(f"{source}: {problem}", hint="mend the JSON") from None


def read_lines(text: str, source: str) -> Iterator[Lined]:
    """Read one object per line; empty lines are passed over."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{source}, line {number}"
        try:
            row: object = json.loads(
                line, object_pairs_hook=lambda pairs, n=number: _object(pairs, source, n), parse_constant=_no_number
            )
        except json.JSONDecodeError as problem:
            raise Invalid(f"{place}: {problem.msg} at character {problem.colno}", hint="mend the JSON there") from None
        except (ValueError, RecursionError) as problem:
            raise Invalid(f"{place}: {problem}", hint="mend the JSON there") from None
        if not isinstance(row, Lined):
            raise Invalid(f"{place} is no object", hint="each line is one JSON object")
        yield row


def _object(pairs: list[tuple[str, object]], source: str, line: int) -> Lined:
    found = Lined(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(f"{source}{f', line {line}' if line else ''}: {twice!r} comes twice", hint="keep one of them")
    found.line = line
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class _Loader(yaml.SafeLoader):
    """Safe YAML whose objects know their line."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[Lined]:
    found = Lined()
    found.line = node.start_mark.line + 1
    yield found
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = str(key_node.value)
        if key in seen and key != "<<":
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} comes twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key = cast("Any", loader).construct_object(key_node, deep=True)
        found[key if isinstance(key, str) else str(key)] = cast("Any", loader).construct_object(value_node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, cast("Any", _mapping))
for _stamp in ("timestamp", "binary", "set", "omap", "pairs"):  # plain texts and lists are all a suite needs
    _Loader.add_constructor(f"tag:yaml.org,2002:{_stamp}", lambda _loader, node: cast("Any", node).value)


def read_yaml(text: str, source: str) -> object:
    """Read one YAML document; nothing in it can run code."""
    try:
        loader = _Loader(text)
        try:
            node = cast("Any", loader).get_single_node()
            if node is not None and _size(node, {}) > MOST_NODES:
                raise Invalid(f"{source} unfolds into over a million nodes", hint="use fewer aliases")
            return cast("Any", loader).construct_document(node) if node is not None else None
        finally:
            cast("Any", loader).dispose()
    except yaml.YAMLError as problem:
        mark = cast("Any", getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None))
        line = f", line {mark.line + 1}" if mark else ""
        said = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise Invalid(f"{source}{line}: {said}", hint="mend the YAML there") from None
    except RecursionError:
        raise Invalid(f"{source} is nested too deeply", hint="write it flatter") from None


def _size(node: Any, known: dict[int, int]) -> int:
    """Count the nodes with aliases unfolded; an alias to something around it is endless."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MOST_NODES  # while it is counted: whoever meets it here goes in circles
    if isinstance(node, yaml.MappingNode):
        size = 1 + sum(_size(part, known) for pair in cast("Any", node).value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        size = 1 + sum(_size(part, known) for part in cast("Any", node).value)
    else:
        size = 1
    known[id(node)] = size
    return size


def read_csv(text: str, source: str) -> Iterator[Lined]:
    """Read rows under the names of the first line."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        names = next(reader, list[str]())
        if len(set(names)) < len(names) or not names:
            raise Invalid(f"{source}, line 1: the columns have no names, or one twice", hint="name each column once")
        for values in reader:
            if not values:
                continue
            if len(values) != len(names):
                raise Invalid(f"{source}, line {reader.line_num}: {len(values)} values for {len(names)} columns",
                              hint="put texts that hold commas in quotes")  # fmt: skip
            row = Lined()
            row.update(zip(names, values, strict=True))
            row.line = reader.line_num
            yield row
    except csv.Error as problem:
        raise Invalid(f"{source}, line {reader.line_num}: {problem}", hint="mend the CSV there") from None
