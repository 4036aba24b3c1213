"""What rules for canaries promote, kill and leave open: in simulated worlds, on recorded pairs, on the paired road.

The first table is the reference setting of docs/why/evidence.md: 300 requests a day, a look every two hours, forty
days, failure rate .15 frozen before the start, ledger off. The others need recorded outcomes beside the repository.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from surefoot.core.evidence.paired import BETS
from surefoot.core.gate import Pair, release_verdict
from surefoot.simulator.policies import FlaggerLike, Policy, policies
from surefoot.simulator.recorded import load_outcomes
from surefoot.simulator.table import REFERENCE, Row, row_of, simulated
from surefoot.simulator.twin import Surefoot
from surefoot.simulator.world import PROMOTED, RUNNING, SCENARIOS, Scenario

WIN, HARM, CAP = 20.0, 10.0, 2000


def table(replications: int, others: int) -> list[Row]:
    """Run every policy through every scenario; ours with the most replications."""
    rows: list[Row] = []
    for scenario, world in SCENARIOS.items():
        for name, policy in policies(REFERENCE).items():
            count = replications if name == "surefoot" else others
            rows.append(row_of(name, scenario, simulated(policy, world, replications=count, seed=11)))
            row = rows[-1]
            print(
                f"{scenario:<18} {name:<9} promote {row.promote:5.1f} ({row.promote_low:.1f} to {row.promote_high:.1f})"
                f"  roll back {row.rollback:5.1f}  open {row.inconclusive:5.1f}"
                f"  requests to kill {_few(row.chal_rollback):>6}  days to promote {_few(row.days_promote):>5}"
                f"  n {row.replications}", flush=True,
            )  # fmt: skip
    return rows


def serial_ties(replications: int, challengers: int = 20) -> dict[str, Any]:
    """Promote any of twenty tied challengers, one after another, with as many slots declared."""
    settings = replace(REFERENCE, ledger_slots=challengers)
    one = row_of("surefoot", "equal", simulated(Surefoot(settings), SCENARIOS["equal"], replications=replications,
                                                seed=12))  # fmt: skip
    chance, worst = (1 - (1 - share / 100) ** challengers for share in (one.promote, one.promote_high))
    print(f"\n{challengers} tied challengers in a row, {challengers} slots: any false promotion {chance:.1%}"
          f" (at most {worst:.1%})")  # fmt: skip
    return {"challengers": challengers, "any_false_promotion": chance, "at_most": worst, "replications": replications}


def pairs(path: Path, orders: int) -> list[dict[str, Any]]:
    """Replay each public pair as a canary, in random orders of 6 000 requests, a look at every hundred."""
    known = [json.loads(line) for line in path.read_text().splitlines()]
    rows: list[dict[str, Any]] = []
    for name in ("surefoot", "seed", "flagger"):
        ended: list[dict[str, Any]] = []
        for number, pair in enumerate(known):
            old, new = 1 - pair["p_incumbent"], 1 - pair["p_challenger"]
            frozen = min(0.98, max(0.005, old))
            base, risk = max(old, 1e-6), new / max(old, 1e-6)
            world = Scenario(base=lambda _day, rate=base: rate, risk=risk, requests_a_day=1200, days=5)
            settings = replace(REFERENCE, baseline_rate=frozen)
            run = simulated(_policy(name, settings, frozen), world, replications=orders, seed=number)
            mine, all_of_them = run.served.astype(float), run.requests.astype(float)
            ended.append({
                "verdict": _verdict_of(pair), "promoted": float((run.state == PROMOTED).mean()),
                "regret": float((mine * max(0, new - old) + (all_of_them - mine) * max(0, old - new)).mean()),
                "requests": _median(all_of_them[run.state != RUNNING]),
            })  # fmt: skip
        rows.append({"policy": name, **_pair_row(ended)})
        row = rows[-1]
        print(f"{name:<9} worse promoted {row['worse_promoted']:5.1f} %  better {row['better_promoted']:5.1f} %"
              f"  missed {row['better_missed']:5.1f} %  unproven: leaning up {row['leaning_better_promoted']:5.1f} %,"
              f" not better {row['not_better_promoted']:5.1f} %"
              f"  extra failures {row['regret']:6.1f}  requests to decision {_few(row['requests'])}")  # fmt: skip
    return rows


def _policy(name: str, settings: Any, rate: float) -> Policy:
    policy = policies(settings)[name]
    if isinstance(policy, FlaggerLike):
        policy.limit = rate + 0.03  # its limit is set from the incumbent, as a person would
    return policy


def _verdict_of(pair: Mapping[str, Any]) -> str:
    """Better or worse where that is proven at p < .01; else which side the record leans to."""
    if pair["verdict"] in ("better", "worse"):
        return pair["verdict"]
    return "leans better" if pair["p_challenger"] > pair["p_incumbent"] else "not better"


def _pair_row(ended: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(ended)
    by = {word: [one["promoted"] for one in rows if one["verdict"] == word] for word in ("worse", "better")}
    leans = {
        word: [one["promoted"] for one in rows if one["verdict"] == word] for word in ("leans better", "not better")
    }
    decided = [one["requests"] for one in rows if one["requests"] is not None]
    better = 100 * float(np.mean(by["better"]))
    return {
        "pairs": len(rows), "worse_promoted": 100 * float(np.mean(by["worse"])), "better_promoted": better,
        "better_missed": 100 - better, "leaning_better_promoted": 100 * float(np.mean(leans["leans better"])),
        "not_better_promoted": 100 * float(np.mean(leans["not better"])),
        "regret": float(np.mean([one["regret"] for one in rows])),
        "requests": float(np.median(decided)) if decided else None,
    }  # fmt: skip


def shadow(path: Path, orders: int) -> dict[str, Any]:
    """Draw shared cases of each pair with replacement, up to the cap: the shadow leg of the paired road."""
    rng, wins = np.random.default_rng(13), dict[str, list[float]]()
    cases: list[float] = []
    for pair in (json.loads(line) for line in path.read_text().splitlines()):
        lost, gained = pair["lost"] / pair["n"], pair["gained"] / pair["n"]
        draw = rng.choice(np.array([-1.0, 1.0, 0.0]), p=[lost, gained, 1 - lost - gained], size=(orders, CAP))
        won_at, harm_at = _first(draw, WIN), _first(-draw, HARM)
        won = won_at < harm_at
        wins.setdefault(pair["verdict"], []).append(float(won.mean()))
        if pair["verdict"] == "better":
            cases.extend(won_at[won].tolist())
    found = {f"{word}_won": 100 * float(np.mean(shares)) for word, shares in sorted(wins.items())}
    found |= {f"{word}_pairs": len(shares) for word, shares in sorted(wins.items())}
    found["median_cases"] = float(np.median(cases)) if cases else math.nan
    print("\npaired road, shadow leg (percent of orders that win within 2 000 shared cases):",
          ", ".join(f"{key} {value:.1f}" for key, value in found.items()))  # fmt: skip
    return found


def _first(differences: Any, limit: float) -> Any:
    """The case at which the betting evidence first reaches the limit; the cap and one more where it does not."""
    total = np.zeros_like(differences)
    for bet in BETS:
        total += np.exp(np.minimum(np.log1p(bet * differences).cumsum(axis=1), 600)) / len(BETS)
    hit = total >= limit
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, CAP + 1)


def slices(path: Path, runs: int) -> dict[str, Any]:
    """Ask the slice rule about ag_news, baseline against confidence, with its classes and with shuffled ones."""
    outcomes = load_outcomes(path)
    labels = _labels(path)
    dice, cases = random.Random(14), sorted(outcomes["baseline"])
    named = shuffled = 0
    for run in range(runs):
        some = dice.sample(cases, 400)
        real = [labels[case] for case in some]
        verdict = _verdict(outcomes, some, real, run)
        named += [one.name for one in verdict.blocked] == ["label=Business"]
        dice.shuffle(real)
        shuffled += bool(_verdict(outcomes, some, real, run).blocked)
    found = {"runs": runs, "business_named": 100 * named / runs, "shuffled_blocked": 100 * shuffled / runs}
    print(f"ag_news, 400 cases: Business blocked and named in {found['business_named']:.0f} %, "
          f"shuffled classes blocked in {found['shuffled_blocked']:.1f} % of {runs} runs")  # fmt: skip
    return found


def _labels(path: Path) -> dict[str, str]:
    import gzip

    with gzip.open(path, "rt") as lines:
        return {row["case_id"]: row["expected"] for row in map(json.loads, lines)}


def _verdict(outcomes: Any, cases: list[str], labels: list[str], run: int) -> Any:
    found = [
        Pair(case_id=case, incumbent=float(outcomes["baseline"][case]), candidate=float(outcomes["confidence"][case]),
             slices={"label": label})
        for case, label in zip(cases, labels, strict=True)
    ]  # fmt: skip
    return release_verdict(found, seed=str(run), slots_left=20)


def _median(values: Any) -> float | None:
    return float(np.median(values)) if len(values) else None


def _few(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def main() -> None:
    """Print the tables and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--replications", type=int, default=4000)
    parser.add_argument("--others", type=int, default=1000, help="replications for the rules that are not ours")
    parser.add_argument("--orders", type=int, default=50)
    parser.add_argument("--recorded", type=Path, default=Path("../shared/data/recorded"))
    given = parser.parse_args()
    facts: dict[str, Any] = {"rows": [asdict(row) for row in table(given.replications, given.others)]}
    facts["serial_ties"] = serial_ties(given.replications)
    known, news = given.recorded / "pairs.jsonl", given.recorded / "prompt_optimisation" / "ag_news_outcomes.jsonl.gz"
    if known.is_file() and news.is_file():
        print(f"\n{len(known.read_text().splitlines())} recorded pairs, {given.orders} random orders each")
        facts |= {
            "pairs": pairs(known, given.orders),
            "shadow": shadow(known, given.orders),
            "slices": slices(news, 200),
        }
    else:
        print(f"\nno recorded pairs at {given.recorded}: their tables are left out")
    given.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
