"""Write docs/reference/cli.md from the commands themselves: python scripts/cli_reference.py [--check]."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from surefoot.cli import repo, repo_files, repo_ticks  # noqa: F401  they say what their answers hold
from surefoot.cli.commands import LAZY, SECTIONS, app, loaded
from surefoot.cli.desk import KEYS, WITH_REPO

TARGET = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"
ABOUT = {
    "Start": "Getting going.",
    "Look": "What there is, and what stands where. These change nothing.",
    "Traffic": "What an agent's users do.",
    "Improve": "Making versions, testing them, and giving them traffic.",
    "Decide": "What only people do.",
    "Keep": "The record and the store.",
}
HEAD = """\
# The command line

<!-- Written by scripts/cli_reference.py from the commands themselves. Do not edit. -->

Every command takes `--help`, and all but `demo` and `try` take these two, before or after the command's name:

| option | |
|---|---|
| `--store PATH` | the store to work on; else the environment variable `SUREFOOT_STORE`, else `store` in `surefoot.toml`, else `.surefoot/surefoot.db` |
| `--json` | answer with one JSON document on standard output, under the keys that are listed below |

`surefoot --version` says which Surefoot this is; `surefoot --install-completion` sets up your shell. Output is coloured
on a terminal only (`NO_COLOR` turns that off), and a piped table is never cut. Times are UTC. A version is written
`3` or `v3`; where it says so, `live` and `draft` are versions too.

A duration is a number and a unit (`s`, `m`, `h`, `d`, `w`), or several from the longest to the shortest: `30s`, `15m`,
`1h30m`, `7d`, `4w`. It is read like that everywhere, also in the API. A moment is such a duration ago (`7d`), a day
(`2026-01-05`) or ISO 8601, in UTC where it names no zone.

## Errors and exit codes

What went wrong is two lines on standard error, `error:` and `hint:`, or with `--json` one document on standard output:
`{"error": {"code": …, "message": …, "hint": …}}`. There is no traceback unless you set `SUREFOOT_DEBUG=1`.

| exit code | meaning | error codes |
|---|---|---|
| 0 | done | |
| 1 | refused, or the answer is no (`evaluate`, `gate`: fail; `audit verify`: broken; `doctor`: unusable) | `conflict`, `forbidden`, `budget_exhausted` |
| 2 | the request is wrong | `usage`, `invalid`, `not_found` |
| 3 | something Surefoot needs does not work | `unavailable` |
| 4 | `evaluate`, `gate`: inconclusive | |
| 70 | a mistake of ours: please report it | `internal` |
| 130 | interrupted (Ctrl-C) | |
| 141 | whoever read the output went away | |
"""  # noqa: E501


def reference() -> str:
    """Give the whole page."""
    parts = [HEAD]
    for section in SECTIONS:
        parts.append(f"\n## {section}\n\n{ABOUT[section]}\n")
        parts += [_entry(path, command) for path, command in _commands(section)]
    return "".join(parts)


def _commands(section: str) -> Iterator[tuple[str, Any]]:
    """Every command of a section under its full name, groups opened."""
    for name, command in typer.main.get_command(app).commands.items():  # pyright: ignore[reportAttributeAccessIssue]
        if command.rich_help_panel != section:
            continue
        if name in LAZY:
            yield name, loaded(name)
        elif hasattr(command, "commands"):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())
        else:
            yield name, command


def _entry(path: str, command: Any) -> str:
    shared = () if path in LAZY else ("store", "as_json")
    given = [one for one in command.params if one.name not in shared]
    arguments = [one for one in given if one.param_type_name == "argument"]
    options = [one for one in given if one.param_type_name == "option"]
    usage = " ".join(["surefoot", path, *(_placeholder(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"\n### `surefoot {path}`\n", f"{command.help}\n", f"```\n{usage}\n```\n"]
    rows = [(_placeholder(one), one) for one in arguments] + [(_option(one), one) for one in options]
    if rows:
        lines.append("| | |\n|---|---|\n" + "".join(f"| `{name}` | {_meaning(one)} |\n" for name, one in rows))
    if path in KEYS:
        lines.append(_keys(KEYS[path]))
    if path in WITH_REPO:
        lines.append(f"For a repository: {_keys(WITH_REPO[path])}")
    return "\n".join(lines)


def _placeholder(one: Any) -> str:
    name = (one.metavar or one.name).strip("[]")
    return name if one.required else f"[{name}]"


def _option(one: Any) -> str:
    takes = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
    return f"{', '.join([*one.opts, *one.secondary_opts])}{takes}".replace("|", "\\|")


def _meaning(one: Any) -> str:
    text = (one.help or "").replace("|", "\\|")
    if one.required and one.param_type_name == "option":
        return f"{text}; required"
    shown = one.default not in (None, "", False) and one.param_type_name == "option"
    return f"{text} (default: `{one.default}`)" if shown else text


def _keys(text: str) -> str:
    """JSON keys: those at the top, then those of each list."""
    lines: list[str] = []
    for part in text.split(";"):
        head, _, inner = part.partition(":")
        names = head.split()
        lines.append(", ".join(f"`{name}`" for name in names))
        if inner:
            lines[-1] += f" (each with {', '.join(f'`{name}`' for name in inner.split())})"
    return f"JSON: {'; '.join(lines)}.\n"


def main() -> int:
    """Write the page, or with --check say whether it is up to date."""
    page = reference()
    if "--check" in sys.argv:
        return 0 if TARGET.exists() and TARGET.read_text(encoding="utf-8") == page else 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(page, encoding="utf-8")
    print(f"wrote {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
