"""Grade: let every scorer of a case speak on one answer, deterministic checks first, judges only if these passed.

One answer feeds every check. A judge is asked once, and up to `votes` times where its first vote is near the
threshold; votes that disagree decide nothing. Who made the candidate does not judge it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from surefoot.core.errors import Forbidden, Invalid
from surefoot.core.exam.check import OUTSIDE_KINDS, PASSED, Check, Finding, errored, failed, finding, incomplete, turned
from surefoot.core.exam.judgement import Vote, agreed, judge_prompt, near, vote_of
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.suite import CALLS_SCORER, SuiteCase
from surefoot.core.exam.tools import expected_calls
from surefoot.core.exam.verdict import NO_CHECK, Verdict
from surefoot.core.proposal import Cost
from surefoot.engine.purse import Purse, Reserved
from surefoot.ports.exam import Exams, Subject

JUDGES_WAIT = Finding("skipped", "a check did not pass, so no judge was asked")


def checked(case: SuiteCase, observed: Observed) -> list[tuple[str, Finding]]:
    """Give the findings of everything that is arithmetic; checks that need the outside are not among them."""
    found = [(c.name, finding(c, case.expected, observed)) for c in case.active if c.kind not in OUTSIDE_KINDS]
    if case.expected_tool_calls:
        found.append((CALLS_SCORER, _calls(case, observed)))
    return found


def _calls(case: SuiteCase, observed: Observed) -> Finding:
    if not observed.whole:
        return incomplete(observed)
    state, note = expected_calls(
        case.expected_tool_calls, observed.calls, additional=case.allow_additional_tool_calls, executed=case.executed
    )
    return PASSED if state == "passed" else failed(note) if state == "failed" else errored(note)


def simple(case: SuiteCase) -> bool:
    """Say whether `checked` is all there is to a case."""
    return not case.criteria and all(check.kind not in OUTSIDE_KINDS for check in case.active)


def unchecked(case: SuiteCase, epoch: int) -> Verdict:
    """Give the verdict on a case that nothing judges: errored, and it is not even asked."""
    return Verdict(case.id, epoch, NO_CHECK, "errored", None, "the case has no check, so it proves nothing")


async def outside_finding(exams: Exams, check: Check, case: SuiteCase, observed: Observed, root: str) -> Finding:
    """Carry out a check that needs the outside world; whatever goes wrong in it is errored."""
    if not observed.whole:
        return incomplete(observed)
    try:
        found = await exams.outside.finding(check, case, observed, root)
    except Exception as problem:  # noqa: BLE001  a check that raises has not said anything about the agent
        return errored(f"{type(problem).__name__}: {problem}"[:300])
    return turned(found) if check.negated else found


@dataclass(slots=True)
class Bill:
    """What judging cost, with the reservations it settles."""

    rows: list[tuple[Reserved, Cost]] = field(default_factory=list[tuple[Reserved, Cost]])


async def graded(
    exams: Exams, purse: Purse, run: str, case: SuiteCase, epoch: int, observed: Observed, root: str,
    done: Collection[str], bill: Bill,
) -> AsyncIterator[Verdict]:  # fmt: skip
    """Give the verdicts that are still missing, as they come; `done` names the scorers that have spoken."""
    findings = checked(case, observed)
    for check in case.active:
        if check.kind in OUTSIDE_KINDS and check.name not in done:
            findings.append((check.name, await outside_finding(exams, check, case, observed, root)))
    for name, found in findings:
        if name not in done:
            yield Verdict(case.id, epoch, name, found.state, found.score, found.note)
    clean = all(found.state == "passed" for _, found in findings)
    for name, criterion in case.judged.items():
        if name not in done:
            found = await _judged(exams, purse, run, case, criterion, observed, bill) if clean else JUDGES_WAIT
            yield Verdict(case.id, epoch, name, found.state, found.score, found.note)


async def _judged(
    exams: Exams, purse: Purse, run: str, case: SuiteCase, criterion: str, observed: Observed, bill: Bill
) -> Finding:
    if not observed.whole:
        return incomplete(observed)
    votes: list[Vote] = []
    while not votes or (near(votes[0]) and len(votes) < max(1, exams.votes)):
        vote = await _vote(exams, purse, run, judge_prompt(case, criterion, observed), len(votes), observed, bill)
        if isinstance(vote, Finding):
            return vote
        votes.append(vote)
    return agreed(votes)


async def _vote(
    exams: Exams, purse: Purse, run: str, prompt: str, number: int, observed: Observed, bill: Bill
) -> Vote | Finding:
    judge = exams.judge
    if judge is None:
        return errored("there is no judge: name one with --judge")
    held = await purse.reserve(f"judge-{number}", judge.price(prompt))
    async with exams.turnstile.seat(judge.provider, run):
        reply = await judge.reply(prompt, number)
    bill.rows.append((held, reply.cost))
    return errored(reply.problem) if reply.problem else vote_of(reply.text, observed)


def judge_of(exams: Exams, subject: Subject, cases: Collection[SuiteCase]) -> tuple[str, str]:
    """Give name and pin of the judge that these cases need, empty if none; Forbidden for a judge in its own case."""
    if not any(case.criteria for case in cases):
        return "", ""
    judge = exams.judge
    if judge is None:
        raise Invalid("these cases have criteria, and there is no judge", hint="name a model with --judge")
    if not exams.same_author and judge.name in subject.authors:
        raise Forbidden(
            f"{judge.name} wrote what it would judge", hint="name another judge, or say --same-author if you must"
        )
    return judge.name, judge.pin
