"""Reported: what a run means now, how it compares with another, and which of its cases want another try."""

from __future__ import annotations

from collections.abc import Sequence

from surefoot.core.errors import Invalid
from surefoot.core.exam.contrast import contrast
from surefoot.core.exam.report import Report
from surefoot.core.exam.run import EvalRun, run_verdict
from surefoot.core.exam.suite import Message, Suite, SuiteCase, chosen
from surefoot.core.exam.verdict import CaseResult, results
from surefoot.ports import Ports, Tx

Side = tuple[EvalRun, Sequence[SuiteCase], dict[str, CaseResult]]


async def report(ports: Ports, run_id: str, *, against: str = "", min_pass: float | None = None) -> Report:
    """Give the report of a run; against another one if that is named."""
    return await ports.store.read(lambda tx: _report(tx, run_id, against, min_pass))


def _report(tx: Tx, run_id: str, against: str, min_pass: float | None) -> Report:
    run = tx.evals.run(run_id)
    suite, verdicts = tx.evals.suite(run.suite_digest), tx.evals.verdicts(run.id)
    found, held = results(suite.cases, verdicts), tx.evals.quarantine(run.suite)
    said = run_verdict(
        run, suite.cases, found, min_pass=suite.min_pass if min_pass is None else min_pass,
        max_errored=suite.max_errored, quarantine=held,
    )  # fmt: skip
    seen = contrast(_side(tx, against), (run, suite.cases, found), quarantine=held) if against else None
    return Report(
        run=run, suite=suite, results=found, verdict=said, spent=tx.evals.spent(run.id), verdicts=tuple(verdicts),
        answers=tx.evals.answers(run.id), contrast=seen,
    )  # fmt: skip


def _side(tx: Tx, run_id: str) -> Side:
    run = tx.evals.run(run_id)
    cases = tx.evals.suite(run.suite_digest).cases
    return run, cases, results(cases, tx.evals.verdicts(run.id))


async def failing(ports: Ports, run_id: str) -> tuple[EvalRun, Suite]:
    """Give a run with the suite of those of its cases that did not pass; Invalid if all did."""

    def work(tx: Tx) -> tuple[EvalRun, Suite]:
        run = tx.evals.run(run_id)
        suite = tx.evals.suite(run.suite_digest)
        found = results(suite.cases, tx.evals.verdicts(run.id))
        ids = [case.id for case in suite.cases if case.id not in found or found[case.id].standing != "passed"]
        if not ids:
            raise Invalid(
                f"every case of eval run {run.id} passed", hint="run the whole suite: surefoot eval run SUITE"
            )
        return run, chosen(suite, ids=ids)

    return await ports.store.read(work)


async def traces_as_suite(ports: Ports, agent: str, ids: Sequence[str]) -> Suite:
    """Give stored traces as draft cases: a person writes their checks and takes the word draft away.

    What the agent answered is a scenario, never an oracle; what somebody said was right is kept as the expectation.
    """

    def work(tx: Tx) -> Suite:
        cases: list[SuiteCase] = []
        for trace_id in ids:
            trace = tx.traces.get(trace_id)
            said = [one for one in tx.outcomes.of(trace_id) if one.expected]
            cases.append(SuiteCase(
                id=f"trace-{trace.id}", input=(Message(role="user", content=trace.input),),
                expected=said[-1].expected if said else None, slice=dict(trace.slices), draft=True,
                provenance=f"trace {trace.id} of {trace.agent} v{trace.version}",
            ))  # fmt: skip
        note = "drafts: write checks, look whether the input is private, and take `draft` away"
        return Suite(name=f"{agent}-traces", cases=tuple(cases), origin="trace", notes=(note,))

    return await ports.store.read(work)
