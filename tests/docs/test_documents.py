"""The documents keep their word: what they name exists, what exists has its page, and the tutorial runs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import surefoot.adapters.store.tables
import surefoot.core.rollout.facts
from surefoot.cli.commands import app, names
from surefoot.config import ModelSettings, Settings
from surefoot.core import errors, gate
from surefoot.core.agent import Habits
from surefoot.core.draft import ReleaseReason
from surefoot.core.genome import Block
from surefoot.core.guardrail import Bounds
from surefoot.core.policy import Policy
from surefoot.core.rollout import RolloutSettings
from surefoot.rehearsal.rows import SHARES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CORE = ROOT / "src" / "surefoot" / "core"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "src").rglob("*.md")])
WORDS = (
    "agent genome version session trace span outcome failure memory gap lever tick edit proposal improver draft "
    "release case suite check judge verdict experiment gate rollout approval lesson guardrail audit"
).split()


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows whose first cell is `code`, without the marks."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    return [[cells[0].strip("`"), *cells[1:]] for cells in found]


def section(text: str, title: str) -> str:
    """What stands under a heading, down to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(title)}$\n(.*?)(?=^#{{1,2}} |^\1 |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no heading {title!r}"
    return found[2]


# What exists has its page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "kind"), [("surefoot.toml", Settings), ("[models.NAME]", ModelSettings)])
def test_every_key_of_the_settings_is_documented_and_no_other(title: str, kind: Any) -> None:
    text = section(page("reference/configuration.md"), title).split("\n### ")[0]
    assert [name for name, *_ in rows(text)] == list(kind.model_fields)


@pytest.mark.parametrize(
    ("title", "kind"), [("Policy", Policy), ("Habits", Habits), ("Bounds", Bounds), ("Rollout", RolloutSettings)]
)
def test_every_setting_of_an_agent_is_documented_with_its_default(title: str, kind: Any) -> None:
    told = {name: default for name, default, *_ in rows(section(page("reference/configuration.md"), title))}
    fields = {field.name: field.default for field in dataclasses.fields(kind)}
    assert set(told) == set(fields)
    for name, default in fields.items():
        if isinstance(default, bool) or not isinstance(default, int | float):
            continue
        number = told[name].strip("`").replace(" ", "").replace("\u00a0", "")
        assert float(number) == default, f"{name}: the page says {told[name]}, the code says {default}"


def families(root: type[errors.SurefootError]) -> Iterator[type[errors.SurefootError]]:
    for family in root.__subclasses__():
        if family.__module__ == errors.__name__:
            yield family
            yield from families(family)


def test_every_error_code_is_documented_with_the_exit_code_it_gives() -> None:
    from surefoot.cli import _EXIT

    told = {code: int(exit_code) for code, exit_code, *_ in rows(section(page("reference/errors.md"), "Error codes"))}
    codes = {family.code for family in families(errors.SurefootError)} | {"usage", "internal"}
    assert told == {code: _EXIT.get(code, 1) for code in codes}


def test_every_refusal_of_an_edit_is_documented_and_no_other() -> None:
    told = {code for code, *_ in rows(section(page("reference/errors.md"), "Refusals of edits"))}
    guardrail, injection = (CORE / f"{name}.py" for name in ("guardrail", "injection"))
    named = set(re.findall(r'_refused\(edit, "([a-z-]+)"', guardrail.read_text(encoding="utf-8")))
    named |= set(re.findall(r'"(injection-[a-z]+)"', injection.read_text(encoding="utf-8")))
    named |= {f"too-many-{kind}s" for kind in ("rule", "example", "tool", "section")}
    judged = ROOT / "src" / "surefoot" / "engine" / "object.py"
    named |= set(re.findall(r'"(judge-[a-z]+)"', judged.read_text(encoding="utf-8")))
    named |= {f"edit-{code}" for code in ("invalid", "not_found", "conflict", "forbidden")}
    assert told == named


@pytest.mark.parametrize(
    ("title", "literal"),
    [
        ("Verdicts of the gate", gate.GateReason),
        ("Reasons of a rollout step", surefoot.core.rollout.facts.StepReason),
    ],
)
def test_every_reason_is_documented_and_no_other(title: str, literal: Any) -> None:
    told = [reason for reason, *_ in rows(section(page("reference/errors.md"), title))]
    assert sorted(told) == sorted(get_args(literal))


def test_every_word_for_a_verdict_or_an_outcome_is_on_the_page() -> None:
    text = page("reference/errors.md")
    for literal in (gate.SearchWord, gate.ReleaseWord, ReleaseReason):
        assert [word for word in get_args(literal) if f"`{word}`" not in text] == []


def test_every_table_of_the_store_is_documented_and_no_other() -> None:
    told = [name for name, *_ in rows(page("reference/store.md"))]
    assert sorted(told) == sorted(surefoot.adapters.store.tables.metadata.tables)


def test_every_field_of_a_block_is_documented() -> None:
    told = {name for name, *_ in rows(section(page("reference/files.md"), "The directory form of a genome"))}
    assert told == {field.name for field in dataclasses.fields(Block)} | {"file"}


def test_the_page_on_splits_has_the_shares_of_the_rehearsal() -> None:
    told = {name: float(share) for name, _, share, *_ in rows(page("why/splits.md"))}
    assert told == SHARES


def test_every_command_has_its_page() -> None:
    text = page("reference/cli.md")
    assert [name for name in names() if f"`surefoot {name}`" not in text] == []


def test_the_glossary_defines_each_word_of_the_design_and_each_word_once() -> None:
    told = re.findall(r"^- \*\*([^*]+)\*\*: ", page("glossary.md"), re.MULTILINE)
    assert [word for word in WORDS if word not in told] == []
    assert len(told) == len(set(told))
    assert told == sorted(told, key=lambda word: word.replace("-", ""))


def test_the_page_for_agents_fits_in_one_reading() -> None:
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) < 150


def test_every_decision_is_listed_dated_and_on_one_page() -> None:
    listed = re.findall(r"\]\((\d{4}-[a-z-]+\.md)\)", page("adr/README.md"))
    files = sorted(path.name for path in (DOCS / "adr").glob("0*.md"))
    assert listed == files
    for name in files:
        text = page(f"adr/{name}")
        assert re.search(r"^\d{4}-\d\d-\d\d · ", text, re.MULTILINE), name
        assert [part for part in ("## Context", "## Decision", "## Consequences") if part not in text] == [], name
        assert len(text.splitlines()) <= 60, name


# What they name exists -----------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: there is no such heading"


def proofs() -> list[str]:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    return sorted(set(re.findall(r"(tests/[\w/]+\.py::\w+)", texts)))


def test_every_test_that_is_named_as_a_proof_exists() -> None:
    named = proofs()
    assert len(named) > 50
    for proof in named:
        place, _, name = proof.partition("::")
        path = ROOT / place
        assert path.exists(), f"there is no {place}"
        assert re.search(rf"^(async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE), f"no {proof}"


def test_every_requirement_says_yes_partly_or_not_yet_and_what_is_missing() -> None:
    lines = [line for line in page("requirements.md").splitlines() if re.match(r"\| S\d-\d\d", line)]
    ids = [line.split("|")[1].strip() for line in lines]
    assert len(ids) == len(set(ids))
    for line in lines:
        _, number, _, state, proof, _ = (cell.strip() for cell in line.split("|"))
        assert state in ("yes", "partly", "not yet"), number
        assert "::test_" in proof or state != "yes", f"{number} says yes without a test"
        assert re.sub(r"`tests/[^`]*`", "", proof).strip(" .") or state == "yes", f"{number}: what is missing?"


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `surefoot …` line in code blocks, from `surefoot` on; shell comments are left out."""
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            told = line.removeprefix("$ ")
            if re.match(r"(\S*/)?surefoot ", told):
                yield shlex.split(told, comments=True)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_in_a_code_block_exists_with_its_options(path: Path) -> None:
    import typer.main

    top: Any = typer.main.get_command(app)
    for told in commands(path.read_text(encoding="utf-8")):
        command, words = top, told[1:]
        while words and hasattr(command, "get_command") and not words[0].startswith("-"):
            found = command.get_command(None, words[0])
            assert found is not None, f"there is no command {' '.join(told)!r}"
            command, words = found, words[1:]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        known |= {"--help", "--version", "--store", "--json"}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in known, f"{' '.join(told)!r} has no option {word}"


# What they show runs -------------------------------------------------------------------------------------------------


def runnable(text: str) -> list[tuple[str, str]]:
    """The command lines of blocks marked `<!-- run … -->`, each with the output that is shown under it."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^<!-- run[^>]*-->\n```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            found.append((line, output))
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    """Run a line as the tutorial's reader would, with this Surefoot on the path."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "surefoot").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m surefoot "$@"\n')
    (bin_ / "surefoot").chmod(0o755)
    desk = tmp_path / "desk"
    desk.mkdir()
    environment = os.environ | {
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "120",
        "TICKETS": str(ROOT / "src" / "surefoot" / "tickets" / "tickets.jsonl"),
    }  # fmt: skip

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=desk, env=environment, capture_output=True, text=True, timeout=120
        )

    return run


MORE_TICKS = 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_runs_as_it_is_written(shell: Any) -> None:
    """Each command ends as shown, `error:` included; what differs from run to run (ids, hashes) is looked up."""
    lines = runnable(page("tutorial.md"))
    assert len(lines) > 15
    for line, shown in lines:
        done = shell(_with_this_runs_ids(line, shell))
        for _ in range(MORE_TICKS):  # the split is drawn anew: as the tutorial says, it may take another tick
            if line == "surefoot tick desk" and '"number": 2' not in shell("surefoot versions desk --json").stdout:
                done = shell(line)
        failed = shown.startswith("error:")
        assert (done.returncode != 0) == failed, f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        if failed:
            assert done.stderr.splitlines()[0] == shown.splitlines()[0]
    lineage = json.loads(shell("surefoot versions desk --json").stdout)
    assert lineage["live"] == 2
    assert [one["version"] for one in lineage["lineage"]] == [1, 2, 1, 2]


def _with_this_runs_ids(line: str, shell: Any) -> str:
    if "promote-" not in line:
        return line
    waiting: list[dict[str, str]] = []
    for _ in range(4):  # the split is drawn anew for each agent, so the win may take one more day
        waiting = json.loads(shell("surefoot approvals --json").stdout)["approvals"]
        if waiting:
            break
        shell("surefoot import desk tuesday.jsonl --as traffic && surefoot rollout step desk")
    (request,) = waiting
    line = re.sub(r"promote-[\w-]+", request["id"], line)
    line = re.sub(r"--version-hash \w+", f"--version-hash {request['version_hash'][:12]}", line)
    return re.sub(r"--evidence-hash \w+", f"--evidence-hash {request['evidence_hash'][:12]}", line)
