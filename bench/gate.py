"""What the offline gate promotes, blocks and leaves open on recorded outcomes of real models, and on ties.

Three tables. Eval sets of 40 to 400 cases drawn with replacement from each public pair whose truth is proven, offered
in both directions, one look at .05. Chains of twenty tied challengers on twenty slots. The class that ag_news loses
while it gains overall. Every verdict is that of `surefoot.gate` or of `core.gate.release_verdict`; equal counts are
asked once.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from surefoot.core.gate import Pair, release_verdict
from surefoot.sdk.gate import gate

SIZES = (40, 100, 200, 400)
CHALLENGERS = 20


@cache
def verdict(gained: int, lost: int, n: int) -> str:
    """Ask the gate about `n` cases of which `gained` and `lost` differ; both sides right on the rest."""
    before = [{"case_id": k, "score": k >= gained} for k in range(n)]
    after = [{"case_id": k, "score": not gained <= k < gained + lost} for k in range(n)]
    return gate(before, after).decision


@cache
def chained(gained: int, lost: int, n: int) -> str:
    """Ask the release gate at one of twenty slots."""
    rows = [
        Pair(case_id=str(k), incumbent=float(k >= gained), candidate=float(not gained <= k < gained + lost))
        for k in range(n)
    ]
    return release_verdict(rows, seed="chain", slots=CHALLENGERS, slots_left=CHALLENGERS).verdict


def drawn(dice: random.Random, gain: float, loss: float, n: int) -> tuple[int, int]:
    """Draw how many of `n` cases are gained and lost, with these chances a case."""
    lots = [dice.random() for _ in range(n)]
    return sum(lot < gain for lot in lots), sum(gain <= lot < gain + loss for lot in lots)


def offered(known: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    """Give (gain, loss) chances of every pair with a proven difference, in both directions."""
    proven = [(one["gained"] / one["n"], one["lost"] / one["n"]) for one in known if one["verdict"] != "undecided"]
    return proven + [(loss, gain) for gain, loss in proven]


def pairs_table(known: Sequence[dict[str, Any]], sets: int) -> list[dict[str, Any]]:
    """Count verdicts by size and by how far the candidate really is from the incumbent."""
    groups: dict[str, Callable[[float], bool]] = {
        "worse": lambda d: d < 0, "better": lambda d: d > 0, "better by 5 to 10 points": lambda d: 0.05 <= d <= 0.10,
        "better by over 10 points": lambda d: d > 0.10,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        dice = random.Random(f"gate-{size}")
        seen = [
            (gain - loss, [verdict(*drawn(dice, gain, loss, size), size) for _ in range(sets)])
            for gain, loss in offered(known)
        ]
        for name, belongs in groups.items():
            words = [word for true, asked in seen if belongs(true) for word in asked]
            rows.append({"cases": size, "truth": name, "pairs": sum(belongs(true) for true, _ in seen),
                         **shares(words)})  # fmt: skip
            show(f"{size:>4} cases  {name:<26}", rows[-1])
    return rows


def ties_table(known: Sequence[dict[str, Any]], chains: int) -> list[dict[str, Any]]:
    """Offer twenty challengers that are exactly as good, one after another, and count chains that promote one."""
    rates = [(one["gained"] + one["lost"]) / one["n"] for one in known]
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        dice = random.Random(f"ties-{size}")
        words: list[str] = []
        for number in range(chains):
            rate = rates[number % len(rates)]
            looks = [chained(*drawn(dice, rate / 2, rate / 2, size), size) for _ in range(CHALLENGERS)]
            words.append("pass" if "pass" in looks else "inconclusive")
        rows.append({"cases": size, "chains": chains, **shares(words)})
        show(f"{size:>4} cases  {CHALLENGERS} ties in a row", rows[-1])
    return rows


def slices_table(path: Path, sets: int) -> list[dict[str, Any]]:
    """Offer the ag_news prompt that gains overall and loses Business, on sets drawn without replacement."""
    import gzip

    with gzip.open(path, "rt") as lines:
        known = [json.loads(line) for line in lines]
    sides = {name: {row["case_id"]: row for row in known if row["variant"] == name}
             for name in ("baseline", "confidence")}  # fmt: skip
    rows: list[dict[str, Any]] = []
    for size in (200, 400):
        dice, blocked, flagged, others = random.Random(f"slices-{size}"), 0, 0, 0
        for _ in range(sets):
            cases = dice.sample(sorted(sides["baseline"]), size)
            before, after = (
                [{"case_id": case, "score": side[case]["success"], "label": side[case]["expected"]} for case in cases]
                for side in sides.values()
            )
            found = gate(before, after, slices="label")
            names = {one.name for one in found.blocks}
            blocked += "label=Business" in names
            flagged += "label=Business" in names | {one.name for one in found.flags}
            others += bool(names - {"label=Business"})
        row: dict[str, Any] = {"cases": size, "sets": sets}
        for name, count in (("blocked", blocked), ("flagged", flagged), ("another_blocked", others)):
            row[name], row[f"{name}_interval"] = 100 * count / sets, wilson(count, sets)
        rows.append(row)
        print(f"{size:>4} cases  Business blocked {percents(blocked, sets)}  blocked or flagged "
              f"{percents(flagged, sets)}  another class blocked {percents(others, sets)}", flush=True)  # fmt: skip
    return rows


def shares(words: Sequence[str]) -> dict[str, Any]:
    """Give each verdict in percent, with its 95 % interval."""
    row: dict[str, Any] = {"asked": len(words)}
    for word in ("pass", "fail", "inconclusive"):
        count = sum(one == word for one in words)
        row[word], row[f"{word}_interval"] = 100 * count / len(words), wilson(count, len(words))
    return row


def wilson(count: int, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a share, in percent."""
    z = 1.96
    middle, spread = count / n + z * z / (2 * n), z * math.sqrt(count / n * (1 - count / n) / n + z * z / (4 * n * n))
    return tuple(100 * max(0.0, min(1.0, (middle + s * spread) / (1 + z * z / n))) for s in (-1, 1))  # type: ignore[return-value]


def percents(count: int, n: int) -> str:
    """Write a share with its interval."""
    low, high = wilson(count, n)
    return f"{100 * count / n:5.1f} % ({low:.1f} to {high:.1f})"


def show(name: str, row: dict[str, Any]) -> None:
    """Print one row."""
    cells = [
        f"{word} {row[word]:5.1f} % ({row[f'{word}_interval'][0]:.1f} to {row[f'{word}_interval'][1]:.1f})"
        for word in ("pass", "fail", "inconclusive")
    ]
    print(name, *cells, f"n {row['asked']}", sep="  ", flush=True)


def main() -> None:
    """Run the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--recorded", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "recorded")
    parser.add_argument("--sets", type=int, default=300, help="eval sets a pair, direction and size")
    parser.add_argument("--chains", type=int, default=2000)
    parser.add_argument("--slice-sets", type=int, default=1000)
    given = parser.parse_args()
    if not (given.recorded / "pairs.jsonl").is_file():
        raise SystemExit(f"{given.recorded} holds no recorded pairs; --recorded names the directory")
    known = [json.loads(line) for line in (given.recorded / "pairs.jsonl").read_text().splitlines()]
    tables = {
        "pairs": pairs_table(known, given.sets), "ties": ties_table(known, given.chains),
        "slices": slices_table(given.recorded / "prompt_optimisation" / "ag_news_outcomes.jsonl.gz", given.slice_sets),
    }  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
