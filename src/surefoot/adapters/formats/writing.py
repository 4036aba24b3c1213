"""Writing: a suite in our own form, and the report of a run in any of its forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from surefoot.adapters.formats.inspect_log import inspect_log
from surefoot.adapters.formats.junit import junit
from surefoot.adapters.formats.markdown import markdown
from surefoot.adapters.formats.tables import csv_table, json_report
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.exam.report import Report
from surefoot.core.exam.suite import Suite

WRITERS: Mapping[str, Callable[[Report], str]] = {
    "junit": junit, "markdown": markdown, "inspect": inspect_log, "csv": csv_table, "json": json_report,
}  # fmt: skip


class _Dumper(yaml.SafeDumper):
    """YAML with texts of several lines as blocks."""


def _text(dumper: _Dumper, text: str) -> Any:
    return cast("Any", dumper).represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, cast("Any", _text))
_Dumper.add_multi_representer(dict, cast("Any", yaml.SafeDumper.represent_dict))


def report_text(report: Report, form: str) -> str:
    """Give a report in one of `WRITERS`."""
    if form not in WRITERS:
        raise Invalid(f"there is no report {form!r}", hint=f"there are {', '.join(WRITERS)}")
    return WRITERS[form](report)


def suite_text(suite: Suite) -> str:
    """Give a suite as YAML of ours, with its notes as comments on top."""
    head = "".join(f"# {' '.join(note.split())}\n" for note in suite.notes)
    return head + yaml.dump(suite.document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def write_suite(suite: Suite, path: Path, *, over: bool = False) -> None:
    """Write a suite as YAML, or JSON Lines where the name says so; Conflict if there is a file already."""
    if path.exists() and not over:
        raise Conflict(f"there is already a file {path}", hint="name another, or move it away")
    lines = "".join(json.dumps(case.document(), ensure_ascii=False) + "\n" for case in suite.cases)
    path.write_text(lines if path.suffix == ".jsonl" else suite_text(suite), encoding="utf-8")
