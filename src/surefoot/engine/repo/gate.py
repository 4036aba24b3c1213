"""Gate: run the gates in order in a clean checkout of the trusted base with the diff applied.

The first failure ends it, after one more run where the change has no part in it. Which gates there are, and what they
run, comes from the trusted base; nothing of the worktree in which the agent worked is used.
"""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Any

from surefoot.core.errors import Conflict, Invalid, Unavailable
from surefoot.core.gate_output import telling
from surefoot.core.gate_spec import GateSpec
from surefoot.core.repo.paper import one_line
from surefoot.core.repo.rerun import rerun
from surefoot.engine.repo.act import Turn
from surefoot.engine.repo.read import Standing
from surefoot.ports.repository import GateResult, Patch
from surefoot.ports.site import Site

SENTENCE = 300


async def gate(site: Site, standing: Standing, turn: Turn, draft: str) -> dict[str, Any]:
    """Give what each gate found: `outcome` is None when all passed, else gate_failed or error, with `what` and why."""
    rows: list[dict[str, Any]] = []
    try:
        return await _judged(site, standing, turn, draft, rows)
    except (Conflict, Invalid, Unavailable) as problem:  # it is this tick's outcome, and goes into the lever's log
        return {"gates": rows, "outcome": "error", "what": "gates", "detail": f"{problem.message} ({problem.hint})"}


async def _judged(site: Site, standing: Standing, turn: Turn, draft: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    git = site.git
    patch = await asyncio.to_thread(git.patch_of, standing.base, draft)
    await asyncio.to_thread(git.sweep)
    space = await asyncio.to_thread(git.checkout, standing.base, patch, f"{turn.name}-gates")
    try:
        for spec in standing.files.settings.gates:
            row = await _until_decided(site, spec, space.path, patch, turn)
            rows.append(row)
            if row["outcome"] != "pass":
                outcome = "error" if row["outcome"] == "error" else "gate_failed"
                return {"gates": rows, "outcome": outcome, "what": spec.name, "detail": _why(row)}
    finally:
        await asyncio.to_thread(git.close, space)
    return {"gates": rows, "outcome": None, "what": "", "detail": ""}


async def _until_decided(site: Site, spec: GateSpec, checkout: str, patch: Patch, turn: Turn) -> dict[str, Any]:
    """Run a gate, and once more if its failure may not be of the change."""
    runs, why = 0, ""
    while True:
        runs += 1
        log = str(PurePath(site.logs) / f"{turn.name}-{_file_name(spec.name)}-{runs}.log")
        result = await site.gates.run(spec, checkout, log)
        if result.outcome == "pass":
            return _row(spec, result, runs, why)
        again = rerun(result.outcome, "\n".join((result.sentence, *result.evidence)), patch.change.paths, runs=runs)
        why = again.sentence
        if not again.again:
            return _row(spec, result, runs, why)


def _why(row: dict[str, Any]) -> str:
    """The sentence of a gate that failed with the line that says most: the next try reads it."""
    said = row["telling"]
    return row["sentence"] if not said or said in row["sentence"] else f"{row['sentence']}: {said}"


def _file_name(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in name)


def _row(spec: GateSpec, result: GateResult, runs: int, why: str) -> dict[str, Any]:
    return {
        "name": spec.name, "kind": spec.kind, "outcome": result.outcome, "runs": runs, "rerun": why,
        "sentence": one_line(result.sentence, SENTENCE), "exit_code": result.exit_code,
        "telling": "" if result.outcome == "pass" else one_line(telling("\n".join(result.evidence)), SENTENCE),
        "seconds": round(result.seconds, 3), "log": result.log, "layers": list(result.layers),
        "evidence": [one_line(one, SENTENCE) for one in result.evidence[:20]],
    }  # fmt: skip
