"""The directory form of a genome: `agent.toml` plus one Markdown file per section, readable and editable by people.

`to_files` gives relative paths and texts, `from_files` reads them back; the round trip loses nothing, byte for byte.
Touching the disk is the caller's business: as UTF-8, and with line ends left as they are (`newline=""`).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import cast

from surefoot.core.errors import Invalid
from surefoot.core.genome import Block, Genome

MANIFEST = "agent.toml"
_HEAD = (
    "# The genome of an agent: blocks in order. Sections are Markdown files beside this one;\n"
    "# locked blocks are guardrails that no proposal can touch.\n"
)


def to_files(genome: Genome) -> dict[str, str]:
    """Give the files of a genome: path relative to the directory → text."""
    files: dict[str, str] = {}
    tables: list[str] = [_HEAD]
    for block in genome.blocks:
        fields = block.document()
        if block.kind == "section":
            fields["file"] = f"sections/{block.id}.md"
            files[f"sections/{block.id}.md"] = str(fields.pop("text"))
        tables.append("\n".join(["[[block]]", *(f"{name} = {_toml(value)}" for name, value in fields.items())]) + "\n")
    return {MANIFEST: "\n".join(tables)} | files


def from_files(files: Mapping[str, str]) -> Genome:
    """Read a genome back; Invalid names the file and the line or block that is wrong."""
    if MANIFEST not in files:
        raise Invalid(f"the directory has no {MANIFEST}", hint="surefoot init writes one")
    try:
        manifest = tomllib.loads(files[MANIFEST])
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{MANIFEST} cannot be read: {error}", hint="mend the line it names") from None
    if unknown := sorted(manifest.keys() - {"block"}):
        raise Invalid(f"{MANIFEST} has the unknown table {unknown[0]!r}", hint="write each block under [[block]]")
    entries = cast("object", manifest.get("block", []))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in cast("list[object]", entries)):
        raise Invalid(f"{MANIFEST}: 'block' is not a list of tables", hint="write each block under [[block]]")
    return Genome(tuple(_block(entry, files) for entry in cast("list[dict[str, object]]", entries)))


def _block(entry: dict[str, object], files: Mapping[str, str]) -> Block:
    fields = dict(entry)
    name = fields.pop("file", None)
    if name is not None:
        if str(name) not in files:
            raise Invalid(f"block {fields.get('id')!r} names the file {name}, which is not there",
                          hint=f"write {name}, or drop the block")  # fmt: skip
        if "text" in fields:
            raise Invalid(f"block {fields.get('id')!r} has both a text and a file", hint="keep one of them")
        fields["text"] = files[str(name)]
    return Block.from_document(fields)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    # A JSON string or array of strings is a TOML one too, but for U+007F, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
