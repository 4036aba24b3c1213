"""Report: gather what the morning report is made of: the files, the ledgers, the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from surefoot.core.audit import Entry
from surefoot.core.budget import Budget
from surefoot.core.repo.files import Files
from surefoot.core.repo.report import Morning, morning
from surefoot.engine.repo.edit import here
from surefoot.engine.repo.learn import stopped_why
from surefoot.ports import Ports, Tx
from surefoot.ports.site import Site


async def report(ports: Ports, site: Site, *, hours: float = 24.0) -> Morning:
    """Give the report of the last hours."""
    found = await here(ports, site)
    until = ports.clock()
    since = until - timedelta(hours=hours)
    return await ports.store.read(lambda tx: _report(tx, found, since, until))


def _report(tx: Tx, found: Files, since: datetime, until: datetime) -> Morning:
    name = found.settings.name
    ended = [one for one in tx.audit.all() if _mine(one, name) and since <= one.at <= until]
    usd = sum(_number(one.payload.get("cost_usd")) for one in ended)
    unknown = sum(one.payload.get("cost_known") is False for one in ended)
    return morning(
        name=name, genome=found.strategy.name, levers=found.backlog, lessons=found.lessons, since=since,
        until=until + timedelta(seconds=1), usd=usd, unknown_costs=unknown, waits=_waits(tx, found, ended, until),
    )  # fmt: skip


def _mine(one: Entry, name: str) -> bool:
    return one.action == "tick-ended" and one.subject.rpartition("/tick-")[0] == name


def _waits(tx: Tx, found: Files, ended: Sequence[Entry], now: datetime) -> list[str]:
    """What only a person can settle: a stopped loop, a spent day, a strategy that the loop changed."""
    name, limits = found.settings.name, found.settings.limits
    waits: list[str] = []
    if tx.agents.get(name).stopped:
        why = stopped_why(tx, name) or "a person stopped it"
        waits.append(f"the loop is stopped: {why}. surefoot resume {name} --by NAME lets it go on")
    spent = tx.ledgers.get(f"{name}/day/{now:%Y-%m-%d}", Budget()).committed.usd
    if limits.day_usd is not None and spent + 1e-9 >= limits.day_usd > 0:
        waits.append(f"today's budget is spent ({spent:.2f} of {limits.day_usd:.2f} USD)")
    bumps = [one for one in tx.audit.all() if one.action == "genome-bumped" and one.subject.startswith(f"{name}/")]
    since = min((one.at for one in ended), default=now)
    waits += [f"the strategy is now {one.subject.rpartition('/')[2]} ({one.payload.get('why')}): is it right?"
              for one in bumps if one.at >= since]  # fmt: skip
    return waits


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
