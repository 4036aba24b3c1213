"""Approve: ask for a person's decision, and record it, bound to the hashes of what they saw.

What is decided is told to the channels in the same transaction. A no reaches what the version came from: its levers
are noted, a request for changes opens them again, and what the person said becomes a lesson, which the next brief
carries to whoever writes.
"""

from __future__ import annotations

from dataclasses import replace

from surefoot.core.approval import Approval, Decision, decide, identity, people_needed, state_at
from surefoot.core.diff import Change, changes
from surefoot.core.errors import Conflict
from surefoot.core.genome import Genome
from surefoot.core.lesson import Lesson
from surefoot.core.policy import ChangeLevel, level_between
from surefoot.core.rollout.standing import Rollout
from surefoot.core.session import needs_fresh
from surefoot.engine.incident import levers_of
from surefoot.engine.issue import must_be_fresh, people
from surefoot.engine.notify import announce
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx


def people_for(tx: Tx, ports: Ports, rollout: Rollout) -> int:
    """Give how many people must say yes to this promotion."""
    policy = tx.agents.get(rollout.agent).policy
    return people_needed(policy, _level(tx, rollout), house=ports.people_needed)


def _level(tx: Tx, rollout: Rollout) -> ChangeLevel:
    old, new = (tx.versions.get(rollout.agent, number).genome for number in (rollout.incumbent, rollout.challenger))
    return level_between(tx.versions.genome(old), tx.versions.genome(new))


def ask(tx: Tx, ports: Ports, approval: Approval, sentence: str) -> Approval:
    """Store a request with the number of people it takes, and announce it."""
    rollout = tx.rollouts.get(approval.rollout)
    before, after = _genomes(tx, approval, rollout.incumbent)
    asked = replace(approval, people_needed=people_for(tx, ports, rollout))
    tx.approvals.add(asked)
    announce(
        tx, ports, "approval_requested", agent=asked.agent, subject=_subject(asked), sentence=sentence,
        facts=_facts(asked, changes(before, after)) | _commands(asked),
    )  # fmt: skip
    return asked


def _too_late(asked: Approval, rollout: Rollout) -> str:
    """Say why a request waits for nobody any more: it was decided, or its rollout has gone on without it."""
    if asked.decided_by:
        return f"approval {asked.id} is decided: {asked.state.replace('_', ' ')} by {asked.decided_by}"
    return f"approval {asked.id} is stale: its rollout is {rollout.state.replace('_', ' ')}"


async def approve(
    ports: Ports, approval_id: str, decision: Decision, *, by: str, version_digest: str = "", evidence: str = "",
    feedback: str = "", door: str = "", login: str = "",
) -> Approval:  # fmt: skip
    """Decide on a request; it stays pending while more people are needed.

    The caller quotes the hashes of what was looked at (by default those of the request itself); `door` says how the
    decision came in. Through the API and the dashboard a yes to a change of level 3 takes the proof of a fresh `login`.
    Raises Forbidden for one's own proposal, Conflict when the request is stale, decided or expired, or its rollout has
    ended.
    """
    now, by, feedback = ports.clock(), storable(by), ports.redact_note(storable(feedback))

    def work(tx: Tx) -> Approval:
        before = tx.approvals.get(approval_id)
        rollout, known = tx.rollouts.get(before.rollout), people(tx, ports)
        if rollout.approval != before.id or rollout.state != "awaiting_approval":
            raise Conflict(_too_late(before, rollout), hint="surefoot approvals lists what waits for a decision now")
        after = decide(
            before, decision, actor=by, version_digest=version_digest or before.version_digest,
            evidence_digest=evidence or before.evidence_digest, now=now, feedback=feedback, people=known,
        )  # fmt: skip
        if after == before:
            return before
        if door in ("api", "dashboard") and decision == "approved" and needs_fresh(_level(tx, rollout)):
            must_be_fresh(tx, ports, login, by)
        tx.approvals.swap(before, after)
        _recorded(tx, ports, after, decision, known.get(identity(by), by), feedback, door)
        if after.state in ("rejected", "changes_requested"):
            _taught(tx, ports, after)
        return after

    return await ports.store.write(work)


def _recorded(
    tx: Tx, ports: Ports, after: Approval, decision: Decision, by: str, feedback: str, door: str
) -> None:  # fmt: skip
    """Write down one person's decision, and tell the channels."""
    open_still = after.state == "pending"
    people = f"{after.signed} of {after.people_needed}"
    tx.audit.append(
        at=ports.clock(), actor=by, action="approval-signed" if open_still else f"approval-{decision}",
        subject=f"{after.agent}/v{after.version}",
        payload={"approval": after.id, "version": after.version_digest, "evidence": after.evidence_digest,
                 "feedback": feedback, "people": people, "door": door},
    )  # fmt: skip
    word = f"said yes ({people})" if open_still else decision.replace("_", " ")
    announce(
        tx, ports, "approval_signed" if open_still else "approval_decided", agent=after.agent, subject=_subject(after),
        sentence=f"{by}: {word}", facts=_facts(after) | {"by": by, "decision": decision, "feedback": feedback},
    )  # fmt: skip


def _taught(tx: Tx, ports: Ports, approval: Approval) -> None:
    """Let a no reach the levers that the version came from, and what was said the next brief."""
    name, now, by = approval.agent, ports.clock(), approval.decided_by
    version = tx.versions.get(name, approval.version)
    wants_changes = approval.state == "changes_requested"
    told = f"{by} {'asks for changes' if wants_changes else 'rejected it'}"
    told += f": {approval.feedback}" if approval.feedback else ""
    for one in levers_of(tx, version):
        lever = tx.levers.get(name, one)
        tx.levers.put(replace(lever, note=told, state="open" if wants_changes else lever.state))
        tx.levers.note(name, one, now, f"{version.label}: {told}")
    if approval.feedback:
        text = f"A person sent {version.label} back ({version.rationale}). {told}"
        tick = tx.agents.get(name).tick
        tx.lessons.add(Lesson(agent=name, text=text, evidence=approval.id, tick=tick, at=now))


def _genomes(tx: Tx, approval: Approval, incumbent: int) -> tuple[Genome, Genome]:
    numbers = (incumbent, approval.version)
    before, after = (tx.versions.genome(tx.versions.get(approval.agent, one).genome) for one in numbers)
    return before, after


def _subject(approval: Approval) -> str:
    return f"{approval.agent}/v{approval.version}"


def _facts(approval: Approval, found: tuple[Change, ...] = ()) -> dict[str, object]:
    """What the channels are told: ids and hashes, and of the change only which blocks it touches."""
    shown = {"changes": [f"{one.kind} {one.id}" for one in found]} if found else {}
    return {
        "approval": approval.id, "version": approval.version, "rollout": approval.rollout,
        "version_hash": approval.version_digest, "evidence_hash": approval.evidence_digest, "state": approval.state,
        "people": f"{approval.signed} of {approval.people_needed}", "expires_at": approval.expires_at.isoformat(),
        **shown,
    }  # fmt: skip


def _commands(approval: Approval) -> dict[str, object]:
    hashes = f"--version-hash {approval.version_digest[:12]} --evidence-hash {approval.evidence_digest[:12]}"
    return {
        "look": f"surefoot approvals {approval.id}",
        "approve": f"surefoot approve {approval.id} --by NAME {hashes}",
        "reject": f"surefoot reject {approval.id} --by NAME {hashes} --feedback TEXT",
        "request_changes": f"surefoot request-changes {approval.id} --by NAME {hashes} --feedback TEXT",
    }


async def waiting(ports: Ports, agent: str | None = None) -> list[Approval]:
    """Give the requests that wait for a person now."""
    now = ports.clock()
    approvals = await ports.store.read(lambda tx: tx.approvals.all(agent))
    return [approval for approval in approvals if state_at(approval, now) == "pending"]
