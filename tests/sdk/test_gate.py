"""The gate from outside: two recordings, one verdict; what is missing, doubled or out of range is said, not guessed."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import surefoot
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.gate import Pair, release_verdict
from surefoot.sdk.gate import gate

Row = dict[str, Any]


def rows(scores: list[float | None], **fields: Any) -> list[Row]:
    return [
        {"case_id": f"c{n}", "score": score, **{k: v[n] if isinstance(v, list) else v for k, v in fields.items()}}
        for n, score in enumerate(scores)
    ]


OLD = rows([0.0] * 30 + [1.0] * 70)
NEW = rows([1.0] * 20 + [0.0] * 10 + [1.0] * 68 + [0.0] * 2)


def test_the_package_top_gives_the_gate_without_importing_it_before() -> None:
    assert surefoot.gate is gate
    code = "import sys, surefoot; assert 'surefoot.sdk.gate' not in sys.modules; surefoot.gate; print('ok')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "ok\n"


def test_a_better_candidate_passes_its_mirror_fails_and_a_twin_is_inconclusive() -> None:
    better, worse, twin = gate(OLD, NEW), gate(NEW, OLD), gate(OLD, OLD)
    assert [one.decision for one in (better, worse, twin)] == ["pass", "fail", "inconclusive"]
    assert (better.gained, better.lost, better.n, better.test) == (20, 2, 100, "sign test")
    assert better.p is not None
    assert better.p < 1e-4
    assert twin.p == 1.0
    assert twin.n_needed is not None
    assert "Not proven" in twin.sentence


def test_twelve_cases_prove_nothing_and_the_answer_says_how_many_would() -> None:
    found = gate(OLD[18:30], NEW[18:30])
    assert (found.decision, found.gained, found.lost) == ("inconclusive", 2, 0)
    assert found.power is not None
    assert found.power < 0.3
    assert found.n_needed is not None
    assert found.n_needed > 100


def test_a_slice_that_loses_blocks_a_gain_and_is_named() -> None:
    kinds = ["science"] * 60 + ["business"] * 40
    found = gate(
        rows([0.0] * 40 + [1.0] * 60, kind=kinds, region="eu"),
        rows([1.0] * 90 + [0.0] * 10, kind=kinds, region="eu"),
        slices=["kind", "region"],
    )
    assert (found.decision, found.reason) == ("fail", "slice_blocked")
    assert [one.name for one in found.blocks] == ["kind=business"]
    assert gate(rows([0.0] * 40 + [1.0] * 60), rows([1.0] * 90 + [0.0] * 10)).decision == "pass"


def test_graded_scores_are_judged_by_the_e_process() -> None:
    dice = random.Random(1)
    old = [dice.uniform(0.2, 0.6) for _ in range(80)]
    found = gate(rows(list(old)), rows([score + 0.3 for score in old]))
    assert (found.decision, found.test) == ("pass", "betting e-process")
    assert found.p is not None
    assert found.p <= 0.05
    assert gate(rows(list(old)), rows(list(old))).p == 1.0


def test_repeats_of_a_case_count_as_one_case() -> None:
    doubled = gate(OLD + OLD + OLD, NEW)
    assert (doubled.n, doubled.gained, doubled.lost, doubled.p) == (100, 20, 2, gate(OLD, NEW).p)
    mixed = gate([*OLD, {"case_id": "c99", "score": 0}], NEW)
    assert mixed.test == "betting e-process"


def test_the_order_of_the_rows_changes_nothing() -> None:
    shuffled = random.Random(3).sample(NEW, len(NEW))
    assert gate(OLD, shuffled) == gate(OLD, NEW)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (OLD, NEW[3:], r"the candidate lacks 3 of 100 cases: c0, c1, c2"),
        (OLD[:-8], NEW, r"the incumbent lacks 8 of 100 cases: c92, c93, c94, c95, c96 and 3 more"),
        (OLD, [*NEW[1:], {"case_id": "c0", "score": 1.01}], r"candidate, row 100: the score 1.01 is not in \[0, 1\]"),
        (OLD, [{"case_id": "c0", "score": float("nan")}], "nan is not in"),
        (OLD, [{"case_id": "c0", "score": "1"}], "'1' is not in"),
        (OLD, [{"case_id": "c0"}], "there is no score"),
        ([{"score": 1}], NEW, "row 1: case_id is None"),
        ([{"case_id": True, "score": 1}], NEW, "case_id is True"),
        ([], NEW, "the incumbent holds no case"),
        ([["c0", 1]], NEW, "is no mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_named(old: Any, new: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        gate(old, new)


def test_a_slice_that_is_not_there_or_disagrees_is_refused() -> None:
    with pytest.raises(Invalid, match="no row has the field 'lable'"):
        gate(rows([1.0], label="a"), rows([1.0], label="a"), slices="lable")
    with pytest.raises(Invalid, match="label=a for the incumbent and label=b for the candidate"):
        gate(rows([1.0], label="a"), rows([1.0], label="b"), slices="label")
    with pytest.raises(Invalid, match="case 'c0' is label=b here and label=a before"):
        gate(rows([1.0], label="a") + rows([1.0], label="b"), rows([1.0]), slices="label")
    with pytest.raises(Invalid, match=r"the slice label is \['a'\]"):
        gate([{"case_id": "c0", "score": 1, "label": ["a"]}], rows([1.0]), slices="label")
    with pytest.raises(Invalid, match="level 0 is impossible"):
        gate(OLD, NEW, alpha=0)


def test_unknown_scores_are_no_successes_and_too_many_of_them_decide_nothing() -> None:
    hidden = [{**row, "score": None} if row["score"] == 0 and n > 90 else row for n, row in enumerate(NEW)]
    found = gate(OLD, hidden)
    assert (found.decision, found.unscored, found.lost) == ("pass", 2, 0)
    many = [{**row, "score": None} if row["score"] == 0 else row for row in NEW]
    assert (gate(OLD, many).decision, gate(OLD, many).reason) == ("inconclusive", "too_many_unscored")
    assert gate(OLD, rows([None] * 100)).decision == "inconclusive"


def test_files_are_read_as_rows_are(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_text("\n".join(map(json.dumps, OLD)) + "\n\n", encoding="utf-8-sig")
    with gzip.open(packed, "wt") as file:
        file.write("\n".join(map(json.dumps, NEW)))
    assert gate(plain, str(packed)) == gate(OLD, NEW)
    with pytest.raises(Unavailable, match=r"nothing\.jsonl cannot be read"):
        gate(tmp_path / "nothing.jsonl", packed)
    plain.write_text('{"case_id": "c0", "score": 1}\n{"case_id"')
    with pytest.raises(Invalid, match=r"a\.jsonl, line 2: this is not JSON"):
        gate(plain, packed)
    plain.write_text("[" * 100_000)
    with pytest.raises(Invalid, match="line 1"):
        gate(plain, packed)
    plain.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match="is not UTF-8"):
        gate(plain, packed)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.sampled_from([0.01, 0.05, 0.2]))
def test_it_decides_what_the_products_own_gate_decides(sides: list[tuple[bool, bool]], alpha: float) -> None:
    mine = gate(rows([float(a) for a, _ in sides]), rows([float(b) for _, b in sides]), alpha=alpha)
    pairs = [Pair(case_id=str(n), incumbent=float(a), candidate=float(b)) for n, (a, b) in enumerate(sides)]
    theirs = release_verdict(pairs, seed="x", slots=1, slots_left=1, alpha=alpha)
    assert (mine.decision, mine.p, mine.sentence) == (theirs.verdict, theirs.p_value, theirs.sentence)
    back = gate(rows([float(b) for _, b in sides]), rows([float(a) for a, _ in sides]), alpha=alpha)
    assert {mine.decision, back.decision} != {"pass"}


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, None]), min_size=1, max_size=30))
def test_a_version_never_passes_against_itself(scores: list[float | None]) -> None:
    assert gate(rows(scores), rows(scores)).decision == "inconclusive"


# Bare scores ----------------------------------------------------------------------------------------------------------


def test_bare_scores_by_position_or_by_case_say_the_same_as_rows():
    old, new = [0, 1, 0, 1, 0, 0, 1, 0], [1, 1, 1, 1, 1, 1, 1, 0]
    by_position = gate(old, new)
    by_case = gate({str(n): s for n, s in enumerate(old)}, {str(n): s for n, s in enumerate(new)})
    as_rows = gate(*([{"case_id": str(n), "score": s} for n, s in enumerate(side)] for side in (old, new)))
    assert by_position == by_case == as_rows
    assert by_position.gained == 4


@pytest.mark.parametrize("homes", [
    ["Business"] * 60 + ["Sports"] * 60, {str(n): "Business" if n < 60 else "Sports" for n in range(120)},
    [{"slice": "Business"}] * 60 + [{"slice": "Sports"}] * 60,
])  # fmt: skip
def test_bare_scores_take_a_slice_for_each_case(homes):
    old, new = [1] * 60 + [0] * 60, [0] * 15 + [1] * 105
    assert gate(old, new).decision == "pass"
    found = gate(old, new, slices=homes)
    assert (found.decision, [one.name for one in found.blocks]) == ("fail", ["slice=Business"])


@pytest.mark.parametrize(("old", "new", "slices", "what"), [
    ([1, 1], [1], None, "lacks 1 of 2 cases"), ([1, 0], [1, 1], ["a"], "1 slices for 2 cases"),
    ([1], [1], "kind", "no field 'kind'"), ([2], [1], None, "not in"), ([], [], None, "holds no case"),
])  # fmt: skip
def test_bare_scores_that_make_no_sense_are_refused(old, new, slices, what):
    with pytest.raises(Invalid, match=what):
        gate(old, new, slices)
