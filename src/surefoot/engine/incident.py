"""Incident: write down what went wrong with what serves, reopen what it came from, and learn from it.

Everything here happens in the transaction that takes the version back or raises the alarm, so that no step back goes
without its record, and none is recorded twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from surefoot.core.diff import changes
from surefoot.core.edit import Edit
from surefoot.core.genome import Block
from surefoot.core.incident import Incident, IncidentKind, closed
from surefoot.core.lesson import Lesson
from surefoot.core.version import Version
from surefoot.ports import Ports, Tx


def opened(
    tx: Tx, name: str, kind: IncidentKind, *, version: int, sentence: str, at: datetime, rollout: str = "",
    facts: Mapping[str, object] | None = None,
) -> Incident:  # fmt: skip
    """Open an incident; one of the same kind about the same version and rollout that is still open stands for it."""
    known = tx.incidents.all(name)
    for one in known:
        if (one.state, one.kind, one.version, one.rollout) == ("open", kind, version, rollout):
            return one
    incident = Incident(
        id=f"incident-{name}-{len(known) + 1}", agent=name, kind=kind, at=at, version=version, rollout=rollout,
        sentence=sentence, facts=dict(facts or {}),
    )  # fmt: skip
    tx.incidents.add(incident)
    payload = {"incident": incident.id, "kind": kind, "sentence": sentence, "rollout": rollout}
    tx.audit.append(at=at, actor="operator", action="incident-opened", subject=f"{name}/v{version}", payload=payload)
    return incident


async def close(ports: Ports, incident_id: str, *, by: str, note: str = "") -> Incident:
    """Close an incident in a person's name; closing the sentinel's is to say that its alarm was looked at."""
    now, note = ports.clock(), ports.redact_note(note)

    def work(tx: Tx) -> Incident:
        after = tx.incidents.swap(closed(tx.incidents.get(incident_id), by=by, note=note, at=now))
        tx.audit.append(at=now, actor=by, action="incident-closed", subject=f"{after.agent}/v{after.version}",
                        payload={"incident": after.id, "note": note})  # fmt: skip
        return after

    return await ports.store.write(work)


async def listed(ports: Ports, name: str | None = None, *, all_of_them: bool = False) -> list[Incident]:
    """Give the open incidents, or all there ever were, oldest first."""

    def work(tx: Tx) -> list[Incident]:
        if name is not None:
            tx.agents.get(name)
        return [one for one in tx.incidents.all(name) if all_of_them or one.state == "open"]

    return await ports.store.read(work)


def taken_back(tx: Tx, name: str, number: int, *, sentence: str, evidence: str, at: datetime) -> list[str]:
    """Reopen the levers that a version came from and write the lesson, because it was live and is not any more."""
    agent, version = tx.agents.get(name), tx.versions.get(name, number)
    levers = levers_of(tx, version)
    for one in levers:
        lever = tx.levers.get(name, one)
        tx.levers.put(replace(lever, state="open", tries=lever.tries + 1, note=sentence))
        tx.levers.note(name, one, at, f"open again: {version.label} was taken back. {sentence}")
    text = f"{version.label} was live and was taken back: {sentence}"
    tx.lessons.add(Lesson(agent=name, text=text, evidence=evidence, tick=agent.tick, at=at))
    return levers


def levers_of(tx: Tx, version: Version) -> list[str]:
    """Give the levers whose accepted edits are in a version and were not in its parent; none for one made by hand."""
    if version.parent is None:
        return []
    before = tx.versions.genome(tx.versions.get(version.agent, version.parent).genome)
    new = {one.id: one.after for one in changes(before, tx.versions.genome(version.genome))}
    found: list[str] = []
    for filed in tx.proposals.all(version.agent):
        fits = filed.on == version.parent and filed.state == "accepted"
        if fits and filed.lever not in found and any(_is_in(edit, new) for edit in filed.proposal.edits):
            found.append(filed.lever)
    return found


def _is_in(edit: Edit, new: Mapping[str, Block | None]) -> bool:
    if edit.target not in new:
        return False
    block = new[edit.target]
    return edit.kind == "retire" if block is None else edit.kind == "move" or block.text == edit.text
