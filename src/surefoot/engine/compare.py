"""Compare: what an eval says, alone or beside another one, case by case.

An eval is a run of a suite, or a look of the loop at its sealed cases. Both come in one form: two sides with their
results by case, the verdict that was taken by `core`, and the paired difference. The verdict of a look is the one that
was recorded when it was taken; nobody takes it again. What cases say is left to whoever shows it: sealed cases come
here without their words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from surefoot.core.agent import Agent
from surefoot.core.case import Case
from surefoot.core.errors import Conflict, NotFound, SurefootError
from surefoot.core.exam.contrast import Contrast, contrast
from surefoot.core.exam.run import EvalRun, RunVerdict, Spent, run_verdict
from surefoot.core.exam.suite import Message, SuiteCase
from surefoot.core.exam.verdict import CaseResult, results
from surefoot.core.slots import Look
from surefoot.core.version import Version
from surefoot.ports import Ports, Tx

OTHERS = 50
Named = tuple[str, int | None, str]  # a name, the number of a version if it is one, and the digest of its genome


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: who answered, with which result by case; a look has no run."""

    name: str
    version: int | None = None
    run: EvalRun | None = None
    cases: Mapping[str, SuiteCase]
    results: Mapping[str, CaseResult]
    spent: Spent = field(default_factory=Spent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An eval; `apart` says why the two sides cannot be compared (empty: they can, or there is one only).

    `word` and `sentence` are the verdict on the newer side. `difference` is the paired one.
    """

    agent: str
    after: Side
    before: Side | None
    word: str
    sentence: str
    difference: Contrast | None
    apart: str = ""
    verdict: RunVerdict | None = None


def compared(tx: Tx, run: EvalRun, before: EvalRun | None) -> Compared:
    """Give a run as it stands now, beside another one if that is named."""
    suite, held = tx.evals.suite(run.suite_digest), tx.evals.quarantine(run.suite)
    new = _side(tx, run, suite.cases)
    said = run_verdict(run, suite.cases, new.results, min_pass=suite.min_pass, max_errored=suite.max_errored,
                       quarantine=held)  # fmt: skip
    old, seen, apart = None, None, ""
    if before is not None:  # mostly of the same suite, which takes half a second to read if it is a large one
        same = before.suite_digest == run.suite_digest
        old = _side(tx, before, suite.cases if same else tx.evals.suite(before.suite_digest).cases)
        try:
            seen = contrast((before, [*old.cases.values()], old.results), (run, suite.cases, new.results),
                            quarantine=held)  # fmt: skip
        except Conflict as reason:
            apart = reason.message
    return Compared(agent=run.about, after=new, before=old, word=said.word, sentence=said.sentence, verdict=said,
                    difference=seen, apart=apart)  # fmt: skip


def _side(tx: Tx, run: EvalRun, cases: Sequence[SuiteCase]) -> Side:
    return Side(name=run.subject, run=run, cases={case.id: case for case in cases}, spent=tx.evals.spent(run.id),
                results=results(cases, tx.evals.verdicts(run.id)))  # fmt: skip


def usual(tx: Tx, run: EvalRun, others: Sequence[EvalRun]) -> EvalRun | None:
    """Give the run that one is compared with where nobody says: its baseline, else the latest whole one before it."""
    if run.baseline:
        with contextlib.suppress(NotFound):
            return tx.evals.run(run.baseline)
    earlier = (one for one in others if one.started_at < run.started_at and one.judge_pin == run.judge_pin)
    return next((one for one in earlier if one.state == "done" and one.scope == "full"), None)


def looked(tx: Tx, ports: Ports, agent: Agent, digest: str) -> Compared:
    """Give a look at the sealed cases by (the beginning of) the digest of what was looked at."""
    found = [one for one in tx.looks.all(agent.name) if one.digest.startswith(digest)]
    if len(found) != 1 or len(digest) < 8:
        raise NotFound(f"there is no look {digest[:40]!r} of {agent.name}", hint="the agent's evals list them")
    look, evidence = found[0], tx.looks.evidence(agent.name, found[0].digest) or {}
    sealed = tx.cases.of(agent.name, ("sealed",))[: look.cases]
    cases = {one.id: _wordless(one) for one in sealed}
    old, new = sides_of(tx, agent, look, tx.versions.all(agent.name))
    sides = [_sheet(tx, ports, agent, name, number, genome, cases) for name, number, genome in (old, new)]
    runs = [_as_run(agent, look, one.name) for one in sides]
    seen = contrast(*((run, [*cases.values()], one.results) for run, one in zip(runs, sides, strict=True)))
    return Compared(
        agent=agent.name, before=sides[0], after=sides[1], difference=seen, word=look.verdict,
        sentence=str(evidence.get("sentence") or "No sentence was kept of this look."),
    )  # fmt: skip


def sides_of(tx: Tx, agent: Agent, look: Look, versions: Sequence[Version]) -> tuple[Named, Named]:
    """Give both sides of a look: what served then, and what was looked at; `versions` are all of the agent."""
    made = next((one for one in versions if one.genome == look.digest), None)
    served = [number for number, at, *_ in tx.agents.lineage(agent.name) if at <= look.at]
    number = made.parent if made is not None and made.parent else served[-1] if served else 1
    old = tx.versions.get(agent.name, number)
    new = (f"{agent.name} {made.label}", made.number, look.digest) if made else ("a draft", None, look.digest)
    return (f"{agent.name} {old.label}", number, old.genome), new


def _wordless(case: Case) -> SuiteCase:
    """A sealed case without what it says."""
    return SuiteCase(id=case.id, input=(Message(role="user", content=""),), split=case.split,
                     severity="must" if case.must_pass else "should")  # fmt: skip


def _sheet(
    tx: Tx, ports: Ports, agent: Agent, name: str, number: int | None, genome: str, cases: Mapping[str, SuiteCase]
) -> Side:  # fmt: skip
    model = agent.habits.model
    with contextlib.suppress(SurefootError):  # a page needs no key of a model
        model = ports.model_named(model).name
    by_case: dict[str, list[bool]] = {}
    for (case, _), (_, score) in sorted(tx.scores.known(genome, model, cases).items()):
        by_case.setdefault(case, []).append(score >= 0.5)
    return Side(name=name, version=number, cases=cases, results={i: _result(i, runs) for i, runs in by_case.items()})


def _result(case: str, runs: Sequence[bool]) -> CaseResult:
    passed = sum(runs)
    return CaseResult(id=case, standing="passed" if passed == len(runs) else "failed", passed=passed,
                      failed=len(runs) - passed, unknown=0)  # fmt: skip


def _as_run(agent: Agent, look: Look, name: str) -> EvalRun:
    return EvalRun(id=look.digest, suite="sealed", suite_digest="", subject=name, subject_digest=name, state="done",
                   started_at=look.at, agent=agent.name)  # fmt: skip
