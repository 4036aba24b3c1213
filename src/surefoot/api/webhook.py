"""The signed webhook by which a decision comes in from another system, such as a chat bot with a button.

Whoever holds the secret speaks for the people it names, so the secret is worth as much as their approvals. A message
is good once: its signature covers the body, its timestamp is at most five minutes off, and its nonce is spent before
anything is decided, so that a copy of it is refused whatever became of the first. Refusals are written down.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from surefoot.api.deciding import carried_out
from surefoot.api.documents import Decided, WebhookBody
from surefoot.api.pausing import document
from surefoot.api.problems import declared
from surefoot.api.program_documents import PauseDocument, PauseWebhookBody
from surefoot.api.reception import Here, Reception
from surefoot.core.errors import Conflict, Invalid, SurefootError
from surefoot.core.signature import NONCE_KEPT, verify
from surefoot.engine.approve import approve
from surefoot.engine.pause import decide_pause

router = APIRouter(tags=["decide"])
_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {
        "anyOf": [WebhookBody.model_json_schema(), PauseWebhookBody.model_json_schema()]
    }}}}
}  # fmt: skip


@router.post("/webhooks/approval-response", responses=declared(404, 409), openapi_extra=_BODY)
async def approval_response(
    request: Request, here: Here, x_surefoot_timestamp: Annotated[str, Header()] = "",
    x_surefoot_nonce: Annotated[str, Header()] = "", x_surefoot_signature: Annotated[str, Header()] = "",
) -> Decided | PauseDocument:  # fmt: skip
    """Decide on a request, or on what a program waits for, by a signed message."""
    raw = await request.body()
    try:
        verify(
            here.secret, timestamp=x_surefoot_timestamp, nonce=x_surefoot_nonce, signature=x_surefoot_signature,
            body=raw, now=here.ports.clock(),
        )  # fmt: skip
        await _spend(here, x_surefoot_nonce)
        body = _read(raw)
        if isinstance(body, PauseWebhookBody):
            return document(await decide_pause(
                here.ports, body.agent, body.pause, body.decision, by=body.by, feedback=body.feedback,
                response=body.response, door="webhook",
            ), hidden=False)  # fmt: skip
        after = await approve(
            here.ports, body.approval, body.decision, by=body.by, version_digest=body.version_hash,
            evidence=body.evidence_hash, feedback=body.feedback, door="webhook",
        )  # fmt: skip
    except SurefootError as error:
        await _refused(here, error)
        raise
    return await carried_out(here.ports, after)


def _read(raw: bytes) -> WebhookBody | PauseWebhookBody:
    try:
        return TypeAdapter[WebhookBody | PauseWebhookBody](Annotated[
            Annotated[WebhookBody, Tag("approval")] | Annotated[PauseWebhookBody, Tag("pause")],
            Discriminator(_subject),
        ]).validate_json(raw)  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Invalid(f"{where}: {first['msg']}", hint="docs/reference/api.md shows what this route takes") from None


def _subject(told: object) -> str:
    """Say whether a message is about a pause or a request."""
    return "pause" if isinstance(told, dict) and "pause" in told else "approval"


async def _spend(here: Reception, nonce: str) -> None:
    now = here.ports.clock()
    fresh = await here.ports.store.write(lambda tx: tx.nonces.spend(nonce, at=now, forget_before=now - NONCE_KEPT))
    if not fresh:
        raise Conflict("this message came before", hint="sign each message with a nonce of its own")


async def _refused(here: Reception, error: SurefootError) -> None:
    """Write a refusal down, unless there were too many in this minute."""
    now = here.ports.clock()
    if (before := here.refusals.due(now)) is None:
        return
    payload = {"code": error.code, "message": error.message, "unwritten_before": before}
    await here.ports.store.write(lambda tx: tx.audit.append(
        at=now, actor="webhook", action="webhook-refused", subject="approval-response", payload=payload
    ))  # fmt: skip
