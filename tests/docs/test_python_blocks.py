"""Python that a page tells a reader to run, runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
RUNS = {"how-to/optimise-a-prompt.md": "Help customers.\n- Name the invoice number."}


@pytest.mark.parametrize("page", RUNS)
def test_the_python_of_a_page_runs_and_prints_what_it_promises(page, capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(block, page, "exec"), {})
    assert RUNS[page] in capsys.readouterr().out
