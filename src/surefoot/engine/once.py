"""Once: take a request's key, let the request run or give its old answer, and settle the key.

The first write of a request marks its key in that write's own transaction (`changing`). So when the process dies, the
store itself knows whether anything happened: see `core.request_key`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import replace

from surefoot.core.errors import Conflict
from surefoot.core.request_key import KEPT, LEASE, RequestKey, due, usable, worth_keeping
from surefoot.ports import Ports, Tx

_HOST = socket.gethostname()


def this_process() -> str:
    """Give a name for this process, from which others can tell whether it still works."""
    return f"{_HOST}:{os.getpid()}"


def works(owner: str) -> bool:
    """Whether a process still works, as far as can be told: one of another machine is believed until its lease ends."""
    return alive_here(owner) is not False


def alive_here(owner: str) -> bool | None:
    """Whether a process of this machine lives; None for one of another machine, which cannot be seen from here."""
    host, _, pid = owner.rpartition(":")
    return lives(int(pid)) if host == _HOST and pid.isdigit() else None


def lives(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def take(ports: Ports, who: str, key: str, request: str) -> tuple[bool, RequestKey]:
    """Take a key for a request; gives whether to carry it out, and the key (with the old answer if not).

    Invalid, Busy and Conflict as in `core.request_key.due`. Who is still at work is asked before the transaction, which
    holds the lock; whoever took the key since is believed to be.
    """
    now, owner = ports.clock(), this_process()
    usable(key)

    before = await ports.store.read(lambda tx: tx.request_keys.get(who, key))
    dead = {before.owner} if before is not None and not works(before.owner) else set[str]()

    def work(tx: Tx) -> tuple[bool, RequestKey]:
        known = tx.request_keys.get(who, key)
        if due(known, request, now=now, alive=known is not None and known.owner not in dead) == "replay":
            assert known is not None
            return False, known
        tx.request_keys.forget(now - KEPT)
        mine = RequestKey(who=who, key=key, request=request, owner=owner, at=now, until=now + LEASE)
        tx.request_keys.put(mine)
        return True, mine

    return await ports.store.write(work)


def changing(tx: Tx, mine: RequestKey) -> None:
    """Mark a key: from this transaction on its request has changed something.

    Conflict, and with it nothing is written, where the request slept past its lease and another one has the key now.
    """
    known = tx.request_keys.get(mine.who, mine.key)
    if known is None or not _held(known, mine):
        raise Conflict(
            "this request took too long, and another one with its Idempotency-Key took over",
            hint="send it again under the same key: it tells what became of it",
        )
    if not known.changed:
        tx.request_keys.put(replace(known, changed=True))


def _held(known: RequestKey, mine: RequestKey) -> bool:
    """Whether a key is still that of the request which took it."""
    return (known.owner, known.at) == (mine.owner, mine.at)


async def forget(ports: Ports) -> None:
    """Delete the keys that are older than a day."""
    before = ports.clock() - KEPT
    await ports.store.write(lambda tx: tx.request_keys.forget(before))


async def renew(ports: Ports, mine: RequestKey) -> None:
    """Say that the request is still being worked on."""
    until = ports.clock() + LEASE

    def work(tx: Tx) -> None:
        known = tx.request_keys.get(mine.who, mine.key)
        if known is not None and known.state == "open" and _held(known, mine):
            tx.request_keys.put(replace(known, until=until))

    await ports.store.write(work)


async def settle(
    ports: Ports, mine: RequestKey, *, status: int, headers: Mapping[str, str], body: str, secret: bool
) -> None:
    """Keep the answer, or free the key where the request was refused and changed nothing."""

    def work(tx: Tx) -> None:
        known = tx.request_keys.get(mine.who, mine.key)
        if known is None or not _held(known, mine):
            return
        if not worth_keeping(status, changed=known.changed):
            tx.request_keys.drop(mine.who, mine.key)
            return
        shown = {name: value for name, value in headers.items() if not secret or name == "location"}
        tx.request_keys.put(replace(
            known, state="done", status=status, secret=secret, headers=shown, body="" if secret else body
        ))  # fmt: skip

    await ports.store.write(work)
