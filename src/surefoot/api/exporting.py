"""Routes by which data leaves: an export as a stream, and the erasure of a person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel

from surefoot.api.problems import declared
from surefoot.api.reception import Administrator, Here, Looker, must_read
from surefoot.core.errors import Forbidden
from surefoot.core.exported import ExportFormat, ExportKind
from surefoot.engine.erase import erase
from surefoot.engine.export import lines
from surefoot.engine.inspect import agent_named

router = APIRouter(tags=["export"])
_TYPES: dict[str, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "one row a line, oldest first",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}, "text/csv": {"schema": {"type": "string"}}},
    }
}


class DerivedDocument(BaseModel):
    """A block of a genome that rests on what was erased; it was not changed."""

    agent: str
    block: str
    versions: list[int]
    live: bool
    draft: bool


class ErasedDocument(BaseModel):
    """What of a person went, by kind; what a person has to look at; and what no erasure reaches."""

    id: str
    dry_run: bool
    counts: dict[str, int]
    derived: list[DerivedDocument]
    levers: list[str]
    remains: list[str]


@router.get(
    "/agents/{agent}/export/{what}", responses={**declared(404), **_STREAM}, response_class=StreamingResponse,
)  # fmt: skip
async def export(
    agent: str, what: ExportKind, here: Here, caller: Looker,
    form: Annotated[ExportFormat, Query(alias="format")] = "jsonl",
    since: AwareDatetime | None = None, until: AwareDatetime | None = None,
) -> StreamingResponse:  # fmt: skip
    """Give everything of one kind as a stream; cases only of split `shown`."""
    if what != "audit":
        must_read(caller)
    await agent_named(here.ports, agent, sees=caller.sees)  # before the answer begins, so that it can still be a 404
    stream = lines(here.ports, agent, what, form, since=since, until=until)
    name = f'attachment; filename="{agent}-{what}.{form}"'
    return StreamingResponse(stream, media_type=_TYPES[form], headers={"Content-Disposition": name})


@router.delete("/actors/{actor}", responses=declared())
async def erased(
    actor: Annotated[str, Path(min_length=1, max_length=512)], here: Here, caller: Administrator,
    dry_run: Annotated[bool, Query(description="only count, and list what rests on it")] = False,
) -> ErasedDocument:  # fmt: skip
    """Erase all that is kept of a person, of every agent; repeating it finds nothing and is no error."""
    if caller.agents:
        raise Forbidden(
            f"the token of {caller.name} is held to some agents, and a person is erased everywhere",
            hint="use a token that is good for all agents",
        )
    done = await erase(here.ports, actor, by=caller.name, dry_run=dry_run)
    return ErasedDocument(
        id=done.id, dry_run=done.dry_run, counts=dict(done.counts), levers=list(done.levers),
        remains=list(done.remains),
        derived=[DerivedDocument(agent=one.agent, block=one.block, versions=list(one.versions), live=one.live,
                                 draft=one.draft) for one in done.derived],
    )  # fmt: skip
