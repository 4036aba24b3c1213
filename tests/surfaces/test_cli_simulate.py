"""Simulation and replay from the command line, without a store."""

from __future__ import annotations

import json

import pytest


def test_a_simulation_prints_rows_and_writes_plots(cli, desk):
    pytest.importorskip("numpy")
    told = cli("simulate", "--policy", "surefoot", "--policy", "seed", "--scenario", "worse_2.33", "--replications",
               "40", "--svg", "plots", "--json")  # fmt: skip
    rows = told.json["rows"]
    assert [(row["policy"], row["scenario"], row["replications"]) for row in rows] == [
        ("surefoot", "worse_2.33", 40), ("seed", "worse_2.33", 40)
    ]  # fmt: skip
    assert rows[0]["rollback"] >= 90
    assert (desk / "plots" / "worse_2.33.svg").read_text().startswith("<svg")
    assert "worse_2.33" in cli("simulate", "--policy", "seed", "--scenario", "worse_2.33", "--replications", "10").out
    assert not (desk / ".surefoot").exists()


def test_an_unknown_policy_is_told_which_there_are(cli):
    pytest.importorskip("numpy")
    assert "surefoot, seed" in cli("simulate", "--policy", "ours", code=2).err


def test_recorded_outcomes_are_replayed(cli, desk):
    pytest.importorskip("numpy")
    rows = [
        {"case_id": f"c{n}", "variant": name, "success": n < share}
        for name, share in (("old", 140), ("new", 170)) for n in range(200)
    ]  # fmt: skip
    (desk / "o.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = cli("replay", "o.jsonl", "--incumbent", "old", "--challenger", "new", "--orders", "3", "--json").json
    assert (told["cases"], told["orders"], sum(told["states"].values())) == (200, 3, 3)
    assert "there is no variant 'x'" in cli("replay", "o.jsonl", "--incumbent", "old", "--challenger", "x", code=2).err
