"""Enlist: a person makes one request a case, before the next tick would.

Every request whose right answer was said becomes a case at the next tick. This does the same for one of them now, by
the same rules: the side that it is tested on is that of its group, by hash. Nobody chooses it, and nobody is told
which it is, so that what a version is examined on cannot be picked by whoever wants it to pass.
"""

from __future__ import annotations

from surefoot.core.case import Case
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.token import any_agent
from surefoot.core.trace import GONE, Trace
from surefoot.engine.discern import meant
from surefoot.engine.observe import observe
from surefoot.engine.triage import cases_of
from surefoot.ports import Ports, Tx


async def enlist(ports: Ports, name: str, trace_id: str, *, expected: str = "", by: str) -> Case:
    """Make a request a case, in a person's name; `expected` is said as an outcome first, where nobody said it.

    NotFound for a trace that is not the agent's, Invalid where nobody said what is right, Conflict where it is a case
    already, where its texts were deleted, or where it resembles cases of several sides.
    """
    if not by.strip():
        raise Invalid("a case is added by a person", hint="say who adds it (--by NAME)")
    trace_id = await ports.store.read(lambda tx: meant(tx, trace_id, name.__eq__))
    said = await ports.store.read(lambda tx: _said(tx, name, trace_id))
    if expected.strip() and ports.redact(expected.strip()) != said:
        await observe(ports, trace_id, expected=expected, source=f"by:{by}", sees=any_agent)
    now = ports.clock()

    def work(tx: Tx) -> Case:
        trace = _mine(tx, name, trace_id)
        judged = next((one for one in reversed(tx.outcomes.of(trace_id)) if one.expected), None)
        if judged is None:
            raise Invalid(f"nobody said what is right for {trace_id}", hint="say it: --expected ANSWER")
        made = cases_of(tx, tx.agents.get(name), [(trace, judged)])
        if not made:
            raise Conflict(f"{trace_id} resembles cases on several sides, and would give them away",
                           hint="leave it; what it tests is tested")  # fmt: skip
        if not tx.cases.add(made):
            raise Conflict(f"{trace_id} is a case already", hint="nothing to do")
        tx.traces.cased([trace_id])
        tx.audit.append(at=now, actor=by, action="case-added", subject=name,
                        payload={"case": made[0].id, "trace": trace_id})  # fmt: skip
        return made[0]

    return await ports.store.write(work)


def _said(tx: Tx, name: str, trace_id: str) -> str:
    """What was said last to be right for a request; empty where nobody said it."""
    _mine(tx, name, trace_id)
    return next((one.expected for one in reversed(tx.outcomes.of(trace_id)) if one.expected), "")


def _mine(tx: Tx, name: str, trace_id: str) -> Trace:
    trace = tx.traces.get(trace_id)
    if trace.agent != name:
        raise NotFound(f"there is no trace {trace_id!r} of {name}", hint=f"surefoot failures {name} lists some")
    if trace.finish == GONE:
        raise Conflict(f"the texts of trace {trace_id} were deleted", hint="choose another request")
    return trace
