"""Register: create an agent from a genome, offer a version by hand, stop and resume an agent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from surefoot.core.agent import Agent, Habits
from surefoot.core.case import Case, case_id
from surefoot.core.diff import changes
from surefoot.core.digest import digest
from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.genome import Genome
from surefoot.core.guardrail import Bounds
from surefoot.core.lesson import SHIPPED, Lesson
from surefoot.core.policy import Policy
from surefoot.core.version import Version
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx


async def create_agent(
    ports: Ports, name: str, genome: Genome, *, by: str, labels: Iterable[str] = (), policy: Policy | None = None,
    bounds: Bounds | None = None, habits: Habits | None = None, salt: str = "",
) -> Agent:  # fmt: skip
    """Create an agent whose version 1 is live with this genome; Conflict if the name is taken."""
    if not genome.of_kind("section"):
        raise Invalid(f"the genome of {name!r} has no section", hint="give it at least one section of instructions")
    now = ports.clock()
    agent = Agent(
        name=name, base=genome.digest, live=1, created_at=now, labels=tuple(labels), policy=policy or Policy(),
        bounds=bounds or Bounds(), habits=habits or Habits(), salt=salt or digest([name, ports.new_id()])[:12],
    )  # fmt: skip
    first = Version(
        agent=name, number=1, genome=genome.digest, parent=None, author=by, rationale="the start", state="live",
        created_at=now,
    )  # fmt: skip

    def work(tx: Tx) -> Agent:
        tx.agents.add(agent)
        tx.versions.add(first, genome)
        tx.agents.moved_live(name, 1, at=now, by=by, why="the start")
        for text in SHIPPED:
            tx.lessons.add(Lesson(agent=name, text=text, evidence="shipped with Surefoot", tick=0, at=now))
        tx.audit.append(at=now, actor=by, action="agent-created", subject=name, payload={"genome": genome.digest})
        return tx.agents.get(name)

    return await ports.store.write(work)


async def add_cases(ports: Ports, cases: Iterable[Case], *, by: str) -> int:
    """Add cases that an operator supplied, redacted; those that are there already stay as they are."""
    kept, now = [_redacted(ports, case) for case in cases], ports.clock()

    def work(tx: Tx) -> int:
        added = tx.cases.add(kept)
        for name in sorted({case.agent for case in kept}):
            tx.audit.append(at=now, actor=by, action="cases-added", subject=name, payload={"cases": added})
        return added

    return await ports.store.write(work)


def _redacted(ports: Ports, case: Case) -> Case:
    """The case as it may be stored, which is another one where something was taken out; its split stays."""
    asked, right = ports.redact(storable(case.input)), ports.redact(storable(case.expected))
    name = case.id if (asked, right) == (case.input, case.expected) else case_id(case.agent, asked, right)
    return replace(case, id=name, input=asked, expected=right, slices=ports.redact_slices(case.slices))


async def offer_version(ports: Ports, name: str, genome: Genome, *, by: str, rationale: str) -> Version:
    """Store a genome as a candidate version of an agent; it takes no traffic until it is vetted and rolled out."""
    if not by.strip():
        raise Invalid("a version needs an author", hint="say who offers it (--by NAME)")
    now = ports.clock()

    def work(tx: Tx) -> Version:
        agent = tx.agents.get(name)
        if genome.locked_digest != tx.versions.genome(agent.base).locked_digest:
            blocks = ", ".join(_locked_changes(tx.versions.genome(agent.base), genome)) or "their order"
            raise Forbidden(
                f"the offered genome changes locked bytes of {name} ({blocks})",
                hint="leave the locked blocks as they are",
            )
        number = len(tx.versions.all(name)) + 1
        version = Version(
            agent=name, number=number, genome=genome.digest, parent=agent.live, author=by, rationale=rationale,
            state="candidate", created_at=now,
        )  # fmt: skip
        tx.versions.add(version, genome)
        tx.audit.append(at=now, actor=by, action="candidate", subject=f"{name}/{version.label}",
                        payload={"genome": genome.digest, "parent": agent.live, "rationale": rationale})  # fmt: skip
        return version

    return await ports.store.write(work)


def _locked_changes(base: Genome, genome: Genome) -> list[str]:
    """The locked blocks that differ, by id."""
    found = changes(base, genome)
    return [one.id for one in found if any(side is not None and side.locked for side in (one.before, one.after))]


async def stop(ports: Ports, name: str, *, by: str, stopped: bool = True, reason: str = "") -> Agent:
    """Set or lift the kill switch: a stopped agent serves its live version and changes in no way."""
    now, reason = ports.clock(), ports.redact_note(reason)

    def work(tx: Tx) -> Agent:
        agent = tx.agents.get(name)
        if agent.stopped == stopped:
            raise Conflict(f"agent {name} is {'stopped' if stopped else 'running'} already", hint="nothing to do")
        action = "stopped" if stopped else "resumed"
        tx.audit.append(at=now, actor=by, action=action, subject=name, payload={"reason": reason} if reason else {})
        return tx.agents.swap(replace(agent, stopped=stopped))

    return await ports.store.write(work)
