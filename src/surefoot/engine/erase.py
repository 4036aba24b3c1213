"""Erase: delete all that is kept of a person, and say what a person still has to do.

In this order: what is found of some requests and of texts that quote them, then those requests with all that was made
of them in one transaction, and so on until there are none; then what hangs on the person alone; then the record, which
says how much went and names nobody. Each step leaves the store whole, so an erasure that is cut short is simply begun
again, and one that is repeated finds nothing. Rules and examples that rest on erased requests are listed under a lever
and stay as they are: a genome that serves is changed by people and gates, never in passing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.backlog import ERASED_GAP, Lever
from surefoot.core.digest import digest
from surefoot.core.errors import Invalid
from surefoot.engine.serve import storable
from surefoot.ports import Ports, Tx
from surefoot.ports.deleting import Doomed, Gone, Hit, Quoted

BATCH = 50
PAUSE_S = 0.01
REMAINS = (
    "backups, copies beside the store and exports keep what they held: delete or replace them",
    "providers of models may keep what they were sent, by their own terms",
    "cases from files and suites of evals are the operator's own; texts that quote a request were overwritten in them",
    "the record keeps its entries, whose chain must hold; it quotes no requests, but names who decided",
    "names of the person inside other people's requests are not found by this",
    "answers under 80 characters are not looked for elsewhere, nor texts of JSON that somebody spelt in another way",
    "steps that another agent recorded in the trace of a request stay, unless they name the person as actor",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What went by kind, what is to be looked at by a person, and what no erasure reaches; `id` names it on record."""

    id: str
    counts: Mapping[str, int]
    derived: tuple[Quoted, ...] = ()
    levers: tuple[str, ...] = ()
    remains: tuple[str, ...] = REMAINS
    dry_run: bool = False


async def erase(ports: Ports, actor: str, *, by: str, dry_run: bool = False) -> Erased:
    """Delete all that is kept of a person, by the name that the app gave; Invalid without a name or somebody to do it.

    A dry run counts, and lists what rests on the first requests.
    """
    persons = persons_of(ports, actor)
    if not by.strip():
        raise Invalid("an erasure needs somebody who does it", hint="say who (--by NAME)")
    if dry_run:
        return await _looked(ports, persons)
    now, gone, derived = ports.clock(), Gone(), dict[tuple[str, str], Quoted]()
    levers: set[str] = set()
    while (found := await ports.store.read(lambda tx: _found(tx, persons)))[0].ids:
        doomed, hits, quoted = found
        some, opened = await ports.store.write(
            lambda tx, d=doomed, h=hits, q=quoted: _erased(tx, ports, d, h, q, now)
        )  # fmt: skip
        gone.merge(some)
        levers.update(opened)
        derived |= {(one.agent, one.block): one for one in quoted}
        await asyncio.sleep(PAUSE_S)
    made = ports.new_id()
    await ports.store.write(lambda tx: _finished(tx, ports, persons, gone, made=made, by=by, now=now))
    await ports.store.flush()
    return Erased(
        id=made, counts=dict(gone.counts), derived=tuple(derived[key] for key in sorted(derived)),
        levers=tuple(sorted(levers)),
    )  # fmt: skip


def persons_of(ports: Ports, actor: str) -> tuple[str, ...]:
    """Give the names under which a person may be kept: as the app says it, and as it is stored after redaction."""
    name = storable(actor).strip()
    if not name:
        raise Invalid("nobody is named", hint="name the actor as the app does (--actor NAME)")
    return tuple(dict.fromkeys((name, ports.redact_name(name))))


async def _looked(ports: Ports, persons: Sequence[str]) -> Erased:
    def work(tx: Tx) -> tuple[Mapping[str, int], list[Quoted]]:
        return tx.erasing.of_person(persons).counts, _found(tx, persons)[2]

    counts, quoted = await ports.store.read(work)
    return Erased(id="", counts=counts, derived=tuple(quoted), dry_run=True)


def _found(tx: Tx, persons: Sequence[str]) -> tuple[Doomed, list[Hit], list[Quoted]]:
    doomed = tx.erasing.doomed(persons, limit=BATCH)
    hits, quoted = tx.erasing.quoting(doomed)
    return doomed, hits, quoted


def _erased(
    tx: Tx, ports: Ports, doomed: Doomed, hits: Sequence[Hit], quoted: Sequence[Quoted], now: datetime
) -> tuple[Gone, list[str]]:
    """Open the levers first: a crash after the requests are gone must not forget what rested on them."""
    levers = [_lever(tx, one, now) for one in quoted if one.live or one.draft]
    return tx.erasing.erase(doomed, hits, new_id=ports.new_id), levers


def _lever(tx: Tx, quoted: Quoted, now: datetime) -> str:
    """Keep a lever for people to take a block out; it names the block and quotes nothing."""
    gap = f"{ERASED_GAP}{quoted.block}"
    name = f"L-{digest([quoted.agent, gap])[:6]}"
    where = "the draft" if quoted.draft and not quoted.live else "what serves"
    lever = Lever(
        id=name, agent=quoted.agent, gap=gap, impact=0.0, failures=0,
        title=f"take {quoted.block} out of {where}: it rests on requests that were erased",
    )  # fmt: skip
    if all(one != lever for one in tx.levers.all(quoted.agent)):
        tx.levers.put(lever)
        tx.levers.note(quoted.agent, name, now, f"open: {lever.title}")
    return name


def _finished(tx: Tx, ports: Ports, persons: Sequence[str], gone: Gone, *, made: str, by: str, now: datetime) -> None:
    gone.merge(tx.erasing.erase_rest(persons, new_id=ports.new_id))
    tx.request_keys.blank()  # all of them: an answer does not say whose text it holds, and none is kept beyond a day
    tx.audit.append(
        at=now, actor=by.strip(), action="erased", subject=f"erasure/{made}", payload={"counts": dict(gone.counts)}
    )  # fmt: skip
