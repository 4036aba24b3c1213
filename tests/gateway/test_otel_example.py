"""The example of an instrumented program runs as a stranger runs it: as it is, with the variables of its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_house import TOKEN, House
from node_house import node_with

EXAMPLE = Path(__file__).parents[2] / "examples" / "opentelemetry"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


def environ(house: House) -> dict[str, str]:
    """The environment of the page, with this server's address and token."""
    told = dict(re.findall(r"^export (OTEL_\w+)=\"?([^\"\n]+)\"?$", README, re.MULTILINE))
    assert len(told) == 2
    told = {
        name: value.replace("http://127.0.0.1:8420", house.url).replace("$SUREFOOT_TOKEN", TOKEN)
        for name, value in told.items()
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}, **told}


def test_the_program_of_the_example_leaves_its_traces(house: House) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE / "answer.py"], env=environ(house), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    ids = re.findall(r"\(([0-9a-f]{32})\)", done.stdout)
    traces = {one.id.replace("-", ""): one for one in house.traces()}
    assert [(traces[name].input, traces[name].output, traces[name].session) for name in ids] == [
        ("I want my money back", "refund", "s-0"), ("Where are you?", "other", "s-1"),
        ("urgent: call me", "other", "s-2"),
    ]  # fmt: skip
    (failure,) = house.failures()
    assert "nobody was there to ask" in failure
    assert len(house.app.store.read_now(lambda tx: tx.spans.of_trace(ids[0]))) == 2


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_same_for_node(house: House, tmp_path: Path) -> None:
    packages = re.findall(r"@opentelemetry/\S+", README)
    folder = node_with(tmp_path, EXAMPLE / "answer.mjs", *packages)
    done = subprocess.run(
        [folder / "node", "answer.mjs"], cwd=folder, env=environ(house), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    ids = re.findall(r"\(([0-9a-f]{32})\)", done.stdout)
    assert len(ids) == 2
    assert {one.id.replace("-", "") for one in house.traces()} == set(ids)
