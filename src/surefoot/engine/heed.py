"""Heed: hear from a process how an execution goes, and write it down; saying the same end twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from surefoot.core.errors import Invalid
from surefoot.core.execution import WAIT_LEASE, Execution, reported
from surefoot.engine.fit import misfit_of
from surefoot.engine.oversee import execution
from surefoot.engine.settle import settle, veiled
from surefoot.engine.wait import must_be_able_to_wait
from surefoot.ports import Ports, Tx
from surefoot.ports.node import Schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a process says of an execution; `waits_for` is another one that it `sees`, with `waiting` alone."""

    execution: str
    state: str
    sees: Callable[[str], bool]
    result: object = None
    error: str = ""
    waits_for: str = ""


async def heeded(
    ports: Ports, said: Report, *, lease: timedelta = WAIT_LEASE, schemas: Schemas | None = None
) -> Execution:  # fmt: skip
    """Write a report down; Conflict for what is over otherwise or would wait in a circle, Invalid for no such word.

    A result that does not fit its schema is Invalid too, and the execution stays open, so that it can be mended.
    """
    if said.waits_for and said.state != "waiting":
        raise Invalid("only what waits can wait for another execution", hint="send waits_for with status waiting")
    if said.state == "succeeded" and schemas is not None:
        one = await execution(ports, said.execution)
        if misfit := await misfit_of(ports, schemas, one, said.result):
            raise Invalid(misfit, hint="send one that fits, or say that it failed")
    now, kept = ports.clock(), veiled(ports, said.result)

    def work(tx: Tx) -> Execution:
        before = tx.executions.get(said.execution)
        if before.over and (before.state, before.result) == (said.state, kept):
            return before
        if said.waits_for:
            must_be_able_to_wait(tx, before, said.waits_for, said.sees)
        after = reported(before, said.state, now, result=kept, error=ports.redact(said.error[:2000]),
                         waits_for=said.waits_for, lease=lease)  # fmt: skip
        after = replace(after, redacted=kept != said.result)
        return settle(tx, ports, after) if after.over else tx.executions.swap(after)

    return await ports.store.write(work)
