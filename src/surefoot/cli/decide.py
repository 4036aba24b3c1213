"""Commands by which people decide: approvals, approve, reject, request-changes, rollback, stop, resume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.desk import Page
    from surefoot.cli.screen import Screen
    from surefoot.core.approval import Approval, Decision
    from surefoot.core.dossier import Rate, SliceChange
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
OneAgent = Annotated[str, typer.Argument(metavar="[AGENT]", help="the agent's name")]
EveryAgent = Annotated[bool, typer.Option("--all", help="all agents, also those that are made later")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="why; it is kept")]
_REQUEST = (
    "id agent rollout version incumbent state version_hash evidence_hash proposers[] rationale requested_at "
    "expires_at people_needed consents[] decided_by decided_at feedback changes[] failure_rates e_win win_at labels "
    "challenger_labels at rates worst_slice slices[] reach rollback"
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "approvals", section="Decide", keys=f"approvals[]: {_REQUEST}")(approvals)
    decided = ("approval state by people version_hash evidence_hash feedback rollout rollout_state weight_percent live "
               "sentence")  # fmt: skip
    command(app, "approve", section="Decide", keys=decided)(approve)
    command(app, "reject", section="Decide", keys=decided)(reject)
    command(app, "request-changes", section="Decide", keys=decided)(request_changes)
    command(app, "rollback", section="Decide", keys="agent live before rollout by")(rollback)
    command(app, "stop", section="Decide", keys="agent stopped live rollout_state by")(stop)
    command(app, "resume", section="Decide", keys="agent stopped live rollout_state by")(resume)


async def approvals(
    desk: Desk,
    which: Annotated[str, typer.Argument(metavar="[AGENT|ID]", help="one agent's, or one request")] = "",
    every: Annotated[bool, typer.Option("--all", help="also those that were decided or expired")] = False,
) -> None:
    """Show what waits for a person, with all that bears on it.

    That is the change and its reason, the evidence, the slice that lost most, whom a yes touches, and the way back.
    """
    with desk.app() as app:
        found = await _wanted(app, which, every)

    from surefoot.engine.inspect import request_document

    def page(screen: Screen) -> None:
        if not found:
            screen.note("nothing waits for a decision")
        for index, one in enumerate(found):
            if index:
                screen.line()
            _shown(screen, one)

    desk.give({"approvals": [request_document(one) for one in found]}, page)


async def _wanted(app: App, which: str, every: bool) -> list[Request]:
    """All requests, those of an agent, or the one that is named."""
    from surefoot.core.token import EVERY_AGENT, any_agent
    from surefoot.engine.inspect import agent_named, request, requests

    asked, agents = await app.store.read(
        lambda tx: ({one.id for one in tx.approvals.all(None)}, {one.name for one in tx.agents.all()})
    )
    if which in asked and which not in agents:
        return [await request(app.ports, which)]
    if which:
        await agent_named(app.ports, which, sees=any_agent)
    return await requests(app.ports, which or None, all_of_them=every, agents=EVERY_AGENT)


def _shown(screen: Screen, one: Request) -> None:
    from surefoot.cli.screen import when
    from surefoot.engine.inspect import request_document

    asked, seen = one.approval, request_document(one)
    screen.title(f"{asked.id}: {asked.agent} v{asked.version} instead of v{one.incumbent} ({one.state})")
    screen.changes(one.changes)
    screen.line()
    screen.fields((
        ("why", one.version.rationale), ("proposed by", ", ".join(asked.proposers)),
        (f"v{asked.version} fails", _rate(one.dossier.challenger)),
        (f"v{one.incumbent} fails", _rate(one.dossier.incumbent)),
        ("evidence", "" if seen["e_win"] is None else f"e = {seen['e_win']:.4g} of {seen['win_at']:g} needed"),
        ("worst slice", _slice(one.dossier.worst)), ("touches", _reach(one)),
        ("way back", f"{one.dossier.undo}: {one.dossier.after_undo}"),
        ("version hash", asked.version_digest), ("evidence hash", asked.evidence_digest),
        ("expires", f"{when(asked.expires_at)} UTC"),
        ("signed", f"{asked.signed} of {asked.people_needed}" if asked.people_needed > 1 else ""),
        *((f"yes of {yes.by}", f"{when(yes.at)} UTC {yes.feedback}".rstrip()) for yes in asked.consents),
        ("decided", f"{asked.decided_by}, {when(asked.decided_at)} UTC" if asked.decided_by else ""),
        ("feedback", asked.feedback),
    ))  # fmt: skip
    if one.state == "pending":
        hashes = f"--version-hash {asked.version_digest[:12]} --evidence-hash {asked.evidence_digest[:12]}"
        screen.note(f"surefoot approve {asked.id} --by NAME {hashes}")
        screen.note(f"surefoot reject {asked.id} --by NAME")
        screen.note(f"surefoot request-changes {asked.id} --by NAME --feedback TEXT")


def _rate(one: Rate) -> str:
    from surefoot.cli.screen import percent

    if one.rate is None:
        return "- (nothing labelled)"
    return f"{percent(one.rate)} ({percent(one.low)} to {percent(one.high)}; {one.failures} of {one.labels} labelled)"


def _slice(one: SliceChange | None) -> str:
    """The slice that lost most, with how sure that is."""
    if one is None:
        return "none is labelled under both versions"
    word = "more" if one.difference > 0 else "less"
    points = f"{abs(one.difference) * 100:.1f} points {word} failures"
    return (
        f"{one.name}: {points} ({one.low * 100:+.1f} to {one.high * 100:+.1f}; "
        f"{one.challenger.failures} of {one.challenger.labels} against {one.incumbent.failures} of "
        f"{one.incumbent.labels})"
    )


def _reach(one: Request) -> str:
    seen = one.dossier.reach
    return (
        f"{seen.share_now_percent:g} % of traffic now, {seen.share_after_percent:g} % after a yes; about "
        f"{seen.requests_per_day:.0f} requests and {seen.units_per_day:.0f} new units (sessions, actors) a day"
    )


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
) -> None:  # fmt: skip
    """Refuse a version; it loses its share at once."""
    await _decided(desk, approval, "rejected", by, (version_hash, evidence_hash), feedback)


async def request_changes(
    desk: Desk, approval: ApprovalId, by: By,
    feedback: Annotated[str, typer.Option(metavar="TEXT", help="what should be different; the writer is told")],
    version_hash: VersionHash = "", evidence_hash: EvidenceHash = "",
) -> None:  # fmt: skip
    """Send a version back to its writer; it loses its share at once.

    What it came from is open again, and what you say stands in the next brief.
    """
    await _decided(desk, approval, "changes_requested", by, (version_hash, evidence_hash), feedback)


async def _decided(
    desk: Desk, approval_id: str, decision: Decision, by: str, hashes: tuple[str, str], feedback: str
) -> None:
    from surefoot.engine.approve import approve as decide

    with desk.app() as app:
        asked = await _known(app, approval_id)
        after = await decide(
            app.ports, approval_id, decision, by=by, version_digest=_full(hashes[0], asked.version_digest),
            evidence=_full(hashes[1], asked.evidence_digest), feedback=feedback, door="cli",
        )  # fmt: skip
        row = await carried_out(app, after.rollout)

    def page(screen: Screen) -> None:
        people = f" ({after.signed} of {after.people_needed} people)" if after.people_needed > 1 else ""
        screen.line(f"{by.strip()}: {decision.replace('_', ' ')}, {after.agent} v{after.version}{people}")
        screen.line(row["sentence"])
        screen.note(f"live is v{row['live']}; the rollout is {row['state'].replace('_', ' ')}")

    desk.give({
        "approval": after.id, "state": after.state, "by": by.strip(),
        "people": f"{after.signed} of {after.people_needed}", "version_hash": after.version_digest,
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


def _named_by(agent: str, by: str) -> None:
    """Both may be missing only beside --lever."""
    from surefoot.core.errors import Invalid

    if not agent:
        raise Invalid("this needs an agent's name", hint="name an agent, or a repository's lever with --lever L-001")
    if not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")


async def rollback(
    desk: Desk,
    agent: Annotated[str, typer.Argument(metavar="[AGENT|DIR]", help="the agent's name; with --lever: where")] = "",
    lever: Annotated[str, typer.Option(metavar="L-001", help="take this lever of the repository in DIR back")] = "",
    repo: Annotated[bool, typer.Option("--repo", help="may be left out: a lever is always a repository's")] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help="the person who decides (with --lever: you)")] = "",
    to: Annotated[str, typer.Option(metavar="VERSION", help="the version to go to (default: the one before)")] = "",
    why: Annotated[str, typer.Option(metavar="TEXT", help="the reason; it is kept")] = "",
) -> None:
    """Step back at once.

    Ends the rollout in progress; without one, makes an earlier version live, or with --to a later one again.
    With --lever it reverts the commit of one lever of a repository, and opens the lever again.
    """
    if lever or repo:
        from surefoot.cli.repo_files import repo_rollback

        await repo_rollback(desk, Path(agent or "."), lever, by=by, why=why)
        return
    _named_by(agent, by)
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, number_of
    from surefoot.engine.rollback import rollback as roll

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
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


async def stop(desk: Desk, by: By, agent: OneAgent = "", every: EveryAgent = False, reason: Reason = "") -> None:
    """Pull the kill switch: only the live version serves.

    Nothing is improved or rolled out until `resume`, of this agent or, with --all, of any.
    """
    if every:
        await _switched_all(desk, agent, by, reason, stopped=True)
    else:
        await _switched(desk, agent, by, reason, stopped=True)


async def resume(desk: Desk, by: By, agent: OneAgent = "", every: EveryAgent = False, reason: Reason = "") -> None:
    """Let a stopped agent change again.

    A rollout that was frozen meanwhile stays frozen until it is thawed, rolled back or aborted.
    """
    if every:
        await _switched_all(desk, agent, by, reason, stopped=False)
    else:
        await _switched(desk, agent, by, reason, stopped=False)


async def _switched(desk: Desk, agent: str, by: str, reason: str, *, stopped: bool) -> None:
    from surefoot.core.errors import Invalid
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.register import stop as switch
    from surefoot.engine.watch import due

    if not agent:
        raise Invalid("no agent is named", hint="name one, or say --all")
    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        after = await switch(app.ports, agent, by=by, stopped=stopped, reason=reason)
        watched = await app.store.read(lambda tx: due(tx, agent))
        rows = [await carried_out(app, one.id) for one in watched]

    def page(screen: Screen) -> None:
        screen.line(f"{agent} is {'stopped' if stopped else 'running'}; v{after.live} is live")
        for row in rows:
            screen.line(row["sentence"])

    _switch_given(desk, page, agent, stopped=after.stopped, live=after.live,
                  state=rows[0]["state"] if rows else None, by=by)  # fmt: skip


async def _switched_all(desk: Desk, agent: str, by: str, reason: str, *, stopped: bool) -> None:
    from surefoot.core.errors import Invalid
    from surefoot.engine.halt import resume_all, stop_all
    from surefoot.engine.watch import due

    if agent:
        raise Invalid(f"--all is about every agent, not only {agent}", hint="leave one of them out")
    with desk.app() as app:
        await (stop_all if stopped else resume_all)(app.ports, by=by, reason=reason)
        watched = await app.store.read(lambda tx: [one for a in tx.agents.all() for one in due(tx, a.name)])
        for one in watched:
            await carried_out(app, one.id)

    def page(screen: Screen) -> None:
        screen.line("all agents are stopped; their live versions serve" if stopped else "all agents may change again")
        if watched:
            screen.note("each rollout was looked at: surefoot rollout list AGENT")

    _switch_given(desk, page, None, stopped=stopped, live=None, state=None, by=by)


def _switch_given(
    desk: Desk, page: Page, agent: str | None, *, stopped: bool, live: int | None, state: str | None, by: str
) -> None:
    desk.give({"agent": agent, "stopped": stopped, "live": live, "rollout_state": state, "by": by}, page)
