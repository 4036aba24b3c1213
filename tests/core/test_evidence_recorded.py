"""Real recorded outcomes: the hidden slice is named, and canaries replayed on them decide rightly.

The public data sets lie beside the repository; where they are absent these tests are skipped, and a small made-up
set of the same shape keeps the claims under test.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from surefoot.core.evidence.rollout import Stratum
from surefoot.core.gate import Pair, release_verdict
from surefoot.core.rollout import RolloutFacts, RolloutSettings, next_step

NOW = datetime(2033, 1, 1, tzinfo=UTC)
Outcomes = Mapping[str, Mapping[str, bool]]


@pytest.fixture(scope="session")
def ag_news(shared: Path) -> tuple[Outcomes, Mapping[str, str]]:
    """Per case: success by prompt, and the class."""
    path = shared / "data" / "recorded" / "prompt_optimisation" / "ag_news_outcomes.jsonl.gz"
    if not path.is_file():
        pytest.skip("needs the recorded outcomes of ag_news in ../shared/data/recorded")
    outcomes: dict[str, dict[str, bool]] = {}
    classes: dict[str, str] = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            outcomes.setdefault(row["case_id"], {})[row["variant"]] = row["success"]
            classes[row["case_id"]] = row["expected"]
    return outcomes, classes


def made_up() -> tuple[Outcomes, Mapping[str, str]]:
    """Four classes of 100 cases; the new prompt gains 14 of Science and loses 12 of Business for none gained."""
    outcomes: dict[str, dict[str, bool]] = {}
    classes: dict[str, str] = {}
    for kind, gained, lost in (("Business", 0, 12), ("Science", 34, 2), ("Sports", 1, 1), ("World", 5, 1)):
        for i in range(100):
            case = f"{kind}-{i}"
            classes[case] = kind
            outcomes[case] = {"old": not i < gained, "new": not gained <= i < gained + lost}
    return outcomes, classes


def pairs(outcomes: Outcomes, classes: Mapping[str, str], old: str, new: str, cases: Sequence[str]) -> list[Pair]:
    return [
        Pair(
            case_id=case,
            incumbent=float(outcomes[case][old]),
            candidate=float(outcomes[case][new]),
            slices={"label": classes[case]},
        )
        for case in cases
    ]


def replay(outcomes: Outcomes, old: str, new: str, *, dice: random.Random, looks: int = 60) -> str:
    """Serve random recorded requests, 100 a look, until the operator decides; gives the last state."""
    cases = list(outcomes)
    p0 = 1 - sum(outcomes[case][old] for case in cases) / len(cases)
    settings = RolloutSettings(baseline_rate=p0, ledger_slots=None)
    weight, epoch = 5.0, 1
    strata: list[Stratum] = []
    for _ in range(looks):
        counts = {
            "challenger_failures": 0,
            "challenger_successes": 0,
            "incumbent_failures": 0,
            "incumbent_successes": 0,
        }
        for case in dice.choices(cases, k=100):
            arm, version = ("challenger", new) if dice.random() < weight / 100 else ("incumbent", old)
            counts[f"{arm}_{'successes' if outcomes[case][version] else 'failures'}"] += 1
        strata.append(Stratum(epoch=epoch, weight_percent=weight, **counts))
        facts = RolloutFacts(
            settings=settings,
            state="canary",
            weight_percent=weight,
            epoch=epoch,
            started_at=NOW,
            strata=tuple(strata),
        )
        step = next_step(facts, NOW)
        weight, epoch = step.weight_percent, step.epoch
        if step.state != "canary":
            return step.state
    return "canary"


@pytest.mark.parametrize("size", [400, 2000])
def test_the_gain_on_ag_news_is_refused_because_business_loses(
    ag_news: tuple[Outcomes, Mapping[str, str]], size: int
) -> None:
    outcomes, classes = ag_news
    cases = random.Random(6).sample(sorted(outcomes), size)
    verdict = release_verdict(
        pairs(outcomes, classes, "baseline", "confidence", cases), seed="ag_news", slots=20, slots_left=20
    )
    assert (verdict.verdict, verdict.reason) == ("fail", "slice_blocked")
    assert [one.name for one in verdict.blocked] == ["label=Business"]
    assert "label=Business" in verdict.sentence
    assert verdict.tally.gained > verdict.tally.lost


def test_shuffled_classes_of_ag_news_are_seldom_blocked(ag_news: tuple[Outcomes, Mapping[str, str]]) -> None:
    outcomes, classes = ag_news
    dice, blocked = random.Random(8), 0
    for run in range(60):
        cases = dice.sample(sorted(outcomes), 400)
        labels = [classes[case] for case in cases]
        dice.shuffle(labels)
        found = pairs(outcomes, dict(zip(cases, labels, strict=True)), "baseline", "confidence", cases)
        blocked += release_verdict(found, seed=str(run), slots_left=20).reason == "slice_blocked"
    assert blocked <= 0.08 * 60


def test_canaries_replayed_on_ag_news_promote_the_better_prompt_and_never_the_worse(
    ag_news: tuple[Outcomes, Mapping[str, str]],
) -> None:
    outcomes, _ = ag_news
    dice = random.Random(9)
    better = [replay(outcomes, "baseline", "confidence", dice=dice) for _ in range(12)]
    worse = [replay(outcomes, "confidence", "baseline", dice=dice) for _ in range(12)]
    assert better.count("awaiting_approval") >= 6
    assert worse.count("awaiting_approval") == 0


def test_a_made_up_set_of_the_same_shape_is_refused_by_name() -> None:
    outcomes, classes = made_up()
    verdict = release_verdict(pairs(outcomes, classes, "old", "new", list(outcomes)), seed="x", slots=5, slots_left=5)
    assert (verdict.verdict, [one.name for one in verdict.blocked]) == ("fail", ["label=Business"])
    back = release_verdict(pairs(outcomes, classes, "new", "old", list(outcomes)), seed="x", slots=5, slots_left=5)
    assert back.verdict == "fail"


def test_canaries_replayed_on_the_made_up_set_decide_as_it_is() -> None:
    outcomes, _ = made_up()
    dice = random.Random(10)
    flipped = {case: {"old": versions["new"], "new": versions["old"]} for case, versions in outcomes.items()}
    better = [replay(outcomes, "old", "new", dice=dice) for _ in range(8)]
    worse = [replay(flipped, "old", "new", dice=dice) for _ in range(8)]
    assert better.count("awaiting_approval") >= 3
    assert worse.count("awaiting_approval") == 0
