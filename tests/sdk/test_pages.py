"""What the page and the example show runs, with nothing but the offline model, and it is typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-one-decorator.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "one-decorator" / "sort_mails.py"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    _run(tmp_path, "-m", "surefoot", "init", "classifier", "--labels", "billing,refund,other")
    return tmp_path


def _run(folder: Path, *words: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT")}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env={**environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_of_the_page_runs_as_it_stands(desk: Path) -> None:
    (desk / "page.py").write_text(BLOCKS[0], encoding="utf-8")
    first, second = _run(desk, "page.py").splitlines()
    assert first in [str({"label": label, "version": 1}) for label in ("billing", "refund", "other")]
    assert second == "['invoice']"


@pytest.mark.slow
def test_the_example_runs_and_its_outcomes_are_there(desk: Path) -> None:
    assert [line.partition(":")[0] for line in _run(desk, str(EXAMPLE)).splitlines()] == ["ada", "bob", "cleo"]
    shown = _run(desk, "-m", "surefoot", "memory", "get", "classifier", "last-run", "--json")
    assert '"mails": 3' in shown


@pytest.mark.slow
def test_the_page_and_the_example_are_typed(tmp_path: Path) -> None:
    """Strict pyright finds nothing to say about them, and knows what comes back."""
    reveals = """
async def types() -> None:
    reveal_type(await classify('x', 'y'))
    reveal_type(await agent.ai('x', schema=Revision))
    reveal_type([piece async for piece in agent.ai.stream('x')])
    reveal_type(agent.sync.ai('x'))
    reveal_type(list(agent.sync.ai.stream('x')))
"""
    (tmp_path / "page.py").write_text("".join(BLOCKS) + reveals, encoding="utf-8")
    (tmp_path / "example.py").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"typeCheckingMode": "strict", "extraPaths": ["{ROOT / "src"}"], "reportImportCycles": false}}'
    )
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "."], cwd=tmp_path, capture_output=True,
        text=True, timeout=100,
    )  # fmt: skip
    assert "0 errors, 0 warnings" in done.stdout, done.stdout
    assert "Type of \"await classify('x', 'y')\" is \"dict[str, str | int]\"" in done.stdout
    assert 'Type of "await agent.ai(\'x\', schema=Revision)" is "Revision"' in done.stdout
    assert done.stdout.count('agent.ai.stream(\'x\')]" is "list[str]"') == 1
    assert 'Type of "agent.sync.ai(\'x\')" is "str"' in done.stdout
    assert 'Type of "list(agent.sync.ai.stream(\'x\'))" is "list[str]"' in done.stdout
