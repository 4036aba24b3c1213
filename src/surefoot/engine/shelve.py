"""Shelve: a person closes a lever or opens it again, and teaches the loop a lesson."""

from __future__ import annotations

from dataclasses import replace

from surefoot.core.backlog import Lever
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.lesson import Lesson
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
