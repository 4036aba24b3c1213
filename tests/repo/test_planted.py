"""The planted repositories are what they claim: eight things are wrong, each fix mends one, and the suite sees none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import planted
import pytest
from planted import EXAMPLE, HIDDEN, git, passing, plant

sys.path.insert(0, str(EXAMPLE))
import stand_in

from surefoot.core.repo.levers import FILE, levers
from surefoot.core.repo.paper import paper

LEVERS = levers(paper(FILE, (EXAMPLE / "levers.md").read_text()))


def suite(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-B", "-m", "unittest"], cwd=folder, capture_output=True, text=True)


def prompt(lever_id: str, *, again: bool = False) -> str:
    (lever,) = [one for one in LEVERS if one.id == lever_id]
    tried = "\n\nTried before:\n- 2026-01-01 00:00:00 tick 1 gate_failed (unittest)" if again else ""
    return f"# The one lever of this tick: {lever.id} {lever.title}\n\n{lever.text}{tried}\n"


def test_at_first_every_hidden_test_is_red_and_the_suite_is_green(tmp_path: Path):
    top = plant(tmp_path)
    assert passing(top, "HEAD") == set()
    assert suite(top).returncode == 0
    assert git(top, "status", "--porcelain") == ""


def test_each_fix_turns_its_own_hidden_test_green_and_no_other(tmp_path: Path):
    top = plant(tmp_path)
    green: set[str] = set()
    for lever in HIDDEN:
        stand_in.work(prompt(lever, again=True), top)
        planted.commit(top, lever)
        green.add(lever)
        assert passing(top, "HEAD") == green
        assert len(planted.changed_files(top, "HEAD")) == 2
    assert suite(top).returncode == 0


def test_the_first_try_at_the_weights_breaks_the_suite(tmp_path: Path):
    top = plant(tmp_path)
    stand_in.work(prompt("L-004"), top)
    assert "1.5 kg" in suite(top).stderr


def test_the_last_lever_is_built_on_a_wrong_premise(tmp_path: Path):
    top = plant(tmp_path)
    assert stand_in.work(prompt("L-009"), top).startswith("PREMISE MISMATCH")
    assert git(top, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "variant",
    [{"dos": True}, {"submodule": True}, {"detached": True}, {"older_commits": 300}],
    ids=lambda v: next(iter(v)),
)
def test_every_variant_is_a_clean_repository_with_the_same_defects(tmp_path: Path, variant: dict):
    top = plant(tmp_path, **variant)
    assert git(top, "status", "--porcelain") == ""
    assert passing(top, "HEAD") == set()
    if "dos" in variant:
        stand_in.work(prompt("L-001"), top)
        assert b"\n" not in (top / "shop/bill.py").read_bytes().replace(b"\r\n", b"")
        assert git(top, "diff", "--numstat", "shop").split() == ["2", "1", "shop/bill.py"]
    if "submodule" in variant:
        assert git(top, "ls-files", "-s", "vendor/labels").startswith("160000")
    if "detached" in variant:
        assert git(top, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    if "older_commits" in variant:
        assert int(git(top, "rev-list", "--count", "HEAD")) == 301
