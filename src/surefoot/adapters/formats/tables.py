"""A run as CSV, one line per case, epoch and scorer, and as JSON.

A cell that a spreadsheet would take for a formula gets an apostrophe in front, as in every table (`core.exported`).
"""

from __future__ import annotations

import json

from surefoot.core.exam.report import Report
from surefoot.core.exported import cell, lines

COLUMNS = (
    "case",
    "epoch",
    "scorer",
    "state",
    "score",
    "note",
    "severity",
    "standing",
    "output",
    "cost_usd",
    "latency_s",
)


def csv_table(report: Report) -> str:
    """Give the CSV text."""
    named = {case.id: case for case in report.suite.cases}
    rows: list[list[str]] = [list(COLUMNS)]
    for one in report.verdicts:
        seen, case = report.answers.get((one.case, one.epoch)), named.get(one.case)
        found = report.results.get(one.case)
        rows.append([cell(value) for value in (
            one.case, one.epoch + 1, one.scorer, one.state, one.score, one.note, case.severity if case else "",
            found.standing if found else "", seen.output if seen else "",
            seen.cost.usd if seen and seen.cost else "", seen.latency_s if seen else "",
        )])  # fmt: skip
    return lines(rows)


def json_report(report: Report) -> str:
    """Give the JSON text."""
    run, verdict = report.run, report.verdict
    return json.dumps({
        "run": run.id, "suite": run.suite, "subject": run.subject, "judge": run.judge, "state": run.state,
        "started_at": run.started_at.isoformat(), "verdict": verdict.word, "sentence": verdict.sentence,
        "exit_code": verdict.exit_code, "counts": dict(verdict.counts), "quarantined": list(verdict.quarantined),
        "cases": [
            {"id": one.id, "standing": one.standing, "passed": one.passed, "failed": one.failed,
             "unknown": one.unknown, "notes": list(one.notes)}
            for one in report.results.values()
        ],
        "verdicts": [
            {"case": one.case, "epoch": one.epoch + 1, "scorer": one.scorer, "state": one.state, "score": one.score,
             "note": one.note}
            for one in report.verdicts
        ],
    }, ensure_ascii=False, indent=1)  # fmt: skip
