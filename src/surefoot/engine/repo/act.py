"""Act: take the top open lever, let the coding agent work in a worktree of its own, and judge our own diff.

The worst cost is set aside before the agent starts. What it says is believed for its cost and its end only. A change
that passes the scope is kept as a commit object that no branch knows, so that a killed tick finds it again; all else is
thrown away with the worktree.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from surefoot.core.budget import Budget
from surefoot.core.change import Change
from surefoot.core.errors import Conflict, Invalid, SurefootError, Unavailable
from surefoot.core.gate_spec import Command, GateSpec
from surefoot.core.proposal import Cost
from surefoot.core.repo.answer import Answer, answer
from surefoot.core.repo.commit import signed
from surefoot.core.repo.files import PROMPT, Files
from surefoot.core.repo.lessons import append_only, lessons
from surefoot.core.repo.levers import RepoLever, entries, top_open
from surefoot.core.repo.outcome import TickOutcome
from surefoot.core.repo.paper import decoded, one_line, paper
from surefoot.core.repo.prompt import tick_prompt
from surefoot.core.repo.runaway import circle, prompt_allowed
from surefoot.core.repo.scope import refusals
from surefoot.engine.repo.open import day_ledger, worst
from surefoot.engine.repo.read import Standing
from surefoot.ports import Ports, Tx
from surefoot.ports.repository import Delivery, Errand, Patch
from surefoot.ports.site import Site

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One lever in a tick: `turn` counts the levers that this tick took, from 0."""

    number: int
    turn: int
    at: datetime

    @property
    def name(self) -> str:
        """The name of what belongs to this turn."""
        return f"tick-{self.number}-{self.turn}"


async def act(
    ports: Ports, site: Site, standing: Standing, turn: Turn, *, taken: Collection[str] = (), resumed_after: int = 0
) -> dict[str, Any]:
    """Work on the top open lever; gives what came of it, with `outcome` None when the gates are to decide.

    `taken` are levers that this tick took already. An empty `lever` means that none is open.
    """
    found = standing.files
    lever = top_open(found.backlog, without=taken)
    if lever is None:
        return {"lever": "", "outcome": "no_change", "detail": "no lever is open"}
    key = f"{found.settings.name}/tick/{turn.number}/{turn.name}/acted"
    if (done := await ports.store.read(lambda tx: tx.marks.get(key))) is not None:
        return dict(done)
    hold = await _reserved(ports, found, turn)
    try:
        delivery, patch = await _worked(site, found, standing, lever, turn, resumed_after)
    except (Conflict, Invalid, Unavailable) as problem:  # it is this tick's outcome, and goes into the lever's log
        delivery = Delivery(status="error", summary=f"{problem.message} ({problem.hint})")
        patch = Patch(change=Change(base=standing.base))
    spent = Cost(calls=1, tokens=delivery.tokens or 0, usd=_usd(found, delivery))
    told = answer(delivery.summary)
    facts = _facts(lever, delivery, patch, told, spent)
    outcome, what, detail = await _judged(site, found, lever, standing, turn, delivery, patch, told)
    if outcome is not None:
        facts |= {"outcome": outcome, "what": what, "detail": one_line(detail, 300), "draft": None}
    else:
        facts |= {"outcome": None, "what": "", "detail": "", "draft": what}

    def settle(tx: Tx) -> None:  # with what came of it: work that is paid for is never asked for again
        _settled(tx, hold, spent)
        tx.marks.add(key, facts, ports.clock())

    await ports.store.write(settle)
    return facts


async def _worked(
    site: Site, found: Files, standing: Standing, lever: RepoLever, turn: Turn, resumed_after: int
) -> tuple[Delivery, Patch]:
    """Let the agent work, and read our own diff; the worktree is gone afterwards, whatever happens."""
    git, limits = site.git, found.settings.limits
    await asyncio.to_thread(git.sweep)
    space = await asyncio.to_thread(git.open, standing.base, turn.name)
    try:
        errand = Errand(
            prompt=_prompt(found, lever, resumed_after), worktree=space.path, lever=lever.id, writable=lever.scope,
            deadline_s=limits.tick_s, max_turns=limits.tick_turns, max_usd=limits.tick_usd,
        )  # fmt: skip
        delivery = await site.agent(found.settings.agent).work(errand)
        return delivery, await asyncio.to_thread(git.change, space)
    finally:
        await asyncio.to_thread(git.close, space)


def _prompt(found: Files, lever: RepoLever, resumed_after: int) -> str:
    mine = [(name, one) for name, one in entries(found.backlog) if name == lever.id]
    course = circle(mine, after_tick=resumed_after)
    other = course.sentence if course.course != "go_on" else ""
    return tick_prompt(found.prompt, found.strategy, lever, found.lessons, found.settings.gates, other_way=other)


def _usd(found: Files, delivery: Delivery) -> float:
    """What a run cost: as it says, else as the settings say, else all that was set aside; 0 if nothing was started."""
    if delivery.cost_usd is None and delivery.exit_code is None and delivery.status == "error":
        return 0.0
    return worst(found.settings).usd if delivery.cost_usd is None else max(0.0, delivery.cost_usd)


def _facts(lever: RepoLever, delivery: Delivery, patch: Patch, told: Answer, spent: Cost) -> dict[str, Any]:
    change = patch.change
    return {
        "lever": lever.id, "title": lever.title, "status": delivery.status, "summary": one_line(delivery.summary, 600),
        "cost_usd": spent.usd, "cost_known": delivery.cost_usd is not None, "tokens": delivery.tokens,
        "turns": delivery.turns, "seconds": delivery.seconds, "denials": list(delivery.denials[:SHOWN]),
        "paths": list(change.paths[:100]), "files": len(change.files),
        "added": sum(file.added for file in change.files), "removed": sum(file.removed for file in change.files),
        "patch": change.digest, "lessons": [list(one) for one in told.lessons], "focus": told.focus,
        "next": told.following, "refusals": list[str](),
    }  # fmt: skip


async def _judged(
    site: Site, found: Files, lever: RepoLever, standing: Standing, turn: Turn, delivery: Delivery, patch: Patch,
    told: Answer,
) -> tuple[TickOutcome | None, str, str]:  # fmt: skip
    """Give the end of this turn with what decided it and why; for the gates: None and the commit that keeps it."""
    if (end := _ended(delivery, patch, told) or _overspent(found, delivery)) is not None:
        return end
    allowed = prompt_allowed(turn.number, _last_prompt_change(site, standing), every=found.settings.prompt_every)
    guarded = await asyncio.to_thread(_guarded, site, standing, found)
    refused = refusals(patch.change, lever.scope, bounds=found.settings.bounds, guarded=guarded,
                       prompt_allowed=allowed)  # fmt: skip
    if refused:
        more = f" (and {len(refused) - SHOWN} more)" if len(refused) > SHOWN else ""
        return "gate_failed", "scope", "; ".join(one.sentence for one in refused[:SHOWN]) + more
    try:
        draft = await asyncio.to_thread(_drafted, site, standing, turn, patch)
    except (Conflict, Invalid) as problem:
        return "gate_failed", "scope", problem.message
    if PROMPT in patch.change.paths and (problem := await asyncio.to_thread(_prompt_problem, site, draft, found)):
        return "gate_failed", "scope", problem
    return None, draft, ""


def _ended(delivery: Delivery, patch: Patch, told: Answer) -> tuple[TickOutcome, str, str] | None:
    """What the end of the run alone decides."""
    said = delivery.summary or (delivery.denials[0] if delivery.denials else "")
    if delivery.status in ("limit", "timeout"):
        return "limit", delivery.status, said or "the coding agent came to its limit"
    if delivery.status == "error":
        return "error", "agent", said or f"the coding agent failed (exit code {delivery.exit_code})"
    if told.mismatch:
        return "premise_mismatch", "", told.mismatch
    if patch.change.empty:
        denied = f"denied: {', '.join(delivery.denials[:SHOWN])}" if delivery.denials else ""
        return "no_change", "denied" if denied else "", denied or said or "nothing was changed"
    return None


def _overspent(found: Files, delivery: Delivery) -> tuple[TickOutcome, str, str] | None:
    """Refuse the work of an agent that spent more than the tick had: it did not keep to what it was told."""
    most = found.settings.limits.tick_usd
    if most is None or delivery.cost_usd is None or delivery.cost_usd <= most:
        return None
    return "limit", "budget", f"it says that it cost {delivery.cost_usd:.2f} USD, and a tick has {most:.2f}"


def _guarded(site: Site, standing: Standing, found: Files) -> tuple[str, ...]:
    """The files that the gates run: those named in the settings, and every word of a command that is one.

    A word is also taken for a module's name, as after `python -m`.
    """
    words = {word for gate in found.settings.gates for command in _commands(gate) for word in _words(command)}
    places = {place for word in words for place in (word, f"{word.replace('.', '/')}.py")}
    return (*found.settings.guarded, *sorted(one for one in places if _is_file(site, standing.base, one)))


def _commands(gate: GateSpec) -> tuple[Command, ...]:
    listed = (gate.command, gate.server and gate.server.command, *(one.command for one in gate.assertions))
    return tuple(one for one in listed if one)


def _words(command: Command) -> set[str]:
    found = (*command.argv, *re.split(r"[\s;|&()<>'\"=]+", command.shell))
    return {word.removeprefix("./") for word in found if word and len(word) < 1_000}


def _is_file(site: Site, base: str, path: str) -> bool:
    if path.startswith(("-", "/")) or "\n" in path:
        return False
    try:
        return site.git.read(base, path) is not None
    except Invalid:  # no path that git knows how to name
        return False


def _last_prompt_change(site: Site, standing: Standing) -> int | None:
    """The tick in which the loop last changed its own prompt by a lever."""
    for one in site.git.log(standing.tip or standing.base, limit=500):
        note = signed(one.body)
        if note.kind == "lever" and note.prompt:
            return note.tick
    return None


def _drafted(site: Site, standing: Standing, turn: Turn, patch: Patch) -> str:
    message = f"surefoot: kept for the gates ({turn.name})"
    return site.git.draft(standing.base, message=message, at=turn.at, patch=patch)


def _prompt_problem(site: Site, draft: str, found: Files) -> str:
    """Say what is wrong with a loop prompt that the agent wrote; empty if it may go to the gates."""
    content = site.git.read(draft, PROMPT)
    if content is None:
        return f"{PROMPT} must stay"
    try:
        fresh = paper(PROMPT, decoded(PROMPT, content))
        lessons(fresh)
    except SurefootError as problem:
        return problem.message
    return "" if append_only(found.prompt, fresh) else "lessons are append-only: one was changed or removed"


@dataclass(frozen=True, slots=True)
class _Hold:
    """What was set aside, by ledger."""

    keys: tuple[tuple[str, str], ...]


async def _reserved(ports: Ports, found: Files, turn: Turn) -> _Hold:
    """Set the worst case aside in the ledgers of the tick and of the day; a repeated step finds its own again."""
    now, chosen = ports.clock(), found.settings
    tick = (f"{chosen.name}/tick/{turn.number}", Budget(usd=_tick_usd(found)))

    def work(tx: Tx) -> _Hold:
        keys: list[tuple[str, str]] = []
        for ledger, budget in (day_ledger(chosen, turn.at), tick):
            free = tx.ledgers.free_key(ledger, turn.name)
            tx.ledgers.get(ledger, budget).reserve(free, worst(chosen))
            tx.ledgers.reserve(ledger, free, worst(chosen), now)
            keys.append((ledger, free))
        return _Hold(tuple(keys))

    return await ports.store.write(work)


def _tick_usd(found: Files) -> float | None:
    """A tick that may take several levers may spend for several."""
    usd, most = found.settings.limits.tick_usd, found.settings
    return None if usd is None else usd * (most.max_levers if most.on_gate_fail == "next_lever" else 1)


def _settled(tx: Tx, hold: _Hold, spent: Cost) -> None:
    for ledger, key in hold.keys:
        tx.ledgers.settle(ledger, key, spent)
