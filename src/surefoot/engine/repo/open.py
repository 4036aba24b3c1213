"""Open: may a tick start now, and under which number; the repository is entered in the store the first time.

A repository is one more agent in the same rooms: its strategy is its genome, bumps are versions, levers, lessons,
ledgers and the record are those that agents have. What is broken in the files is found here, before a tick is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from surefoot.core.agent import Agent, Habits
from surefoot.core.budget import Budget, Ledger
from surefoot.core.errors import BudgetExhausted, Conflict
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Cost
from surefoot.core.repo.files import Files
from surefoot.core.repo.levers import last_tick, top_open
from surefoot.core.repo.runaway import Wait, wait
from surefoot.core.repo.settings import RepoSettings
from surefoot.core.repo.strategy import Strategy
from surefoot.core.version import Version
from surefoot.engine.halt import must_run
from surefoot.engine.repo.read import Standing, read
from surefoot.ports import Ports, Tx
from surefoot.ports.site import Site

LOOP = "loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A tick that may start under `number`; or `wait` says why not now, and until when."""

    name: str
    number: int
    files: Files
    standing: Standing
    wait: Wait | None = None


async def ready(ports: Ports, site: Site, *, scheduled: bool = False) -> Ready:
    """Look whether a tick may start; `scheduled` minds the quiet hours too. Nothing is counted yet.

    Errors: what is wrong in the files or the branches, Conflict when stopped, BudgetExhausted for the day.
    """
    standing = await standing_now(ports, site)
    found = standing.files
    await entered(ports, found)
    now, chosen = ports.clock(), found.settings

    def look(tx: Tx) -> Ready:
        agent = tx.agents.get(chosen.name)
        must_run(tx, agent)
        _affordable(tx, chosen, now)
        held = wait(now, last_started=agent.last_tick_at, today=_today(tx, chosen.name, now), cooldown=chosen.cooldown,
                    day_ticks=chosen.limits.day_ticks, hours=chosen.hours if scheduled else None)  # fmt: skip
        number = max(agent.tick, last_tick(found.backlog)) + 1
        return Ready(name=chosen.name, number=number, files=found, standing=standing, wait=held)

    return await ports.store.read(look)


async def due_at(ports: Ports, site: Site, *, every: timedelta | None = None) -> tuple[datetime, str]:
    """Give when the next scheduled tick is due, and why not before; the moment is in the past when it is due now.

    The schedule is kept nowhere: it follows from the last tick and the settings, so it survives any pause.
    """
    found = await ready(ports, site, scheduled=True)
    chosen = found.files.settings
    last = await ports.store.read(lambda tx: tx.agents.get(found.name).last_tick_at)
    step = chosen.every if every is None else every
    at, why = (last + step, "the next tick is not due yet") if last is not None else (ports.clock(), "")
    if found.wait is not None and found.wait.until > at:
        at, why = found.wait.until, found.wait.sentence
    if top_open(found.files.backlog) is None:
        at, why = max(at, ports.clock() + step), "no lever is open"
    return at, why


async def unfinished(ports: Ports, site: Site, named: Callable[[str, int], str]) -> str:
    """Give the workflow of the last tick that began on this site, as `named` by name and number."""

    def look(tx: Tx) -> str:
        noted = tx.switches.get(site_key(site)) or {}
        return named(str(noted.get("name", "")), int(str(noted.get("tick", 0))))

    return await ports.store.read(look)


async def standing_now(ports: Ports, site: Site, *, tick: int = 0) -> Standing:
    """Read the files as the next tick would."""
    import asyncio

    seen = await ports.store.read(lambda tx: seen_before(tx, site))
    return await asyncio.to_thread(read, site, seen=seen, tick=tick, at=ports.clock().replace(microsecond=0))


def seen_before(tx: Tx, site: Site) -> dict[str, str]:
    """The person's copies of the four files as the last tick took them in."""
    noted = tx.switches.get(seen_key(site)) or {}
    return {str(name): str(text) for name, text in cast("Mapping[object, object]", noted.get("texts", {})).items()}


def seen_key(site: Site) -> str:
    """The name under which a site's last seen copies are kept."""
    return f"repo-seen:{site.folder}"


def site_key(site: Site) -> str:
    """The name under which is kept which tick began last on a site."""
    return f"repo-site:{site.folder}"


def day_ledger(settings: RepoSettings, now: datetime) -> tuple[str, Budget]:
    """The ledger of a day, as agents have it."""
    return f"{settings.name}/day/{now:%Y-%m-%d}", Budget(usd=settings.limits.day_usd)


def worst(settings: RepoSettings) -> Cost:
    """What one run of the coding agent may cost at most."""
    own = settings.agent.usd_per_run
    usd = own if own is not None else settings.limits.tick_usd
    return Cost(calls=1, usd=usd or 0.0)


def _affordable(tx: Tx, settings: RepoSettings, now: datetime) -> None:
    """Raise BudgetExhausted when the day has no room for one more run."""
    scope, budget = day_ledger(settings, now)
    ledger: Ledger = tx.ledgers.get(scope, budget)
    try:
        ledger.reserve("look", worst(settings))
    except BudgetExhausted as spent:
        hint = "wait until tomorrow (UTC), or raise day_usd under [repo.budget]"
        raise BudgetExhausted(f"the day's budget of {settings.name} is spent: {spent.message}", hint=hint) from None


def _today(tx: Tx, name: str, now: datetime) -> int:
    noted = tx.marks.get(f"{name}/ticks/{now:%Y-%m-%d}/1")
    count = 0
    while noted is not None:
        count += 1
        noted = tx.marks.get(f"{name}/ticks/{now:%Y-%m-%d}/{count + 1}")
    return count


def counted(tx: Tx, name: str, now: datetime, number: int) -> None:
    """Count a tick of this day; called once per tick, where its number is taken."""
    tx.marks.add(f"{name}/ticks/{now:%Y-%m-%d}/{_today(tx, name, now) + 1}", {"tick": number}, now)


async def entered(ports: Ports, found: Files) -> Agent:
    """Enter a repository in the store if it is not there; Conflict when an agent of traffic has its name."""
    now, chosen = ports.clock(), found.settings

    def work(tx: Tx) -> Agent:
        known = next((one for one in tx.agents.all() if one.name == chosen.name), None)
        if known is not None:
            if known.habits.model != LOOP:
                raise Conflict(f"{chosen.name} is the name of another agent in this store",
                               hint="choose another name under [repo], or another store")  # fmt: skip
            return known
        genome = genome_of(found.strategy)
        number = found.strategy.version
        agent = Agent(name=chosen.name, base=genome.digest, live=number, created_at=now, salt=chosen.name,
                      habits=replace(Habits(), model=LOOP, improver=LOOP), tick=last_tick(found.backlog))  # fmt: skip
        tx.agents.add(agent)
        tx.versions.add(Version(agent=chosen.name, number=number, genome=genome.digest, parent=None, author="loop",
                                rationale="the start", state="live", created_at=now), genome)  # fmt: skip
        tx.agents.moved_live(chosen.name, number, at=now, by="loop", why="the start")
        tx.audit.append(at=now, actor="loop", action="repository-entered", subject=chosen.name,
                        payload={"genome": genome.digest, "base": chosen.base, "mode": chosen.mode})  # fmt: skip
        return tx.agents.get(chosen.name)

    return await ports.store.write(work)


def genome_of(strategy: Strategy) -> Genome:
    """Give a strategy as blocks; the version is one of them, because going back to an older one is a new version."""
    texts = (("mission", strategy.mission), ("focus", strategy.focus), ("next", strategy.next))
    sections = [Block(id=name, kind="section", text=text) for name, text in texts if text.strip()]
    return Genome(blocks=(*sections, Block(id="version", kind="param", text=f'"{strategy.name}"')))
