"""Discern: which request somebody means by an id that the requests of several agents have.

The one that was told first has the id itself, any other has it with its agent's name (`core.trace.apart`). A program
knows only the id it made, so that is looked up as the request of an agent that the caller sees; one that is deleted is
meant only where there is no other.
"""

from __future__ import annotations

from collections.abc import Callable

from surefoot.core.errors import NotFound
from surefoot.core.trace import Trace
from surefoot.ports import Tx


def meant(tx: Tx, trace_id: str, sees: Callable[[str], bool]) -> str:
    """Give the id of the request that is meant; the id itself where no agent has one that the caller sees."""
    return next((one for one, agent in tx.finding.under(trace_id) if sees(agent)), trace_id)


def trace_seen(tx: Tx, trace_id: str, sees: Callable[[str], bool]) -> Trace:
    """Give the request that is meant; NotFound, in the same words, where there is none that the caller sees."""
    found = tx.finding.under(trace_id)
    mine = next((one for one, agent in found if sees(agent)), None)
    if mine is None:
        raise NotFound(f"there is no trace {trace_id!r}", hint="every answer carries the id of its trace")
    return tx.traces.get(mine)
