"""The worked example of an improver in a package of its own: installed, named by doctor, and run in a real tick."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "improver"
LABELS = "account,billing,delivery,technical,warranty"


@pytest.fixture
def plain_words(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the example where `pip install examples/improver` would, with the metadata that it would write."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(EXAMPLE / "src" / "plain_words", site / "plain_words", ignore=shutil.ignore_patterns("__pycache__"))
    about = site / f"plain_words-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [
        line
        for group, named in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {entry}" for name, entry in named.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(points) + "\n")
    monkeypatch.syspath_prepend(str(site))
    return site


def monday(desk: Path) -> str:
    """Requests with what would have been right, as the tutorial takes them."""
    lines = files("surefoot.tickets").joinpath("tickets.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    wanted = [row for row in rows if row["expected"] in LABELS.split(",")][:420]
    (desk / "monday.jsonl").write_text("".join(json.dumps(row) + "\n" for row in wanted))
    return "monday.jsonl"


def test_the_example_writes_the_proposals_of_a_real_tick(cli, desk: Path, plain_words: Path) -> None:
    cli("init", "desk", "--labels", LABELS, "--improver", "plain-words", "--task", "Sort the tickets.")
    cli("import", "desk", monday(desk), "--as", "traffic")
    ran = cli("tick", "desk", "--json").json
    print(ran)
    assert ran["outcome"] in ("accepted", "rejected", "inconclusive"), ran
    assert "plain_words" not in sys.modules


def test_the_doctor_names_it_its_package_and_the_walls_and_imports_nothing(cli, desk: Path, plain_words: Path) -> None:
    (desk / "surefoot.toml").write_text('[improvers.plain-words]\nenv = ["MY_KEY"]\n[improvers.gone]\n')
    checks = cli("doctor", "--json").json["checks"]
    about = [(check["detail"], check["hint"]) for check in checks if check["name"] == "improver plain-words"]
    assert about == [("plain_words:propose of the package plain-words", ""), ("its variable MY_KEY is not set", "")]
    (gone,) = [check for check in checks if check["name"] == "improver gone"]
    assert "no package offers it" in gone["detail"]
    (walls,) = [check["detail"] for check in checks if check["name"] == "walls around improvers"]
    assert "files" in walls
    assert "network" in walls
    assert "plain_words" not in sys.modules


def test_without_improvers_of_others_the_doctor_says_nothing_of_them(cli, desk: Path) -> None:
    assert not [check for check in cli("doctor", "--json").json["checks"] if "improver" in check["name"]]


@pytest.mark.parametrize("line", ['env = ["SUREFOOT_STORE"]', 'env = ["LD_PRELOAD"]', "ports = [0]", 'sandbox = "no"'])
def test_a_setting_that_would_open_a_wall_is_refused(line: str, cli, desk: Path) -> None:
    (desk / "surefoot.toml").write_text(f"[improvers.plain-words]\n{line}\n")
    assert "improvers.plain-words" in cli("agents", code=2).err
