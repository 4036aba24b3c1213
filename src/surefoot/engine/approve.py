"""Approve: record a person's decision on a version, bound to the hashes of what they saw."""

from __future__ import annotations

from surefoot.core.approval import Approval, Decision, decide, state_at
from surefoot.core.errors import Conflict
from surefoot.ports import Ports, Tx


async def approve(
    ports: Ports, approval_id: str, decision: Decision, *, by: str, version_digest: str = "", evidence: str = "",
    feedback: str = "",
) -> Approval:  # fmt: skip
    """Decide on a request.

    The caller quotes the hashes of what was looked at (by default those of the request itself). Raises Forbidden for
    one's own proposal, Conflict when the request is stale, decided or expired, or its rollout has ended.
    """
    now = ports.clock()

    def work(tx: Tx) -> Approval:
        before = tx.approvals.get(approval_id)
        rollout = tx.rollouts.get(before.rollout)
        if rollout.approval != before.id or rollout.state != "awaiting_approval":
            raise Conflict(
                f"approval {approval_id} is stale: its rollout is {rollout.state.replace('_', ' ')}",
                hint="surefoot approvals lists what waits for a decision now",
            )
        after = decide(
            before, decision, actor=by, version_digest=version_digest or before.version_digest,
            evidence_digest=evidence or before.evidence_digest, now=now, feedback=feedback,
        )  # fmt: skip
        tx.approvals.swap(before, after)
        tx.audit.append(
            at=now, actor=by, action=f"approval-{decision}", subject=f"{before.agent}/v{before.version}",
            payload={"approval": before.id, "version": after.version_digest, "evidence": after.evidence_digest,
                     "feedback": feedback},
        )  # fmt: skip
        return after

    return await ports.store.write(work)


async def waiting(ports: Ports, agent: str | None = None) -> list[Approval]:
    """Give the requests that wait for a person now."""
    now = ports.clock()
    approvals = await ports.store.read(lambda tx: tx.approvals.all(agent))
    return [approval for approval in approvals if state_at(approval, now) == "pending"]
