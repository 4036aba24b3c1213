"""The reference of the command line is complete, because it is written from the commands."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from surefoot.cli.commands import LAZY, SECTIONS, app, loaded, names

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "cli.md"


def tree() -> dict[str, Any]:
    """The commands and groups at the top."""
    return cast("Any", typer.main.get_command(app)).commands


def commands():
    """Every command under its full name."""
    for name, command in tree().items():
        if name in LAZY:
            yield name, loaded(name)
        elif hasattr(command, "commands"):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())
        else:
            yield name, command


def test_the_page_is_what_the_commands_say():
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "scripts" / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert PAGE.read_text(encoding="utf-8") == script.reference(), "run python scripts/cli_reference.py"


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_and_option_has_its_place_on_the_page(name, command):
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(f"\n### `surefoot {name}`\n") == 1
    entry = page.partition(f"\n### `surefoot {name}`\n")[2].partition("\n### ")[0]
    for one in command.params:
        if one.name not in ("store", "as_json") or name in LAZY:
            assert all(option in entry for option in one.opts if option.startswith("-")), one.opts
            assert one.help, f"{name} {one.name} has no help"
    assert command.help


def test_every_command_has_a_section_and_a_first_line_that_fits():
    for name, command in tree().items():
        assert command.rich_help_panel in SECTIONS, name
        assert len(command.get_short_help_str(200)) <= 66, name


def test_the_issue_s_commands_are_all_there():
    wanted = (
        "init demo agents versions show diff failures levers propose evaluate approvals approve reject rollback tick "
        "loop lessons outcome doctor ask import stop resume backup try"
    )
    grouped = {"rollout start", "rollout step", "rollout show", "audit verify", "audit show", "db upgrade"}
    assert set(wanted.split()) | grouped <= set(names())
