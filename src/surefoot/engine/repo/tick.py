"""Tick: one cycle on a repository, one lever.

Begin (the number is taken) → read → act → gate → ship → learn. Each step can be repeated: its worktrees are thrown
away first, its commits come out the same, and what it wrote in the store is found again under the tick's number. So a
tick that is killed anywhere leaves nothing half done and goes on where it was. `run` carries a step out; the workflow
engine hands in one that remembers finished steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from surefoot.core.errors import Conflict
from surefoot.core.repo.runaway import tries_next_lever
from surefoot.core.repo.settings import RepoSettings
from surefoot.engine.halt import must_run
from surefoot.engine.repo.act import Turn, act
from surefoot.engine.repo.gate import gate
from surefoot.engine.repo.learn import learn, resumed_after
from surefoot.engine.repo.open import LOOP, counted, site_key, standing_now
from surefoot.engine.repo.read import Standing
from surefoot.engine.repo.ship import ship
from surefoot.engine.tick import Step, at_once
from surefoot.ports import Ports, Tx
from surefoot.ports.site import Site


async def repo_tick(ports: Ports, folder: str, name: str, number: int, *, run: Step = at_once) -> dict[str, Any]:
    """Run tick `number` on the repository in `folder` and give its report (outcome, lever, gates, commit, cost …)."""
    site = ports.site_at(folder)
    begun = await run("begin", lambda: _begin(ports, site, name, number))
    at = datetime.fromisoformat(begun["at"])
    standing = Standing.from_document(await run("read", lambda: _read(ports, folder, number)))
    chosen = standing.files.settings
    turns: list[dict[str, Any]] = []
    while not turns or _goes_on(turns, chosen):
        turn = Turn(number=number, turn=len(turns), at=at)
        facts = await _turn(ports, site, standing, turn, [one["lever"] for one in turns], begun, run)
        if not facts["lever"]:
            break
        turns.append(facts)
    if not turns:
        return {"repo": name, "tick": number, "outcome": "no_change", "lever": "", "sentence": "no lever is open"}
    shipped = await run("ship", lambda: _shipped(ports, folder, standing, turns, number, at))
    return await run("learn", lambda: learn(ports, site, standing, shipped, turns, number=number, at=at))


def _goes_on(turns: list[dict[str, Any]], chosen: RepoSettings) -> bool:
    failed = turns[-1]["outcome"] == "gate_failed"
    return failed and tries_next_lever(chosen.on_gate_fail, len(turns), most=chosen.max_levers)


async def _turn(
    ports: Ports, site: Site, standing: Standing, turn: Turn, taken: list[str], begun: Mapping[str, Any], run: Step
) -> dict[str, Any]:
    """Act on the next lever and let the gates judge; gives its facts, with an outcome in any case."""
    after = int(begun["resumed_after"])
    facts = await run(f"act-{turn.turn}", lambda: act(ports, site, standing, turn, taken=taken, resumed_after=after))
    if facts["outcome"] is not None:
        return facts
    judged = await run(f"gate-{turn.turn}", lambda: gate(site, standing, turn, facts["draft"]))
    return {**facts, **judged, "outcome": judged["outcome"] or "shipped"}


async def _begin(ports: Ports, site: Site, name: str, number: int) -> dict[str, Any]:
    """Take the tick's number, by compare-and-set; a repeat finds it taken by itself."""
    now = ports.clock().replace(microsecond=0)
    key = f"{name}/tick/{number}/begin"

    def work(tx: Tx) -> dict[str, Any]:
        if (done := tx.marks.get(key)) is not None:
            return dict(done)
        agent = tx.agents.get(name)
        if agent.tick >= number:
            raise Conflict(f"tick {number} of {name} is over (now at {agent.tick})", hint="start a new one")
        must_run(tx, agent)
        tx.agents.swap(replace(agent, tick=number, last_tick_at=now))
        counted(tx, name, now, number)
        tx.switches.on(site_key(site), {"name": name, "tick": number})
        begun = {"at": now.isoformat(), "resumed_after": resumed_after(tx, name)}
        tx.audit.append(at=now, actor=LOOP, action="tick-started", subject=f"{name}/tick-{number}", payload={})
        tx.marks.add(key, begun, now)
        return begun

    return await ports.store.write(work)


async def _read(ports: Ports, folder: str, number: int) -> dict[str, Any]:
    return (await standing_now(ports, ports.site_at(folder), tick=number)).document()


async def _shipped(
    ports: Ports, folder: str, standing: Standing, turns: list[dict[str, Any]], number: int, at: datetime
) -> dict[str, Any]:
    site = ports.site_at(folder)
    done = await asyncio.to_thread(ship, site, standing, turns, number=number, at=at)
    return done.document()
