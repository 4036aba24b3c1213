"""Reading a suite from a file: our own form, or another tool's, told apart by what is in it.

What another tool asserts and nothing here can say is kept as a disabled check and listed, never dropped; whatever
else cannot be carried over becomes a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from surefoot.adapters.formats import agno, inspect_ai, openai_evals, promptfoo, pydantic_evals
from surefoot.adapters.formats.lines import Lined, place_in, read_csv, read_json, read_lines, read_yaml, text_of
from surefoot.core.errors import Invalid, NotFound
from surefoot.core.exam.documents import suite_from
from surefoot.core.exam.suite import Suite

Reader = Callable[[object, str], Mapping[str, object]]
READERS: Mapping[str, Reader] = {
    "promptfoo": promptfoo.suite_document,
    "inspect": inspect_ai.suite_document,
    "openai-evals": openai_evals.suite_document,
    "pydantic-evals": pydantic_evals.suite_document,
    "agno": agno.suite_document,
}
FORMATS = ("surefoot", *READERS)


def read_suite(path: Path, form: str = "") -> Suite:
    """Read a suite; `form` is one of `FORMATS`, by default what the file looks like.

    Only our own form is the operator's word; everything imported may not run code.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}", hint="name a suite: YAML, JSON, JSON Lines or CSV")
    document = contents(path)
    form = form or looks_like(document)
    name, source = path.name.split(".")[0], path.name
    if form == "surefoot":
        return suite_from(document, name=name, origin="file", root=str(path.resolve().parent),
                          place=lambda thing: place_in(source, thing))  # fmt: skip
    reader = READERS.get(form)
    if reader is None:
        raise Invalid(f"there is no format {form!r}", hint=f"there are {', '.join(FORMATS)}")
    return suite_from({"suite": name, **reader(document, source)}, name=name, origin="import",
                      place=lambda thing: place_in(source, thing))  # fmt: skip


def contents(path: Path) -> object:
    """Read a file as what its name says: .yaml, .json, .jsonl or .csv, each also with .gz."""
    text, suffixes = text_of(path), [suffix for suffix in path.suffixes if suffix != ".gz"]
    match suffixes[-1] if suffixes else "":
        case ".yaml" | ".yml":
            return read_yaml(text, path.name)
        case ".json":
            return read_json(text, path.name)
        case ".jsonl" | ".ndjson":
            return list(read_lines(text, path.name))
        case ".csv":
            return list(read_csv(text, path.name))
        case other:
            raise Invalid(f"{path.name}: files that end in {other!r} are not read",
                          hint="use .yaml, .json, .jsonl or .csv")  # fmt: skip


def looks_like(document: object) -> str:
    """Tell the format from the fields; our own if nothing speaks for another."""
    if isinstance(document, dict):
        head = cast("dict[str, object]", document)
        if {"tests", "prompts", "providers", "scenarios"} & head.keys() and "cases" not in head:
            return "promptfoo"
        rows = head.get("cases")
        return _row_form(rows, "inputs", "pydantic-evals") or _row_form(rows, "expected_output", "agno") or "surefoot"
    return _row_form(document, "ideal", "openai-evals") or _row_form(document, "target", "inspect") or (
        _row_form(document, "assert", "promptfoo") or _row_form(document, "expected_output", "agno") or "surefoot"
    )  # fmt: skip


def _row_form(rows: object, sign: str, form: str) -> str:
    first = cast("list[object]", rows)[0] if isinstance(rows, list) and rows else None
    return form if isinstance(first, Lined) and sign in first else ""
