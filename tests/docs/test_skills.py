"""The skills keep their word: their commands exist, and what they tell an agent to write is what the loop reads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from surefoot.core.repo.commit import signed
from surefoot.core.repo.outcome import OUTCOMES, entry
from surefoot.core.repo.scope import LOOP_FILES

ROOT = Path(__file__).parents[2]
SKILLS = ROOT / "skills"
PAGES = sorted(SKILLS.rglob("*.md"))
FOLDERS = sorted(path.parent for path in SKILLS.glob("*/SKILL.md"))
GLOBAL = {"--help", "--version", "--store", "--json"}


def text(name: str) -> str:
    return (SKILLS / name).read_text(encoding="utf-8")


def named_commands(page: str) -> Iterator[list[str]]:
    """The words of every `surefoot …`, in code blocks and in the middle of sentences."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for line in "\n".join(blocks).splitlines():
        if line.startswith("surefoot "):
            yield shlex.split(line, comments=True)
    prose = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL) + "\n".join(blocks)
    for told in re.findall(r"`(surefoot [^`\n]+)`", prose):
        yield shlex.split(told)


def known_options(words: list[str]) -> tuple[Any, list[str]]:
    """Follow the words down to a command; gives it and what is left."""
    import typer.main

    from surefoot.cli.commands import app

    command, rest = typer.main.get_command(app), words[1:]
    while rest and hasattr(command, "get_command") and not rest[0].startswith("-"):
        found = command.get_command(None, rest[0])
        assert found is not None, f"there is no command {shlex.join(words)!r}"
        command, rest = found, rest[1:]
    return command, rest


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(SKILLS).as_posix())
def test_every_command_that_a_skill_names_exists_with_its_options(path: Path) -> None:
    for words in named_commands(path.read_text(encoding="utf-8")):
        command, rest = known_options(words)
        known = GLOBAL | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        missing = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
        assert not missing, f"{shlex.join(words)!r} has no option {missing}"


def test_the_commands_are_really_found() -> None:
    told = {" ".join(words[1:3]) for path in PAGES for words in named_commands(path.read_text(encoding="utf-8"))}
    assert {"init --repo", "levers add", "levers rank", "levers close", "tick --repo", "report"} <= told
    with pytest.raises(AssertionError, match="no command"):
        known_options(["surefoot", "conjure"])


def test_the_verbs_of_levers_are_those_that_there_are() -> None:
    from surefoot.cli.repo_files import VERBS

    listed = [words for path in PAGES for words in named_commands(path.read_text(encoding="utf-8"))]
    verbs = {words[2] for words in listed if words[1] == "levers" and len(words) > 2 and not words[2].startswith("-")}
    assert verbs <= set(VERBS)
    assert {"add", "rank", "close", "reopen"} <= verbs


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_skill_says_its_name_and_when_to_use_it(folder: Path) -> None:
    lines = (folder / "SKILL.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "---"
    front = dict(line.split(": ", 1) for line in lines[1 : lines.index("---", 1)])
    assert front.keys() == {"name", "description"}
    assert front["name"] == folder.name
    assert re.search(r"\bUse (when|for)\b", front["description"])
    assert len(front["description"]) <= 1024
    assert f"({folder.name}/SKILL.md)" in text("README.md")


def test_every_relative_link_in_the_skills_leads_somewhere() -> None:
    for path in PAGES:
        for link in re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8")):
            assert re.match(r"[a-z]+:", link) or (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_log_lines_of_the_skill_are_read_by_the_loop_and_every_outcome_has_one() -> None:
    lines = re.findall(r"^- 20\d\d-.*$", text("surefoot-loop/SKILL.md"), re.MULTILINE)
    read = [entry(line) for line in lines]
    assert None not in read
    assert sorted(one.outcome for one in read) == sorted(OUTCOMES)
    assert all(one.detail for one in read)
    assert {one.outcome: one.what for one in read}["shipped"] == "1a2b3c4d5e6f"


def test_the_commit_message_of_the_skill_is_read_by_a_rollback() -> None:
    (message,) = re.findall(r"^```text\n(L-\d+: .*?)^```", text("surefoot-loop/SKILL.md"), re.MULTILINE | re.DOTALL)
    subject, _, body = message.partition("\n")
    read = signed(body)
    assert (read.kind, read.lever, read.genome) == ("lever", "L-001", "v001")
    assert read.gates
    assert subject.startswith(read.lever)
    assert len(subject) <= 72


def test_the_skill_keeps_an_agent_away_from_all_files_of_the_loop() -> None:
    page = text("surefoot-loop/SKILL.md")
    assert [name for name in LOOP_FILES if not name.startswith(".") and f"`{name}`" not in page] == []
