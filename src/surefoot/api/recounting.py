"""Routes of the record and of what people are told: the audit log, notices, and what works here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Administrator, Here, KnownLooker, Looker, reads
from surefoot.api.seeing import seen
from surefoot.core.audit import Entry, Verification
from surefoot.core.errors import Forbidden, Invalid
from surefoot.core.mask import masked_payload
from surefoot.core.notice import Notice
from surefoot.core.token import Token
from surefoot.engine.notify import listed
from surefoot.engine.notify import redrive as again
from surefoot.engine.verify import held_to

router = APIRouter(tags=["record"])
Head = Annotated[str, Query(max_length=100, pattern=r"^([0-9]{1,12}:[0-9a-f]{64})?$")]


class EntryDocument(BaseModel):
    """One change of state, and its digest in the chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    payload: Mapping[str, Any]
    digest: str


class Audit(BaseModel):
    """Entries, oldest first."""

    entries: list[EntryDocument]
    next: str | None


class Walked(BaseModel):
    """Whether the chain is whole, and up to where."""

    intact: bool
    entries: int
    head: str
    broken_at: int | None
    problem: str


class Verified(Walked):
    """Whether the chain is whole, up to where, and which rollouts were decided from wrong counts."""

    miscounted: list[str]


class HeadDocument(BaseModel):
    """Count and digest of the last entry; note it elsewhere, and a cut tail is found by it."""

    head: str


class NoticeDocument(BaseModel):
    """What somebody was told, or waits to be told."""

    id: str
    channel: str
    kind: str
    agent: str
    subject: str
    sentence: str
    state: str
    tries: int
    at: datetime
    next_at: datetime
    error: str
    delivered_at: datetime | None


class Notices(BaseModel):
    """Notices, in the order of their next try."""

    notices: list[NoticeDocument]
    next: str | None


@router.get("/audit", responses=declared())
async def audit(
    here: Here, caller: Looker, asked: Paged, subject: Annotated[str, Query(max_length=200)] = ""
) -> Audit:  # fmt: skip
    """List who did what to which thing, oldest first; `subject` is an agent, or what is below it, as support/v3."""
    found: list[Entry] = []
    after = asked.number
    while len(found) <= asked.limit:
        batch = await here.ports.store.read(lambda tx, seq=after: tx.audit.after(seq, limit=1000))
        if not batch:
            break
        found += [one for one in batch if _about(one, subject) and _may_see(caller, one)]
        after = batch[-1].seq
    rows, cursor = asked.cut(found, lambda one: one.seq)
    return Audit(entries=[EntryDocument(
        seq=one.seq, at=one.at, actor=one.actor, action=one.action, subject=one.subject, digest=one.digest,
        payload=one.payload if reads(caller) else masked_payload(one.payload),
    ) for one in rows], next=cursor)  # fmt: skip


@router.get("/audit/head", responses=declared())
async def head(here: Here, caller: Looker) -> HeadDocument:  # noqa: ARG001
    """Give the head of the record, to be noted elsewhere."""
    last = await here.ports.store.read(lambda tx: tx.audit.after(tx.audit.last() - 1, limit=1))
    return HeadDocument(head=f"{last[0].seq}:{last[0].digest}" if last else f"0:{'0' * 64}")


@router.get("/audit/verify", responses=declared())
async def verified(here: Here, caller: Looker, head: Head = "") -> Verified:
    """Walk along all of the chain, against a head that was noted earlier if there is one, and count all labels anew.

    Nothing is remembered of it, and each costs what the store holds; so there is one at a time in a process, and who
    asks while it goes on hears what that one finds.
    """
    _must_see_all(caller)
    count, _, digest = head.partition(":")
    if head and not count:
        raise Invalid("this is no head", hint="send COUNT:DIGEST")
    found = await here.walking.awaited()
    if head:
        found = await held_to(here.ports, found, (int(count), digest))
    return Verified(**_told(found), miscounted=await here.walking.miscounted())


@router.post("/audit/walk", responses=declared())
async def walked(here: Here, caller: KnownLooker) -> Walked:
    """Walk along all of the chain and remember what was found, under the caller's name; it goes on if nobody waits."""
    _must_see_all(caller)
    return Walked(**_told(await here.walking.awaited(by=caller.name)))


@router.get("/notices", responses=declared())
async def notices(
    here: Here, caller: Looker, asked: Paged, every: Annotated[bool, Query(alias="all")] = False
) -> Notices:  # fmt: skip
    """List what people were not told yet, and dead letters; with `all=true` also what arrived."""
    found = await listed(here.ports, all_of_them=every, limit=asked.limit + 1, after=asked.after, agents=caller.agents)
    rows, after = asked.cut(found, lambda one: one.id)
    return Notices(notices=[notice_document(one) for one in rows], next=after)


@router.post("/notices/{notice}/redrive", responses=declared(404, 409))
async def redrive(notice: Annotated[str, Path(max_length=200)], here: Here, caller: Administrator) -> NoticeDocument:
    """Give a dead letter its tries back."""
    await seen(here, "notice", notice, lambda tx: tx.notices.get(notice), lambda one: caller.sees(one.agent))
    return notice_document(await again(here.ports, notice, by=caller.name))


def notice_document(one: Notice) -> NoticeDocument:
    """Give a notice as it goes over the wire."""
    return NoticeDocument(
        id=one.id, channel=one.channel, kind=one.kind, agent=one.agent, subject=one.subject, sentence=one.sentence,
        state=one.state, tries=one.tries, at=one.at, next_at=one.next_at, error=one.error,
        delivered_at=one.delivered_at,
    )  # fmt: skip


def _must_see_all(caller: Token) -> None:
    if caller.agents:
        raise Forbidden("this token is held to some agents, and the record is of all", hint="use one that is not")


def _told(found: Verification) -> dict[str, Any]:
    return {
        "intact": found.intact, "entries": found.entries, "head": f"{found.entries}:{found.head}",
        "broken_at": found.broken_at, "problem": found.problem,
    }  # fmt: skip


def _about(entry: Entry, subject: str) -> bool:
    return not subject or entry.subject == subject or entry.subject.startswith(f"{subject}/")


def _may_see(caller: Token, entry: Entry) -> bool:
    return not caller.agents or caller.sees(entry.subject.partition("/")[0])
