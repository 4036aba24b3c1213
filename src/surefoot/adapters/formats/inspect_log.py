"""A run as a log of Inspect (JSON, version 2), so that its viewer and data frames can read it.

Every scorer is a score of its own per sample: C correct, I incorrect, N no answer, with the note as explanation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from surefoot.core.exam.observed import Observed
from surefoot.core.exam.report import Report
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.exam.verdict import NO_CHECK, Verdict

_VALUES = {"passed": "C", "failed": "I", "errored": "N", "abstained": "N", "skipped": "N"}
_STOPS = {"stop": "stop", "length": "max_tokens", "refused": "content_filter"}
_STATUS = {
    "done": "success",
    "running": "started",
    "cancelling": "started",
    "cancelled": "cancelled",
    "stopped": "error",
}


def inspect_log(report: Report) -> str:
    """Give the JSON text."""
    run, by_sample = report.run, dict[tuple[str, int], list[Verdict]]()
    for verdict in report.verdicts:
        by_sample.setdefault((verdict.case, verdict.epoch), []).append(verdict)
    named = {case.id: case for case in report.suite.cases}
    samples = [
        _sample(run.subject, named[case], epoch, report.answers.get((case, epoch)), said)
        for (case, epoch), said in sorted(by_sample.items(), key=lambda item: (item[0][1], item[0][0])) if case in named
    ]  # fmt: skip
    created, ended = _time(run.started_at), _time(run.ended_at or run.started_at)
    return json.dumps({
        "version": 2,
        "status": _STATUS[run.state],
        "eval": {
            "eval_id": run.id, "run_id": run.id, "created": created, "task": report.suite.name, "task_id": run.id,
            "task_version": 0, "task_attribs": {}, "task_args": {}, "model": run.subject, "model_args": {},
            "dataset": {"name": report.suite.name, "samples": len(named), "sample_ids": list(named), "shuffled": False},
            "config": {"epochs": max((v.epoch for v in report.verdicts), default=0) + 1},
            "packages": {}, "metadata": {"verdict": report.verdict.word, "sentence": report.verdict.sentence},
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": run.planned, "completed_samples": len(samples), "scores": _scores(report.verdicts),
        },
        "stats": {"started_at": created, "completed_at": ended, "model_usage": {}},
        "samples": samples,
    }, ensure_ascii=False, indent=1, default=str)  # fmt: skip


def _scores(verdicts: tuple[Verdict, ...]) -> list[Mapping[str, object]]:
    counted: dict[str, list[int]] = {}
    for one in verdicts:
        if one.state in ("passed", "failed"):
            counted.setdefault(one.scorer, []).append(int(one.state == "passed"))
    return [
        {"name": name, "scorer": name, "params": {}, "metrics": {
            "accuracy": {"name": "accuracy", "value": sum(hits) / len(hits), "params": {}},
        }}
        for name, hits in counted.items()
    ]  # fmt: skip


def _sample(subject: str, case: SuiteCase, epoch: int, seen: Observed | None, said: list[Verdict]) -> Mapping[str, Any]:
    target = case.expected if isinstance(case.expected, str) else json.dumps(case.expected) if case.expected else ""
    output = seen.output if seen else ""
    choice = {
        "message": {"role": "assistant", "content": output, "source": "generate"},
        "stop_reason": _STOPS.get(seen.finish, "unknown") if seen else "unknown",
    }
    return {
        "id": case.id, "epoch": epoch + 1, "input": case.text, "target": target,
        "messages": [{"role": one.role, "content": one.content} for one in case.input if one.role != "tool"]
        + [{"role": "assistant", "content": output, "source": "generate"}],
        "output": {"model": subject, "choices": [choice]},
        "scores": {
            one.scorer: {"value": _VALUES[one.state], "answer": output, "explanation": one.note, "metadata": {}}
            for one in said if one.scorer != NO_CHECK
        },
        "metadata": {
            "tags": list(case.tags), "severity": case.severity,
            "tool_calls": [call.document() for call in seen.calls] if seen else [],
            "states": {one.scorer: one.state for one in said},
        },
        "store": {}, "events": [], "model_usage": {}, "attachments": {},
    }  # fmt: skip


def _time(moment: datetime) -> str:
    return moment.isoformat()
