"""`tick --repo` and `loop --repo`: one tick on a repository, or a shift of them by its own schedule.

The schedule follows from the last tick and the settings, and ticks are durable: a shift may end anywhere, and the next
one, minutes or days later, finishes what was begun and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.cli.desk import WITH_REPO, Desk
from surefoot.cli.worker import CODES, Ended, Shift
from surefoot.core.errors import BudgetExhausted, Conflict, Forbidden, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.engine.durable import Durable
    from surefoot.ports.site import Site

REPO_TICK_KEYS = (
    "repo tick outcome lever title what sentence commit branch tip genome bumped gates[] learned[] paths[] cost_usd "
    "cost_known course course_sentence turns[] summary denials[]"
)
WITH_REPO["tick"] = REPO_TICK_KEYS
WITH_REPO["loop"] = f"repo ended ticks[]: {REPO_TICK_KEYS}"
TONES = {"shipped": "green", "gate_failed": "red", "error": "red", "limit": "yellow", "premise_mismatch": "yellow"}
LOOK_S = 60.0


async def tick_repo(desk: Desk, directory: Path) -> int:
    """Run one tick; exit code 1 for the outcome `error`."""
    with desk.site(directory) as (app, site):
        async with app.worker() as worker:
            with desk.waiting(f"{site.folder}: one tick"):
                report = await worker.repo_tick(site.folder)
    desk.give(repo_tick_document(report), lambda screen: show_repo_tick(screen, report))
    return 1 if report["outcome"] == "error" else 0


async def loop_repo(desk: Desk, directory: Path, *, every_s: float | None, ticks: int | None, until_idle: bool) -> int:
    """Run ticks by the schedule until a signal, a number of ticks, or until no lever is open."""
    with desk.site(directory) as (app, site):
        every = None if every_s is None else timedelta(seconds=every_s)
        return await RepoShift(desk, app, site, every=every, ticks=ticks, until_idle=until_idle).work()


def repo_tick_document(report: Mapping[str, Any]) -> dict[str, Any]:
    """Give the report of a tick under all documented keys; null or empty where a tick did not come so far."""
    keys = [(key.removesuffix("[]"), key.endswith("[]")) for key in REPO_TICK_KEYS.split()]
    return {key: report.get(key, [] if listed else None) for key, listed in keys}


def show_repo_tick(screen: Screen, report: Mapping[str, Any]) -> None:
    """Print the report of a tick."""
    outcome = str(report["outcome"])
    what = f" {report['lever']} {report.get('title', '')}" if report["lever"] else ""
    screen.line(f"tick {report['tick']}: {outcome.replace('_', ' ')}{what}", TONES.get(outcome, ""))
    for turn in list(report.get("turns", ()))[:-1]:
        screen.line(f"  before: {turn['lever']} {turn['outcome']} ({turn['what']}) {turn['detail']}", "yellow")
    if report.get("sentence"):
        screen.line(f"  {report['what']}: {report['sentence']}" if report.get("what") else f"  {report['sentence']}")
    for gate in report.get("gates", ()):
        again = ", run twice" if gate["runs"] > 1 else ""
        tone = "green" if gate["outcome"] == "pass" else "red"
        screen.line(f"  gate {gate['name']}: {gate['outcome']}, {gate['sentence']}{again}", tone)
    for lesson in report.get("learned", ()):
        screen.line(f"  learned: {lesson}")
    if report.get("bumped"):
        screen.line(f"  the strategy is now {report['genome']}", "yellow")
    if report.get("commit"):
        screen.line(f"  {report['branch']}: {str(report['commit'])[:12]}")
    if report.get("course", "go_on") != "go_on":
        stopped = report["course"] == "stop"
        screen.line(f"  {report['course_sentence']}" + (": the loop is stopped" if stopped else ""), "red")
        if stopped:
            screen.note(f"  next: surefoot report --repo, then surefoot resume {report['repo']} --by NAME")


class RepoShift(Shift):
    """A shift on one repository."""

    def __init__(
        self, desk: Desk, app: App, site: Site, *, every: timedelta | None, ticks: int | None, until_idle: bool
    ) -> None:
        super().__init__(desk, app, site.folder, pause_s=LOOK_S, ticks=ticks, until_idle=until_idle)
        self._site = site
        self._every = every

    async def work(self) -> int:
        """Work until the shift ends, and give the exit code."""
        with self._signals():
            async with self._app.worker() as worker:
                self._remark(f"working on {self._site.folder}; Ctrl-C ends the shift")
                ended = await self._turns(worker)
        if self._desk.as_json:
            document = {"repo": self._site.folder, "ended": ended,
                        "ticks": [repo_tick_document(one) for one in self._reports]}  # fmt: skip
            self._desk.give(document, lambda _: None)
        else:
            self._remark(f"ended ({ended}) after {len(self._reports)} tick(s); what is unfinished goes on next time")
        return CODES[ended]

    async def _turns(self, worker: Durable) -> Ended:
        while True:
            pause_s = await self._unless_stopped(self._one(worker))
            if self._signal is not None:
                return self._signal
            if self._ticks is not None and len(self._reports) >= self._ticks:
                return "ticks"
            if pause_s is None and self._until_idle:
                return "idle"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_S if pause_s is None else min(LOOK_S, pause_s))

    async def _one(self, worker: Durable) -> float | None:
        """Tick if one is due; gives the seconds until the next look, or None when there is nothing to do now."""
        from surefoot.engine.repo.open import due_at

        try:
            at, why = await due_at(self._app.ports, self._site, every=self._every)
            left = (at - self._app.ports.clock()).total_seconds()
            if left > 0:
                self._say(f"{why}; the next tick is due at {at:%Y-%m-%d %H:%M:%S} UTC")
                return None if why == "no lever is open" else left
            report = await worker.repo_tick(self._site.folder, scheduled=True)
        except (Conflict, Forbidden, BudgetExhausted, Unavailable, Invalid, NotFound) as reason:
            self._explain(reason)
            return None
        self._said = ""
        if not report["lever"]:
            return None
        self._reports.append(report)
        self._print(partial(show_repo_tick, report=report))
        return 0.0

    def _say(self, text: str) -> None:
        if text != self._said:
            self._remark(text)
        self._said = text
