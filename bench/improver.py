"""The optimiser on a simulated task with exact truth: what it reaches, what it spends, what a perfect start comes to.

Each row: label noise, where it started, the budget in evaluations, the mean truth of the prompt it gave with its
standard error, the shares of runs that released something and that gave a truly worse prompt, and what a peer
reached. Every evaluation counts, sealed ones too; one run is one release at a level of .05. `--task FILE` takes
another task with the class HiddenRulesTask (`evaluate`, `reflect`, `truth`); GEPA runs beside it with `--peer`, where
it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.planted import Planted

from surefoot.sdk.optimise import optimise

SHARED = Path("../shared/bench/hidden_rules_task.py")
# GEPA's own run of the shared task with 40 seeds and 2 400 evaluations (shared/bench/README.md), by noise.
REFERENCE = {0.0: 0.985, 0.1: 0.913, 0.2: 0.777, 0.3: 0.667}


@dataclass(frozen=True)
class Drawn:
    """One drawn task behind one face."""

    cases: Sequence[Any]
    start: str
    best: str
    score: Callable[..., tuple[float, str]]
    rewrite: Callable[..., str]
    truth: Callable[[str], float]


def planted(seed: int, noise: float, _mislabel: float) -> Drawn:
    """Draw the project's own task."""
    task = Planted(seed, noise=noise)
    return Drawn(task.cases, task.start, task.best, task.score, task.rewrite, task.truth)


def hidden_rules(path: Path) -> Callable[[int, float, float], Drawn]:
    """Give a drawer of the task in a file."""
    module = _module(path)

    def drawn(seed: int, noise: float, mislabel: float) -> Drawn:
        task = module.HiddenRulesTask(seed=seed, noise=noise, mislabel=mislabel)
        cases = [*task.train_ids, *task.val_ids]
        return Drawn(cases, task.seed_prompt, task.optimal_prompt, task.evaluate, task.reflect, task.truth)

    return drawn


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blunted(task: Drawn, how: str) -> Drawn:
    """Take from the feedback what tells failures apart, but only for us: whoever rewrites still reads it all.

    `same`: all failures read alike. `unique`: no two do.
    """
    said: dict[str, str] = {}

    def score(prompt: str, case: Any, number: int) -> tuple[float, str]:
        value, feedback = task.score(prompt, case, number)
        code = "wrong" if how == "same" else f"remark {number}"
        said[code + str(case)] = feedback
        return value, code

    def rewrite(prompt: str, failures: Sequence[tuple[Any, float, str]]) -> str:
        return task.rewrite(prompt, [(case, value, said[code + str(case)]) for case, value, code in failures])

    return Drawn(task.cases, task.start, task.best, score, rewrite, task.truth)


def run(task: Drawn, *, start: str, budget: int, seed: int) -> dict[str, float]:
    """Optimise once; the truth is for the report only."""
    first = task.best if start == "perfect" else task.start
    found = optimise(first, task.cases, task.score, task.rewrite, budget=budget, seed=str(seed))
    assert found.calls <= budget
    before, after = task.truth(first), task.truth(found.prompt)
    return {
        "score": after, "changed": float(found.released), "worse": float(after < before), "calls": found.calls,
        "rewrites": found.rewrites, "draft": task.truth(found.draft), "before": before,
    }  # fmt: skip


def row(draw: Callable[[int, float, float], Drawn], args: dict[str, Any], seeds: range) -> dict[str, Any]:
    """Run one condition over seeds."""
    tasks = (draw(seed, args["noise"], args.get("mislabel", 0.0)) for seed in seeds)
    feedback = args.get("feedback", "named")
    runs = [
        run(task if feedback == "named" else blunted(task, feedback), start=args["start"], budget=args["evaluations"],
            seed=seed)
        for seed, task in zip(seeds, tasks, strict=True)
    ]  # fmt: skip
    mean = {name: statistics.mean(one[name] for one in runs) for name in runs[0]}
    error = statistics.stdev(one["score"] for one in runs) / math.sqrt(len(runs)) if len(runs) > 1 else 0.0
    return args | {"seeds": len(runs), "se": error, **mean}


def peer_row(baseline: Path, args: dict[str, Any], seeds: range) -> dict[str, Any] | None:
    """Run GEPA on the same seeds; None where it is not installed."""
    if importlib.util.find_spec("gepa") is None:
        return None
    import sys

    sys.path.insert(0, str(baseline.parent))
    gepa = _module(baseline)
    start = "optimal" if args["start"] == "perfect" else "seed"
    runs = [gepa.one((args["noise"], 3, start, args["evaluations"], seed, {}, "default")) for seed in seeds]
    scores = [one["truth"] for one in runs]
    error = statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0
    return {"score": statistics.mean(scores), "se": error, "rewrites": statistics.mean(one["reflects"] for one in runs),
            "worse": statistics.mean(one["truth"] < one["seed_truth"] for one in runs)}  # fmt: skip


def conditions(perfect: int, seeds: int) -> list[tuple[dict[str, Any], int]]:
    """Give every condition with the number of seeds it gets."""
    noises = (0.0, 0.1, 0.2, 0.3)
    rows = [({"noise": n, "start": "poor", "evaluations": b}, seeds) for b in (2400, 1200) for n in noises]
    rows += [({"noise": n, "start": "perfect", "evaluations": 2400}, perfect) for n in noises]
    rows += [({"noise": n, "start": "poor", "evaluations": 2400, "mislabel": 0.3}, seeds) for n in noises]
    return rows + [
        ({"noise": n, "start": "poor", "evaluations": 2400, "feedback": how}, seeds)
        for how in ("same", "unique") for n in noises
    ]  # fmt: skip


def main() -> None:
    """Print a line a condition; write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--perfect", type=int, default=200, help="runs from a perfect start")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--task", type=Path, default=SHARED if SHARED.exists() else None)
    parser.add_argument("--peer", action="store_true", help="run GEPA beside it, where it is installed (minutes)")
    given = parser.parse_args()
    draw = hidden_rules(given.task) if given.task else planted
    named = given.task.stem if given.task else "planted"
    print(
        f"task {named}\nnoise  start    evals  feedback    score    se   draft  changed  worse  calls  rewrites   peer"
    )
    rows: list[dict[str, Any]] = []
    for args, seeds in conditions(given.perfect, given.seeds):
        began, drawn = time.perf_counter(), range(given.first, given.first + seeds)
        one = row(draw, args, drawn)
        usual = given.task and not args.get("mislabel")
        ran = peer_row(given.task.parent / "gepa_baseline.py", args, drawn) if given.peer and usual else None
        quoted = REFERENCE.get(args["noise"]) if usual and args["start"] == "poor" else None
        one |= {"peer": ran["score"] if ran else quoted, "peer_run": ran, "seconds": time.perf_counter() - began}
        rows.append(one)
        words = args.get("feedback", "misled" if args.get("mislabel") else "named")
        peer = "-" if one["peer"] is None else f"{one['peer']:.3f}"
        print(
            f"{one['noise']:5.1f}  {one['start']:<7} {one['evaluations']:5d}  {words:<8}  {one['score']:7.3f} "
            f"{one['se']:5.3f} {one['draft']:7.3f} {one['changed']:8.3f} {one['worse']:6.3f} {one['calls']:6.0f} "
            f"{one['rewrites']:9.0f} {peer:>6}",
            flush=True,
        )  # fmt: skip
    given.json.write_text(json.dumps({"task": named, "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
