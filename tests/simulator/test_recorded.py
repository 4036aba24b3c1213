"""Recorded outcomes replayed as a canary decide as the records are; what cannot be read is named by its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from surefoot.core.errors import Invalid, NotFound, Unavailable
from surefoot.simulator.recorded import both, load_outcomes, replay


def written(path: Path, right: dict[str, float], cases: int = 400) -> Path:
    rows = [
        {"case_id": f"c{n}", "variant": name, "success": n < share * cases} for name, share in right.items()
        for n in range(cases)
    ]  # fmt: skip
    text = "\n".join(json.dumps(one) for one in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz"])
def test_a_better_variant_wins_most_orders_and_a_worse_one_none(tmp_path: Path, name: str) -> None:
    outcomes = load_outcomes(written(tmp_path / name, {"old": 0.7, "new": 0.85}))
    better = [replay(both(outcomes, "old", "new"), seed=n).state for n in range(5)]
    worse = [replay(both(outcomes, "new", "old"), seed=n) for n in range(5)]
    assert better.count("awaiting_approval") >= 4
    assert [one.state for one in worse] == ["rolled_back"] * 5
    assert all(one.challenger < 200 for one in worse)
    assert replay(both(outcomes, "old", "new"), seed=1) == replay(both(outcomes, "old", "new"), seed=1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"case_id": "a", "variant": "x", "success": true}\n{oops', "line 2: this is not JSON"),
        ("[1]", "line 1: this is no JSON object"),
        ('{"variant": "x", "success": true}', "line 1: case_id and variant"),
        ('{"case_id": "a", "variant": "x"}', "line 1: no outcome"),
        ("", "holds no outcome"),
    ],
)
def test_a_broken_file_is_refused_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(text)
    with pytest.raises(Invalid, match=says):
        load_outcomes(path)


def test_unknown_variants_files_and_strangers_are_told(tmp_path: Path) -> None:
    outcomes = {"old": {"a": True}, "new": {"b": False}}
    with pytest.raises(NotFound, match="newer"):
        both(outcomes, "old", "newer")
    with pytest.raises(Invalid, match="no case in common"):
        both(outcomes, "old", "new")
    with pytest.raises(Unavailable, match="cannot be read"):
        load_outcomes(tmp_path / "nothing.jsonl")
    (tmp_path / "x.gz").write_bytes(b"no gzip")
    with pytest.raises(Unavailable, match="cannot be read"):
        load_outcomes(tmp_path / "x.gz")
