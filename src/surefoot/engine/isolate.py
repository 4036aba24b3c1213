"""Isolate: put cases into quarantine that disagree with themselves while nothing changed, and let steady ones out."""

from __future__ import annotations

from datetime import datetime

from surefoot.core.exam.flake import STEADY, at_odds, steady
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import Suite
from surefoot.core.exam.verdict import Verdict, epoch_standing, results
from surefoot.ports import Tx


def isolate(tx: Tx, run: EvalRun, suite: Suite, now: datetime) -> None:
    """Sort out the flaky cases of a run that is done."""
    tallies = tx.evals.tallies(run.id)
    mixed = {case for case, (passed, failed) in tallies.items() if passed and failed}
    found = results(suite.cases, tx.evals.verdicts(run.id, mixed)) if mixed else {}
    reasons = {
        one.id: f"{one.passed} epochs passed and {one.failed} failed in one run" for one in found.values() if one.flaky
    }
    before = [one for one in tx.evals.trials(run.suite, run.subject_digest, run.judge_pin, last=STEADY + 1)
              if one.id != run.id and one.state == "done"]  # fmt: skip
    odd = at_odds(tallies, tx.evals.tallies(before[-1].id)) if before else set[str]()
    if odd:
        reasons |= _flips(tx, before[-1], run, suite, odd)
    held = set(tx.evals.quarantine(run.suite)) & {case.id for case in suite.cases}
    if held - set(reasons):
        tx.evals.release(run.suite, _steady(tx, [*before, run], held - set(reasons)))
    tx.evals.isolate(run.suite, reasons, run=run.id, at=now)


def _flips(tx: Tx, last: EvalRun, run: EvalRun, suite: Suite, odd: set[str]) -> dict[str, str]:
    """Cases that another run of the same subject decided the other way."""
    old = suite if last.suite_digest == run.suite_digest else tx.evals.suite(last.suite_digest)
    same = {case.id: case.digest for case in old.cases}
    was = results(old.cases, tx.evals.verdicts(last.id, odd))
    now = results(suite.cases, tx.evals.verdicts(run.id, odd))
    return {
        case.id: f"{was[case.id].standing} in {last.id}, {now[case.id].standing} in {run.id}, with nothing changed"
        for case in suite.cases
        if same.get(case.id) == case.digest and case.id in was and case.id in now
        and {was[case.id].standing, now[case.id].standing} == {"passed", "failed"}
    }  # fmt: skip


def _steady(tx: Tx, runs: list[EvalRun], cases: set[str]) -> list[str]:
    trials: dict[str, list[bool]] = {case: [] for case in cases}
    for run in runs:
        by_epoch: dict[tuple[str, int], list[Verdict]] = {}
        for verdict in tx.evals.verdicts(run.id, cases):
            by_epoch.setdefault((verdict.case, verdict.epoch), []).append(verdict)
        for (case, _), said in sorted(by_epoch.items()):
            standing = epoch_standing(one.state for one in said)
            if standing in ("passed", "failed"):
                trials[case].append(standing == "passed")
    return [case for case, seen in trials.items() if steady(seen)]
