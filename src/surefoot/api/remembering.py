"""Routes of an agent's memory; the headers X-Workflow-ID, X-Session-ID and X-Actor-ID say whose it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from surefoot.api.documents import (
    AppendBody,
    Entries,
    EntryDocument,
    EntryPage,
    Forgotten,
    MemoryChangeDocument,
    MemoryChanges,
    RememberBody,
)
from surefoot.api.guarding import around
from surefoot.api.matching import IfMatch, document_tag, must_match, tagged
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Recorder
from surefoot.core.errors import NotFound
from surefoot.core.memory import Entry, Where
from surefoot.engine.inspect import agent_named
from surefoot.engine.remember import address, append, changes, entries, forget, recall, remember, similar

router = APIRouter(tags=["memory"], prefix="/agents/{agent}")
Owner = Annotated[str, Header(max_length=200)]
Key = Annotated[str, Path(max_length=200)]
ScopeName = Annotated[str, Query(max_length=20)]


async def _where(
    agent: str,
    here: Here,
    caller: Recorder,
    x_workflow_id: Owner = "",
    x_session_id: Owner = "",
    x_actor_id: Owner = "",
) -> Where:
    await agent_named(here.ports, agent, sees=caller.sees)
    return Where(agent=agent, workflow=x_workflow_id, session=x_session_id, actor=x_actor_id)


Whose = Annotated[Where, Depends(_where)]


@router.get("/memory", responses=declared(404))
async def listed(
    here: Here, where: Whose, asked: Paged, scope: ScopeName = "agent",
    pattern: Annotated[str, Query(max_length=200)] = "*",
) -> EntryPage:  # fmt: skip
    """List one scope by key."""
    found = await entries(here.ports, where, scope=scope, pattern=pattern, after=asked.after, limit=asked.limit + 1)
    page, after = asked.cut(found, lambda one: one.key)
    return EntryPage(entries=[_document(one) for one in page], next=after)


@router.get("/memory-search", responses=declared(404))
async def searched(
    here: Here, where: Whose, text: Annotated[str, Query(min_length=1, max_length=2000)], scope: ScopeName = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
) -> Entries:  # fmt: skip
    """Give what is most like a text, nearest first."""
    found = await similar(here.ports, where, text, scope=scope, limit=limit)
    return Entries(entries=[_document(one) for one in found])


@router.get("/memory-changes", responses=declared(404))
async def changed(
    here: Here, where: Whose, after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    pattern: Annotated[str, Query(max_length=200)] = "*", limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    scope: ScopeName = "",
) -> MemoryChanges:  # fmt: skip
    """Give what happened to keys in the caller's scopes, or in the named one, after `after`, oldest first."""
    found = await changes(here.ports, where, scope=scope, after=after, pattern=pattern, limit=limit)
    rows = [MemoryChangeDocument(seq=one.seq, key=one.key, action=one.action, scope=one.place.scope,
                                 owner=one.place.owner, at=one.at) for one in found]  # fmt: skip
    return MemoryChanges(changes=rows, next=found[-1].seq if found else after)


@router.get("/memory/{key:path}", responses=declared(404))
async def got(key: Key, here: Here, where: Whose, response: Response, scope: ScopeName = "") -> EntryDocument:
    """Give what is remembered, from the named scope or the first that has it."""
    found = await recall(here.ports, where, key, scope=scope)
    if found is None:
        raise NotFound(f"nothing is remembered under {key!r}", hint="the list of a scope shows its keys")
    tagged(response, _tag(found))
    return _document(found)


@router.put("/memory/{key:path}", responses=declared(404, 409))
async def kept(
    key: Key, body: RememberBody, here: Here, where: Whose, if_match: IfMatch = None
) -> EntryDocument:  # fmt: skip
    """Remember a value; with `If-Match` only in the place of the one that was read."""
    _only_if(here, if_match, where, key, body.scope)
    entry = await remember(here.ports, where, key, body.value, scope=body.scope, ttl_s=body.ttl_s)
    here.feeds.memory.wake()
    return _document(entry)


@router.post("/memory/{key:path}/append", responses=declared(404, 409))
async def added(key: Key, body: AppendBody, here: Here, where: Whose) -> EntryDocument:
    """Append an item to a list; writers at the same time lose nothing."""
    entry = await append(here.ports, where, key, body.item, scope=body.scope, keep=body.keep)
    here.feeds.memory.wake()
    return _document(entry)


@router.delete("/memory/{key:path}", responses=declared(404))
async def forgotten(
    key: Key, here: Here, where: Whose, scope: ScopeName = "", if_match: IfMatch = None
) -> Forgotten:  # fmt: skip
    """Forget a key in one scope; with `If-Match` only while it is the one that was read."""
    _only_if(here, if_match, where, key, scope)
    deleted = await forget(here.ports, where, key, scope=scope)
    here.feeds.memory.wake()
    return Forgotten(deleted=deleted)


def _tag(entry: Entry | None) -> str:
    """The tag of an entry; of none there is none that anybody could name."""
    return document_tag([entry.written_at.isoformat(), entry.value]) if entry else ""


def _only_if(here: Here, wanted: str | None, where: Where, key: str, scope: str) -> None:
    if wanted is not None:
        place, key = address(here.ports, where, key, scope)
        around().checks.append(lambda tx: must_match(wanted, _tag(tx.memories.get(place, key))))


def _document(entry: Entry) -> EntryDocument:
    return EntryDocument(key=entry.key, value=entry.value, scope=entry.place.scope, owner=entry.place.owner,
                         written_at=entry.written_at, expires_at=entry.expires_at)  # fmt: skip
