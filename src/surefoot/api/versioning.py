"""Routes of versions: list, show, compare, offer, make current, and set their shares of traffic."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from surefoot.api.agent_documents import (
    CandidateBody,
    CurrentBody,
    Diff,
    GenomeDocument,
    Lineage,
    Lived,
    VersionDocument,
    Versions,
    Weight,
    WeightBody,
    Weights,
    WeightSet,
)
from surefoot.api.documents import RolledBackDocument
from surefoot.api.matching import agent_tag, document_tag, matching, tagged, weights_tag
from surefoot.api.paging import Paged
from surefoot.api.problems import declared
from surefoot.api.reception import Here, Looker, Operator, Proposer, reads
from surefoot.core.diff import Change, changes
from surefoot.core.genome import Genome, render
from surefoot.core.mask import masked_quotes
from surefoot.core.token import Token
from surefoot.core.version import Version
from surefoot.engine.inspect import agent_named, base_of, picture
from surefoot.engine.register import offer_version
from surefoot.engine.rollback import rollback
from surefoot.engine.weigh import shares, weigh
from surefoot.ports import Tx

router = APIRouter(tags=["versions"], prefix="/agents/{agent}")
Number = Annotated[int, Path(ge=1, le=10**9)]
Which = Annotated[str, Query(max_length=20)]


@router.get("/versions", responses=declared(404))
async def versions(agent: str, here: Here, caller: Looker, asked: Paged) -> Versions:
    """List an agent's versions, oldest first."""
    record = await agent_named(here.ports, agent, sees=caller.sees)
    found = await here.ports.store.read(lambda tx: tx.versions.all(agent))
    rows, after = asked.page(found, lambda one: one.number)
    return Versions(versions=[_version(one, record.live, caller) for one in rows], next=after)


@router.post("/versions", status_code=201, responses=declared(404, 409))
async def offer(agent: str, body: CandidateBody, here: Here, caller: Proposer) -> VersionDocument:
    """Offer a version; it takes no traffic before the gate and a rollout. Whoever offers it cannot approve it."""
    record = await agent_named(here.ports, agent, sees=caller.sees)
    genome = Genome.from_document(body.blocks)
    made = await offer_version(here.ports, agent, genome, by=caller.name, rationale=body.why)
    return _version(made, record.live, caller)


@router.get("/versions/{version}", responses=declared(404))
async def version(agent: str, version: Number, here: Here, caller: Looker, response: Response) -> VersionDocument:
    """Show a version."""
    record = await agent_named(here.ports, agent, sees=caller.sees)
    found = _version(await here.ports.store.read(lambda tx: tx.versions.get(agent, version)), record.live, caller)
    tagged(response, document_tag(found.model_dump(mode="json")))
    return found


@router.get("/genomes/{which}", responses=declared(404))
async def genome(agent: str, which: Annotated[str, Path(max_length=20)], here: Here, caller: Looker) -> GenomeDocument:
    """Show the blocks of a version (3, v3, live) or of the draft, and the prompt that they make."""
    await agent_named(here.ports, agent, sees=caller.sees)
    seen = await picture(here.ports, agent, which)
    return GenomeDocument(
        agent=agent, name=seen.name, digest=seen.genome.digest, locked_digest=seen.genome.locked_digest,
        blocks=seen.genome.document(), prompt=render(seen.genome),
    )  # fmt: skip


@router.get("/diff", responses=declared(404, 409))
async def diff(agent: str, here: Here, caller: Looker, after: Which = "live", before: Which = "") -> Diff:
    """Show what changed to `after`, from `before` or its parent."""
    await agent_named(here.ports, agent, sees=caller.sees)
    first = await picture(here.ports, agent, before or await base_of(here.ports, agent, after))
    second = await picture(here.ports, agent, after)
    found = changes(first.genome, second.genome)
    return Diff(agent=agent, before=first.name, after=second.name, changes=[_change(one) for one in found])


@router.get("/lineage", responses=declared(404))
async def lineage(agent: str, here: Here, caller: Looker, asked: Paged) -> Lineage:
    """List which version became live when, by whom and why."""
    await agent_named(here.ports, agent, sees=caller.sees)
    found = list(enumerate(await here.ports.store.read(lambda tx: tx.agents.lineage(agent)), start=1))
    rows, after = asked.page(found, lambda row: row[0])
    return Lineage(lineage=[Lived(version=n, at=at, by=by, why=why) for _, (n, at, by, why) in rows], next=after)


@router.put("/current", responses=declared(404, 409), dependencies=[matching("agent", agent_tag)])
async def current(agent: str, body: CurrentBody, here: Here, caller: Operator) -> RolledBackDocument:
    """Make a version live that was live before; it is a rollback, or the way forward again."""
    await agent_named(here.ports, agent, sees=caller.sees)
    done = await rollback(here.ports, agent, by=caller.name, to=body.version, reason=body.reason)
    return RolledBackDocument(agent=agent, live=done.live, before=done.before, rollout=done.rollout or None)


@router.get("/weights", responses=declared(404))
async def weights(agent: str, here: Here, caller: Looker, response: Response) -> Weights:
    """Show the shares of traffic; they sum to 100."""
    await agent_named(here.ports, agent, sees=caller.sees)

    def work(tx: Tx) -> tuple[dict[int, float], str | None, str]:
        active = tx.rollouts.active(agent)
        return shares(tx, agent), active.id if active else None, weights_tag(tx, agent)

    found, rollout, tag = await here.ports.store.read(work)
    tagged(response, tag)
    rows = [Weight(version=number, weight=share) for number, share in sorted(found.items())]
    return Weights(agent=agent, rollout=rollout, weights=rows)


@router.put("/versions/{version}/weight", responses=declared(404, 409),
            dependencies=[matching("agent", weights_tag)])  # fmt: skip
async def weight(agent: str, version: Number, body: WeightBody, here: Here, caller: Operator) -> WeightSet:
    """Give a version a share of traffic, taken from the incumbent; half or more takes an approval."""
    await agent_named(here.ports, agent, sees=caller.sees)
    done = await weigh(here.ports, agent, version, body.weight, by=caller.name, reason=body.reason)
    return WeightSet(
        agent=agent, version=version, weight=done.weight_percent, previous_weight=done.previous_percent,
        other=done.other, other_weight=done.other_percent, rollout=done.rollout or None, sentence=done.sentence,
    )  # fmt: skip


def _version(one: Version, live: int, caller: Token) -> VersionDocument:
    return VersionDocument(
        agent=one.agent, number=one.number, state=one.state, live=one.number == live, parent=one.parent,
        author=one.author, rationale=one.rationale if reads(caller) else masked_quotes(one.rationale),
        genome=one.genome, created_at=one.created_at,
    )  # fmt: skip


def _change(one: Change) -> dict[str, object]:
    return {
        "id": one.id, "kind": one.kind, "lines": one.lines(),
        "before": one.before.document() if one.before else None, "after": one.after.document() if one.after else None,
    }  # fmt: skip
