"""Rollback: take one lever back with a revert commit, and open it again.

Nothing is rewritten: the branch goes forward by two commits, the revert and the state that says so, published in one
step. In mode `pr` nothing was merged by the loop, so the lever is opened again and the branch is left to the person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.repo.commit import revert_message, signed, state_message
from surefoot.core.repo.files import LEVERS, Files, files
from surefoot.core.repo.levers import RepoLever, logged, named
from surefoot.core.repo.outcome import Entry
from surefoot.core.repo.paper import one_line
from surefoot.engine.repo.learn import mirrored
from surefoot.engine.repo.open import entered, seen_key, standing_now
from surefoot.engine.repo.read import FAR, Standing
from surefoot.engine.repo.ship import publish, save_papers
from surefoot.ports import Ports, Tx
from surefoot.ports.repository import Logged
from surefoot.ports.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """What was taken back: the lever, its commit, the commit that reverts it, and the branch that moved."""

    lever: str
    commit: str
    revert: str
    branch: str


async def rollback_lever(ports: Ports, site: Site, lever: str, *, by: str, why: str = "") -> RolledBack:
    """Take the last shipped work of a lever back; Conflict where later work stands on it or it is back already."""
    if not by.strip():
        raise Invalid("this takes a person's name", hint="say who decides (--by NAME)")
    standing = await standing_now(ports, site)
    found = standing.files
    await entered(ports, found)
    one, at = named(found.backlog, lever), ports.clock().replace(microsecond=0)
    if found.settings.mode == "pr":
        return await _reopened(ports, site, standing, found, one, by, why, at)
    done, texts = await asyncio.to_thread(_reverted, site, standing, found, one, by, why, at)
    await ports.store.write(lambda tx: _recorded(tx, site, standing, texts, done, by, why, at))
    return done


def _reverted(
    site: Site, standing: Standing, found: Files, one: RepoLever, by: str, why: str, at: datetime
) -> tuple[RolledBack, Mapping[str, str]]:
    shipped = _shipped(site.git.log(standing.base, limit=FAR), one.id)
    message = revert_message(lever=one.id, title=one.title, commit=shipped.sha, by=by, why=why)
    commit = site.git.revert(shipped.sha, parent=standing.base, message=message, at=at)
    texts = {**standing.texts, LEVERS: _opened(found, one, commit, by, why, at)}
    said = state_message(tick=0, said=f"{one.id} is taken back", lever=one.id, genome=found.strategy.name)
    branch, _ = publish(site, standing, found.settings, commit, texts, said, at)
    return RolledBack(lever=one.id, commit=shipped.sha, revert=commit, branch=branch), texts


def _shipped(log: list[Logged], lever: str) -> Logged:
    """The newest commit of a lever that was not taken back since."""
    for one in log:
        note = signed(one.body)
        if note.lever == lever and note.kind == "revert":
            raise Conflict(f"{lever} is taken back already, in {one.sha[:10]}", hint="nothing to do")
        if note.lever == lever and note.kind == "lever":
            return one
    raise NotFound(f"{lever} has not shipped on this branch", hint="surefoot levers --repo shows what has")


def _opened(found: Files, one: RepoLever, commit: str, by: str, why: str, at: datetime) -> str:
    detail = one_line(f"by {by}" + (f": {why}" if why else ""), 300)
    note = Entry(at=at, tick=0, outcome="rolled_back", what=commit[:10], detail=detail)
    return logged(found.levers, one.id, note, status="open").text


async def _reopened(
    ports: Ports, site: Site, standing: Standing, found: Files, one: RepoLever, by: str, why: str, at: datetime
) -> RolledBack:
    branches = [name for name in (f"surefoot/{one.id}",) if site.git.resolve(f"refs/heads/{name}")]
    texts = {**standing.texts, LEVERS: _opened(found, one, "", by, why, at)}
    await asyncio.to_thread(save_papers, site, standing, texts)
    done = RolledBack(lever=one.id, commit="", revert="", branch=", ".join(branches))
    await ports.store.write(lambda tx: _recorded(tx, site, standing, texts, done, by, why, at))
    return done


def _recorded(
    tx: Tx, site: Site, standing: Standing, texts: Mapping[str, str], done: RolledBack, by: str, why: str, at: datetime
) -> None:
    found = files(texts)
    name = found.settings.name
    mirrored(tx, name, found, at)
    tx.switches.on(seen_key(site), {"texts": dict(standing.person)})
    facts: dict[str, Any] = {"commit": done.commit, "revert": done.revert, "why": why}
    tx.audit.append(at=at, actor=by, action="lever-rolled-back", subject=f"{name}/{done.lever}", payload=facts)
