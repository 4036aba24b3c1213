"""Accept: a person has looked at a watched slice or metric that seems worse, and lets the rollout go on with it.

The guards of slices and metrics never decide by themselves: they hold the challenger at its floor and ask. What is
accepted is accepted by name and for this rollout only; the guard on all failures together keeps its say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from surefoot.core.approval import among
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound
from surefoot.core.rollout.standing import Rollout, must_stand_at
from surefoot.engine.issue import people
from surefoot.engine.operate import ENDED
from surefoot.ports import Ports, Tx


async def accept_guards(
    ports: Ports, rollout_id: str, names: Collection[str], *, by: str, why: str = "", epoch: int | None = None
) -> Rollout:  # fmt: skip
    """Accept watched slices or metrics by name; `epoch` is that of the rollout as it was looked at.

    Raises NotFound for a name that is not watched, Forbidden for one's own proposal, Conflict for a rollout that has
    ended or moved.
    """
    if not by.strip() or not names:
        raise Invalid("this takes a person and at least one name", hint="name the slices or metrics, and --by NAME")
    why = ports.redact_note(why)

    def work(tx: Tx) -> Rollout:
        rollout = tx.rollouts.get(rollout_id)
        must_stand_at(rollout, epoch)
        _may(rollout, names, by, people(tx, ports))
        tx.audit.append(
            at=ports.clock(), actor=by, action="guard-accepted", subject=f"{rollout.agent}/v{rollout.challenger}",
            payload={"rollout": rollout_id, "names": sorted(names), "reason": why},
        )  # fmt: skip
        accepted = tuple(sorted({*rollout.accepted_guards, *names}))
        return tx.rollouts.swap(replace(rollout, accepted_guards=accepted))

    return await ports.store.write(work)


def _may(rollout: Rollout, names: Collection[str], by: str, known: Mapping[str, str]) -> None:
    if rollout.state in ENDED:
        raise Conflict(f"rollout {rollout.id} has ended: {rollout.state.replace('_', ' ')}", hint="look at it again")
    for name in names:
        if name not in rollout.settings.guards:
            watched = ", ".join(rollout.settings.guards) or "nothing"
            raise NotFound(f"{name!r} is not watched in this rollout", hint=f"watched: {watched}")
    if among(by, rollout.proposers, known):
        raise Forbidden(
            f"{by} proposed {rollout.agent} v{rollout.challenger} and cannot accept what it worsens",
            hint="another person has to look at it",
        )
