"""Learn: enter what a tick did in the rooms that agents use too, once, and stop a loop that goes in circles.

Levers with their logs, lessons, versions of the strategy and the record are written in one transaction under the mark
of the tick. Three loops stop the repository: it is switched off like an agent, people are told, and `surefoot resume`
lets it go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from surefoot.core.agent import Agent
from surefoot.core.backlog import Lever, LeverState
from surefoot.core.lesson import Lesson
from surefoot.core.repo.files import Files, files
from surefoot.core.repo.levers import RepoLever, entries
from surefoot.core.repo.outcome import entry_line
from surefoot.core.repo.runaway import Circle, circle
from surefoot.core.repo.strategy import Strategy
from surefoot.core.version import Version
from surefoot.engine.repo.open import LOOP, genome_of, seen_key
from surefoot.engine.repo.read import Standing
from surefoot.ports import Ports, Tx
from surefoot.ports.site import Site

_STATES: Mapping[str, LeverState] = {"open": "open", "shipped": "shipped", "failed": "failed", "closed": "closed"}


async def learn(
    ports: Ports, site: Site, standing: Standing, shipped: Mapping[str, Any], turns: Sequence[Mapping[str, Any]],
    *, number: int, at: datetime,
) -> dict[str, Any]:  # fmt: skip
    """Enter a tick in the store and give its report."""
    before, after = standing.files, files(shipped["texts"])
    name = before.settings.name
    key = f"{name}/tick/{number}/end"

    def work(tx: Tx) -> dict[str, Any]:
        if (done := tx.marks.get(key)) is not None:
            return dict(done)
        course = circle(entries(after.backlog), after_tick=resumed_after(tx, name))
        report = _report(before, after, shipped, turns, number, course)
        mirrored(tx, name, after, at)
        _lessons(tx, name, shipped, number, at)
        _version(tx, tx.agents.get(name), after.strategy, turns[-1], at)
        tx.switches.on(seen_key(site), {"texts": dict(standing.person)})
        if course.course == "stop":
            _stopped(tx, tx.agents.get(name), course, number, at)
        tx.audit.append(at=at, actor=LOOP, action="tick-ended", subject=f"{name}/tick-{number}",
                        payload=_noted(report))  # fmt: skip
        tx.marks.add(key, report, at)
        return report

    return await ports.store.write(work)


def resumed_after(tx: Tx, name: str) -> int:
    """The tick up to which loops were looked at by a person: the one that stopped it last."""
    noted = tx.switches.get(_stopped_key(name)) or {}
    return int(str(noted.get("tick", 0)))


def stopped_why(tx: Tx, name: str) -> str:
    """Why the loop stopped itself last; empty if it never did."""
    return str((tx.switches.get(_stopped_key(name)) or {}).get("why", ""))


def _stopped_key(name: str) -> str:
    return f"repo-stopped:{name}"


def _report(
    before: Files, after: Files, shipped: Mapping[str, Any], turns: Sequence[Mapping[str, Any]], number: int,
    course: Circle,
) -> dict[str, Any]:  # fmt: skip
    last = turns[-1]
    known = all(turn.get("cost_known", True) for turn in turns)
    return {
        "repo": before.settings.name, "tick": number, "outcome": last["outcome"], "lever": last["lever"],
        "title": last.get("title", ""), "what": last["what"], "sentence": last["detail"], "commit": shipped["commit"],
        "branch": shipped["branch"], "tip": shipped["tip"], "genome": after.strategy.name, "bumped": shipped["bumped"],
        "gates": list(last.get("gates", ())), "learned": [one[0] for one in shipped["learned"]],
        "paths": list(last.get("paths", ())), "cost_usd": sum(turn.get("cost_usd", 0.0) for turn in turns),
        "cost_known": known, "course": course.course, "course_sentence": course.sentence,
        "turns": [{key: turn.get(key) for key in ("lever", "outcome", "what", "detail")} for turn in turns],
        "summary": last.get("summary", ""), "denials": list(last.get("denials", ())),
    }  # fmt: skip


def _noted(report: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("outcome", "lever", "what", "sentence", "commit", "genome", "cost_usd", "cost_known", "course")
    gates = [f"{one['name']} {one['outcome']}" for one in report["gates"]]
    return {**{key: report[key] for key in keys}, "gates": gates}


def mirrored(tx: Tx, name: str, found: Files, at: datetime) -> None:
    """Bring the store's levers and their logs in step with the file, which is the truth."""
    known = {lever.id: lever for lever in tx.levers.all(name)}
    most = max((lever.value for lever in found.backlog), default=1.0) or 1.0
    for lever in found.backlog:
        fresh = _lever(name, lever, most)
        if known.get(lever.id) != fresh:
            tx.levers.put(fresh)
        noted = {text for _, text in tx.levers.log(name, lever.id)}
        for one in lever.log:
            if (text := entry_line(one).removeprefix("- ")) not in noted:
                tx.levers.note(name, lever.id, one.at, text)
    for gone in sorted(set(known) - {lever.id for lever in found.backlog}):
        if known[gone].state != "closed":
            tx.levers.put(replace(known[gone], state="closed", note="no longer in levers.md"))
            tx.levers.note(name, gone, at, "no longer in levers.md")


def _lever(name: str, lever: RepoLever, most: float) -> Lever:
    """A repository's lever as the agents' room keeps it: value relative to the best one in place of an impact."""
    note = lever.log[-1].detail if lever.log else ""
    return Lever(id=lever.id, agent=name, gap=", ".join(lever.scope), title=lever.title, impact=lever.value / most,
                 failures=0, state=_STATES[lever.status], tries=lever.tries, note=note)  # fmt: skip


def _lessons(tx: Tx, name: str, shipped: Mapping[str, Any], number: int, at: datetime) -> None:
    known = {one.text for one in tx.lessons.all(name)}
    for text, _, evidence in shipped["learned"]:
        if text not in known:
            tx.lessons.add(Lesson(agent=name, text=text, evidence=evidence, tick=number, at=at))


def _version(tx: Tx, agent: Agent, strategy: Strategy, turn: Mapping[str, Any], at: datetime) -> None:
    """Enter the strategy's version as the live one; nothing happens if it is known."""
    number = strategy.version
    if any(one.number == number for one in tx.versions.all(agent.name)):
        return
    why = f"focus: {turn['focus']}" if turn.get("focus") else "the strategy in genome.md changed"
    genome = genome_of(strategy)
    tx.versions.add(Version(agent=agent.name, number=number, genome=genome.digest, parent=agent.live, author=LOOP,
                            rationale=why, state="live", created_at=at), genome)  # fmt: skip
    tx.versions.move(agent.name, agent.live, "retired")
    tx.agents.swap(replace(agent, live=number))
    tx.agents.moved_live(agent.name, number, at=at, by=LOOP, why=why)
    tx.audit.append(at=at, actor=LOOP, action="genome-bumped", subject=f"{agent.name}/{strategy.name}",
                    payload={"from": agent.live, "to": number, "why": why, "genome": genome.digest})  # fmt: skip


def _stopped(tx: Tx, agent: Agent, course: Circle, number: int, at: datetime) -> None:
    tx.agents.swap(replace(agent, stopped=True))
    tx.switches.on(_stopped_key(agent.name), {"tick": number, "why": course.sentence, "at": at.isoformat()})
    tx.audit.append(at=at, actor=LOOP, action="stopped", subject=agent.name,
                    payload={"reason": course.sentence, "tick": number})  # fmt: skip
