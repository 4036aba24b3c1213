"""Routes that say how requests went, one or many at a time, by our id of a request or by the app's own."""

from __future__ import annotations

from fastapi import APIRouter

from surefoot.api.documents import OutcomeDocument
from surefoot.api.problems import Problem, declared, status_of
from surefoot.api.reception import Here, Recorder
from surefoot.api.trace_documents import SaidBody, SaidMany, SaidManyBody, SaidResult
from surefoot.core.errors import Invalid, SurefootError
from surefoot.core.score import Outcome
from surefoot.core.token import Token
from surefoot.engine.observe import Said, observe_all

router = APIRouter(tags=["record"])


@router.post("/outcomes", status_code=201, responses=declared(404, 409))
async def said(body: SaidBody, here: Here, caller: Recorder) -> OutcomeDocument:
    """Say how a request went; late and repeated outcomes are welcome, the last one counts."""
    (done,) = await observe_all(here.ports, [_said(body, caller)], sees=caller.sees)
    if isinstance(done, SurefootError):
        raise done
    return _document(done)


@router.post("/outcomes/batch", responses=declared(404))
async def said_many(body: SaidManyBody, here: Here, caller: Recorder) -> SaidMany:
    """Say how up to a thousand requests went; each is kept or refused for itself, in this order."""
    read = [_read(one, caller) for one in body.outcomes]
    done = iter(
        await observe_all(here.ports, [one for one in read if isinstance(one, Said)], sees=caller.sees)
    )  # fmt: skip
    results = [_result(next(done) if isinstance(one, Said) else one) for one in read]
    kept = sum(one.outcome is not None for one in results)
    return SaidMany(kept=kept, refused=len(results) - kept, results=results)


def _read(body: SaidBody, caller: Token) -> Said | SurefootError:
    try:
        return _said(body, caller)
    except SurefootError as error:
        return error


def _said(body: SaidBody, caller: Token) -> Said:
    """Bring two words for one thing together; Invalid where they contradict each other."""
    if body.label.strip() and body.expected.strip() and body.label.strip() != body.expected.strip():
        raise Invalid("label and expected differ", hint="they mean the same: give one of them")
    verdict = body.verdict
    if body.success is not None:
        told = "success" if body.success else "failure"
        if verdict not in (None, told):
            raise Invalid(f"success says {told} and verdict says {verdict}", hint="give one of them")
        verdict = told
    return Said(
        trace_id=body.trace_id, external_id=body.external_id, agent=body.agent,
        expected=body.expected.strip() or body.label.strip(), verdict=verdict, score=body.score,
        source=body.source or caller.name, feedback=body.comment,
    )  # fmt: skip


def _result(done: Outcome | SurefootError) -> SaidResult:
    if isinstance(done, SurefootError):
        problem = Problem(code=done.code, message=done.message, hint=done.hint)
        return SaidResult(status=status_of(done), problem=problem)
    return SaidResult(status=201, outcome=_document(done))


def _document(done: Outcome) -> OutcomeDocument:
    return OutcomeDocument(
        trace_id=done.trace_id, verdict=done.verdict, expected=done.expected, score=done.score, source=done.source,
        at=done.at,
    )  # fmt: skip
