"""The offline gate on real recorded pairs: the worse never pass, the better mostly do, and ties wait.

The public data lie beside the repository; where they are absent these tests are skipped, and a made-up set of pairs
keeps the claims under test. `make bench-gate` prints the full table.
"""

from __future__ import annotations

import gzip
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from surefoot.core.gate import Pair, release_verdict
from surefoot.sdk.gate import gate

MADE_UP = [(0.11, 0.03), (0.16, 0.09), (0.25, 0.05), (0.05, 0.01), (0.30, 0.22), (0.02, 0.10)]


@cache
def verdict(gained: int, lost: int, n: int) -> str:
    before = [{"case_id": k, "score": k >= gained} for k in range(n)]
    after = [{"case_id": k, "score": not gained <= k < gained + lost} for k in range(n)]
    return gate(before, after).decision


@cache
def at_a_slot(gained: int, lost: int, n: int) -> str:
    pairs = [
        Pair(case_id=str(k), incumbent=float(k >= gained), candidate=float(not gained <= k < gained + lost))
        for k in range(n)
    ]
    return release_verdict(pairs, seed="chain", slots=20, slots_left=20).verdict


def drawn(dice: random.Random, gain: float, loss: float, n: int) -> tuple[int, int]:
    lots = [dice.random() for _ in range(n)]
    return sum(lot < gain for lot in lots), sum(gain <= lot < gain + loss for lot in lots)


@pytest.fixture(scope="module")
def proven(shared: Path) -> list[tuple[float, float]]:
    """(gain, loss) chances of each pair with a proven difference, in both directions."""
    path = shared / "data" / "recorded" / "pairs.jsonl"
    if not path.is_file():
        pytest.skip("needs the recorded pairs in ../shared/data/recorded")
    known: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    one_way = [(row["gained"] / row["n"], row["lost"] / row["n"]) for row in known if row["verdict"] != "undecided"]
    return one_way + [(loss, gain) for gain, loss in one_way]


def words(pairs: list[tuple[float, float]], n: int, sets: int) -> list[str]:
    dice = random.Random(n)
    return [verdict(*drawn(dice, gain, loss, n), n) for gain, loss in pairs for _ in range(sets)]


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 100, 200, 400])
def test_recorded_pairs_that_are_worse_never_pass(proven: list[tuple[float, float]], n: int) -> None:
    asked = words([one for one in proven if one[0] < one[1]], n, 12)
    assert asked.count("pass") / len(asked) <= 0.005


@pytest.mark.slow
def test_recorded_gains_of_five_to_ten_points_mostly_pass_at_two_hundred(proven: list[tuple[float, float]]) -> None:
    pairs = [one for one in proven if 0.05 <= one[0] - one[1] <= 0.10]
    assert len(pairs) >= 10
    asked = words(pairs, 200, 30)
    assert asked.count("pass") / len(asked) >= 0.70
    assert asked.count("fail") / len(asked) <= 0.005


def test_forty_cases_wait_where_two_hundred_decide() -> None:
    few, many = words(MADE_UP, 40, 12), words(MADE_UP, 200, 12)
    assert few.count("inconclusive") > 2 * many.count("inconclusive")
    worse = words([one for one in MADE_UP if one[0] < one[1]], 200, 40)
    assert worse.count("pass") == 0


@pytest.mark.slow
def test_twenty_tied_challengers_promote_one_in_at_most_five_percent_of_chains() -> None:
    dice, chains, promoted = random.Random(20), 600, 0
    for number in range(chains):
        rate = (0.06, 0.12, 0.25, 0.4)[number % 4] / 2
        promoted += any(at_a_slot(*drawn(dice, rate, rate, 200), 200) == "pass" for _ in range(20))
    assert promoted / chains <= 0.05


@pytest.mark.slow
def test_the_class_that_ag_news_loses_is_blocked_and_flagged_at_two_hundred(shared: Path) -> None:
    path = shared / "data" / "recorded" / "prompt_optimisation" / "ag_news_outcomes.jsonl.gz"
    if not path.is_file():
        pytest.skip("needs the recorded outcomes of ag_news in ../shared/data/recorded")
    with gzip.open(path, "rt") as lines:
        known: list[dict[str, Any]] = [json.loads(line) for line in lines]
    old, new = ({row["case_id"]: row for row in known if row["variant"] == name} for name in ("baseline", "confidence"))
    dice, sets, blocked, flagged = random.Random(14), 300, 0, 0
    for _ in range(sets):
        cases = dice.sample(sorted(old), 200)
        sides = ([{"case_id": c, "score": side[c]["success"], "label": side[c]["expected"]} for c in cases]
                 for side in (old, new))  # fmt: skip
        found = gate(*sides, slices="label")
        names = {one.name for one in found.blocks}
        blocked += "label=Business" in names
        flagged += "label=Business" in names | {one.name for one in found.flags}
    # The true shares are 74 % and 86 % (4 000 sets); 300 sets may show three points less.
    assert blocked / sets >= 0.70
    assert flagged / sets >= 0.82
