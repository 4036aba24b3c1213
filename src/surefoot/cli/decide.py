"""Commands by which people decide: approvals, approve, reject, rollback, stop, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.agents import AgentName, change_document
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.core.approval import Approval, Decision
    from surefoot.engine.inspect import Request

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="the request's id, as `approvals` lists it")]
By = Annotated[str, typer.Option(metavar="NAME", help="the person who decides")]
VersionHash = Annotated[
    str, typer.Option(metavar="HASH", help="the version you looked at (its first 8 digits will do)")
]
EvidenceHash = Annotated[
    str, typer.Option(metavar="HASH", help="the evidence you looked at (its first 8 digits will do)")
]
Feedback = Annotated[str, typer.Option(metavar="TEXT", help="why; it is kept with the decision")]
_REQUEST = (
    "id agent rollout version incumbent state version_hash evidence_hash proposers[] requested_at expires_at "
    "decided_by decided_at feedback changes[] failure_rates e_win win_at labels challenger_labels at"
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "approvals", section="Decide", keys=f"approvals[]: {_REQUEST}")(approvals)
    decided = "approval state by version_hash evidence_hash feedback rollout rollout_state weight_percent live sentence"
    command(app, "approve", section="Decide", keys=decided)(approve)
    command(app, "reject", section="Decide", keys=decided)(reject)
    command(app, "rollback", section="Decide", keys="agent live before rollout by")(rollback)
    command(app, "stop", section="Decide", keys="agent stopped live rollout_state by")(stop)
    command(app, "resume", section="Decide", keys="agent stopped live rollout_state by")(resume)


async def approvals(
    desk: Desk,
    agent: Annotated[str, typer.Argument(metavar="[AGENT]", help="only those of this agent")] = "",
    every: Annotated[bool, typer.Option("--all", help="also those that were decided or expired")] = False,
) -> None:
    """Show what waits for a person, with its evidence."""
    from surefoot.engine.inspect import agent_named, requests

    with desk.app() as app:
        if agent:
            await agent_named(app.ports, agent)
        found = await requests(app.ports, agent or None, all_of_them=every)

    def page(screen: Screen) -> None:
        if not found:
            screen.note("nothing waits for a decision")
        for index, one in enumerate(found):
            if index:
                screen.line()
            _shown(screen, one)

    desk.give({"approvals": [_document(one) for one in found]}, page)


def _shown(screen: Screen, one: Request) -> None:
    from surefoot.cli.screen import percent, when

    asked, seen = one.approval, _document(one)
    rates: dict[str, Any] = seen["failure_rates"]
    screen.title(f"{asked.id}: {asked.agent} v{asked.version} instead of v{one.incumbent} ({one.state})")
    screen.changes(one.changes)
    screen.line()
    screen.fields((
        (f"v{asked.version} fails", f"{percent(rates.get('challenger'))} (of {seen['challenger_labels']} labelled)"),
        (f"v{one.incumbent} fails", f"{percent(rates.get('incumbent'))} ({seen['labels']} labelled requests in all)"),
        ("evidence", "" if seen["e_win"] is None else f"e = {seen['e_win']:.4g} of {seen['win_at']:g} needed"),
        ("proposed by", ", ".join(asked.proposers)), ("why", one.version.rationale),
        ("version hash", asked.version_digest),
        ("evidence hash", asked.evidence_digest), ("expires", f"{when(asked.expires_at)} UTC"),
        ("decided", f"{asked.decided_by}, {when(asked.decided_at)} UTC" if asked.decided_by else ""),
        ("feedback", asked.feedback),
    ))  # fmt: skip
    if one.state == "pending":
        hashes = f"--version-hash {asked.version_digest[:12]} --evidence-hash {asked.evidence_digest[:12]}"
        screen.note(f"surefoot approve {asked.id} --by NAME {hashes}")
        screen.note(f"surefoot reject {asked.id} --by NAME")


def _document(one: Request) -> dict[str, Any]:
    asked = one.approval
    seen: dict[str, Any] = dict(one.evidence)
    return {
        "id": asked.id, "agent": asked.agent, "rollout": asked.rollout, "version": asked.version,
        "incumbent": one.incumbent, "state": one.state, "version_hash": asked.version_digest,
        "evidence_hash": asked.evidence_digest, "proposers": list(asked.proposers), "requested_at": asked.requested_at,
        "expires_at": asked.expires_at, "decided_by": asked.decided_by, "decided_at": asked.decided_at,
        "feedback": asked.feedback, "changes": [change_document(change) for change in one.changes],
        "failure_rates": seen.get("failure_rates", {}), "e_win": seen.get("e_win"),
        "win_at": seen.get("thresholds", {}).get("win"), "labels": seen.get("labels"),
        "challenger_labels": seen.get("challenger_labels"), "at": one.at,
    }  # fmt: skip


async def approve(
    desk: Desk, approval: ApprovalId, by: By, version_hash: VersionHash = "", evidence_hash: EvidenceHash = "",
    feedback: Feedback = "",
) -> None:  # fmt: skip
    """Approve a version for all traffic, at once.

    The hashes say what you looked at. When the evidence has moved on since, the approval is refused.
    """
    await _decided(desk, approval, "approved", by, (version_hash, evidence_hash), feedback)


async def reject(
    desk: Desk, approval: ApprovalId, by: By, version_hash: VersionHash = "", evidence_hash: EvidenceHash = "",
    feedback: Feedback = "",
    changes: Annotated[bool, typer.Option("--changes", help="ask for changes instead of a plain no")] = False,
) -> None:  # fmt: skip
    """Refuse a version; it loses its share at once."""
    decision: Decision = "changes_requested" if changes else "rejected"
    await _decided(desk, approval, decision, by, (version_hash, evidence_hash), feedback)


async def _decided(
    desk: Desk, approval_id: str, decision: Decision, by: str, hashes: tuple[str, str], feedback: str
) -> None:
    from surefoot.engine.approve import approve as decide

    with desk.app() as app:
        asked = await _known(app, approval_id)
        after = await decide(
            app.ports, approval_id, decision, by=by, version_digest=_full(hashes[0], asked.version_digest),
            evidence=_full(hashes[1], asked.evidence_digest), feedback=feedback,
        )  # fmt: skip
        row = await carried_out(app, after.rollout)

    def page(screen: Screen) -> None:
        screen.line(f"{after.decided_by}: {decision.replace('_', ' ')}, {after.agent} v{after.version}")
        screen.line(row["sentence"])
        screen.note(f"live is v{row['live']}; the rollout is {row['state'].replace('_', ' ')}")

    desk.give({
        "approval": after.id, "state": after.state, "by": after.decided_by, "version_hash": after.version_digest,
        "evidence_hash": after.evidence_digest, "feedback": after.feedback, "rollout": after.rollout,
        "rollout_state": row["state"], "weight_percent": row["weight_after"], "live": row["live"],
        "sentence": row["sentence"],
    }, page)  # fmt: skip


async def _known(app: App, approval_id: str) -> Approval:
    """Give a request; an unknown one is answered with those that wait, or the nearest id."""
    from difflib import get_close_matches

    from surefoot.core.errors import NotFound

    found = {one.id: one for one in await app.store.read(lambda tx: tx.approvals.all(None))}
    if approval_id in found:
        return found[approval_id]
    near = get_close_matches(approval_id, found, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise NotFound(f"there is no approval {approval_id!r}", hint=f"{hint}surefoot approvals lists what waits")


def _full(quoted: str, whole: str) -> str:
    """Complete a hash that was quoted by its beginning; one that does not fit stays as it is, and will be refused."""
    return whole if len(quoted) >= 8 and whole.startswith(quoted.lower()) else quoted


async def carried_out(app: App, rollout_id: str) -> dict[str, Any]:
    """Let a decision take effect now: take one durable step, and wake the operator where one is asleep.

    Gives the step, and under `live` the version that serves after it.
    """
    async with app.worker() as worker:
        row = await worker.reconcile(rollout_id)
        await worker.wake(rollout_id)
        live = await app.store.read(lambda tx: tx.agents.get(tx.rollouts.get(rollout_id).agent).live)
        return {**row, "live": live}


async def rollback(
    desk: Desk,
    agent: AgentName,
    by: By,
    to: Annotated[str, typer.Option(metavar="VERSION", help="the version to go to (default: the one before)")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="the reason; it is kept")] = "",
) -> None:
    """Step back at once.

    Ends the rollout in progress; without one, makes an earlier version live, or with --to a later one again.
    """
    from surefoot.engine.inspect import agent_named, number_of
    from surefoot.engine.rollback import rollback as roll

    with desk.app() as app:
        await agent_named(app.ports, agent)
        done = await roll(app.ports, agent, by=by, to=number_of(to) if to else None, reason=why)
        if done.rollout:
            async with app.worker() as worker:
                await worker.wake(done.rollout)

    def page(screen: Screen) -> None:
        if done.rollout and done.live == done.before:
            screen.line(f"the rollout is ended; {agent} v{done.live} serves everything")
        else:
            screen.line(f"{agent}: v{done.live} is live instead of v{done.before}")
            screen.note(f"undo: surefoot rollback {agent} --to {done.before} --by NAME")

    desk.give(
        {"agent": agent, "live": done.live, "before": done.before, "rollout": done.rollout or None, "by": by}, page
    )


async def stop(desk: Desk, agent: AgentName, by: By) -> None:
    """Pull the kill switch: only the live version serves.

    Nothing is improved or rolled out until `resume`.
    """
    await _switched(desk, agent, by, stopped=True)


async def resume(desk: Desk, agent: AgentName, by: By) -> None:
    """Let a stopped agent change again.

    A rollout that was frozen meanwhile stays frozen until it is rolled back or aborted.
    """
    await _switched(desk, agent, by, stopped=False)


async def _switched(desk: Desk, agent: str, by: str, *, stopped: bool) -> None:
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.register import stop as switch

    with desk.app() as app:
        await agent_named(app.ports, agent)
        after = await switch(app.ports, agent, by=by, stopped=stopped)
        active = await app.store.read(lambda tx: tx.rollouts.active(agent))
        row = await carried_out(app, active.id) if active else None

    def page(screen: Screen) -> None:
        screen.line(f"{agent} is {'stopped' if stopped else 'running'}; v{after.live} is live")
        if row is not None:
            screen.line(row["sentence"])

    desk.give({
        "agent": agent, "stopped": after.stopped, "live": after.live, "rollout_state": row["state"] if row else None,
        "by": by,
    }, page)  # fmt: skip
