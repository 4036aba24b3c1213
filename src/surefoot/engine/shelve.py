"""Shelve: a person makes a lever of failures, closes one or opens it again, and teaches the loop a lesson.

A lever that a person made is one more move in the backlog: what a tick may do with it, and what a version of it has to
pass, is the same as with those that a tick finds.
"""

from __future__ import annotations

from dataclasses import replace

from surefoot.core.agent import Agent
from surefoot.core.backlog import Gap, Lever, gaps, lever_of
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.lesson import Lesson
from surefoot.engine.discern import meant
from surefoot.ports import Ports, Tx


async def shelve(ports: Ports, name: str, lever_id: str, *, closed: bool, by: str, reason: str) -> Lever:
    """Close a lever, or open it again; Conflict where a tick is at it, or it is so already."""
    if not by.strip() or not reason.strip():
        raise Invalid("a lever is moved by a person, with a reason", hint="say who decides (--by NAME) and why (--why)")
    now = ports.clock()

    def work(tx: Tx) -> Lever:
        lever, state = tx.levers.get(name, lever_id), "closed" if closed else "open"
        if lever.state in (state, "doing", "drafted"):
            raise Conflict(f"lever {lever_id} of {name} is {lever.state}", hint="look again when the tick has ended")
        after = replace(lever, state=state, note=f"{by}: {reason}")
        tx.levers.put(after)
        tx.levers.note(name, lever_id, now, f"{state} by {by}: {reason}")
        tx.audit.append(at=now, actor=by, action=f"lever-{'closed' if closed else 'reopened'}", subject=name,
                        payload={"lever": lever_id, "reason": reason})  # fmt: skip
        return after

    return await ports.store.write(work)


async def lever_by_hand(ports: Ports, name: str, what: str, *, by: str, reason: str) -> Lever:
    """Make a lever of a cluster (named by its symptom) or of one failure (by its trace), in a person's name.

    NotFound where no failure that stands is of it, Conflict where it has its lever already.
    """
    if not by.strip() or not reason.strip():
        raise Invalid("a lever is made by a person, with a reason", hint="say who decides (--by NAME) and why (--why)")
    now, reason = ports.clock(), ports.redact_note(reason.strip())

    def work(tx: Tx) -> Lever:
        agent = tx.agents.get(name)
        gap = _gap(tx, agent, what)
        lever = replace(lever_of(name, gap, ports.redact(gap.title)), note=f"{by}: {reason}")
        known = next((one for one in tx.levers.all(name) if one.gap == gap.key or one.id == lever.id), None)
        if known is not None:
            raise Conflict(f"lever {known.id} of {name} answers this already: it is {known.state}", hint=_next(known))
        tx.levers.put(lever)
        tx.levers.note(name, lever.id, now, f"made by {by}: {reason}")
        tx.audit.append(at=now, actor=by, action="lever-made", subject=name,
                        payload={"lever": lever.id, "failures": lever.failures, "reason": reason})  # fmt: skip
        return lever

    return await ports.store.write(work)


def _gap(tx: Tx, agent: Agent, what: str) -> Gap:
    failures, labelled = tx.outcomes.failures(agent.name, limit=agent.habits.window), tx.outcomes.labelled(agent.name)
    trace_id = meant(tx, what, agent.name.__eq__)
    key = next((one.symptom for one in failures if one.trace_id == trace_id), what)
    found = gaps((one for one in failures if one.symptom == key), labelled.success + labelled.failure, least=1)
    if not found:
        raise NotFound(
            f"no failure of {agent.name} that stands is of {what[:100]!r}",
            hint=f"surefoot failures {agent.name} lists them, each with its trace",
        )
    return found[0]


def _next(known: Lever) -> str:
    if known.state in ("open", "doing", "drafted"):
        return "nothing to do: a tick takes it in its turn"
    return f"surefoot levers {known.agent} --reopen {known.id} opens it again"


async def taught(ports: Ports, name: str, text: str, *, by: str) -> Lesson:
    """Add a lesson in a person's name."""
    if not text.strip() or not by.strip():
        raise Invalid("a lesson needs a text and a teacher", hint='write --add "…" --by NAME')
    now, text = ports.clock(), ports.redact_note(text)

    def work(tx: Tx) -> Lesson:
        agent = tx.agents.get(name)
        lesson = Lesson(agent=name, text=text.strip(), evidence=f"by {by.strip()}", tick=agent.tick, at=now)
        tx.lessons.add(lesson)
        tx.audit.append(at=now, actor=by.strip(), action="lesson-added", subject=name, payload={"text": lesson.text})
        return lesson

    return await ports.store.write(work)
