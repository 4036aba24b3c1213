"""Adjust: change what an agent's owner allows and how the loop treats it; what is not named stays as it is.

Terms of a rollout hold for those that begin later: one that runs keeps the terms it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from surefoot.core.agent import Agent, Habits
from surefoot.core.budget import Budget
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.policy import Policy
from surefoot.core.rollout import RolloutSettings
from surefoot.ports import Ports, Tx

POLICY = ("autonomy", "stakes", "early_stage", "min_failures", "min_sources", "people_needed", "when_done")
HABITS = ("model", "improver", "release_ticks", "release_power", "repeats", "concurrency", "headroom", "arms")
BUDGETS = ("improver_budget", "tick_budget", "day_budget")
TERMS = tuple(one.name for one in fields(RolloutSettings) if one.name not in ("guards", "metrics", "ledger_factor"))
T = TypeVar("T")


def settings_of(agent: Agent) -> dict[str, Any]:
    """Give what can be set, as it is."""
    kept: dict[str, Any] = {name: getattr(agent.policy, name) for name in POLICY}
    kept |= {"cooldown_s": agent.policy.cooldown.total_seconds()}
    kept |= {name: getattr(agent.habits, name) for name in HABITS}
    kept |= {name: asdict(getattr(agent.habits, name)) for name in BUDGETS}
    return kept | {"rollout": {name: getattr(agent.habits.rollout, name) for name in TERMS}}


async def adjust(ports: Ports, name: str, wanted: Mapping[str, Any], *, by: str) -> Agent:
    """Set what is named, in a person's name; Invalid names the setting that cannot be, Conflict says nothing is new."""
    if not by.strip():
        raise Invalid("settings are changed by a person", hint="say who decides (--by NAME)")
    if unknown := sorted(set(wanted) - {*POLICY, *HABITS, *BUDGETS, "cooldown_s", "rollout"}):
        raise Invalid(f"there is no setting {unknown[0]!r}", hint=f"there are {', '.join((*POLICY, *HABITS))} and more")
    if "model" in wanted:
        ports.model_named(str(wanted["model"]))
    if "improver" in wanted:
        ports.improver_named(str(wanted["improver"]))
    now = ports.clock()

    def work(tx: Tx) -> Agent:
        agent = tx.agents.get(name)
        after = replace(agent, policy=_policy(agent.policy, wanted), habits=_habits(agent.habits, wanted))
        before, then = settings_of(agent), settings_of(after)
        changed = {key: [before[key], then[key]] for key in then if before[key] != then[key]}
        if not changed:
            raise Conflict(f"the settings of {name} are these already", hint="nothing to do")
        tx.audit.append(at=now, actor=by, action="settings-changed", subject=name, payload={"changed": changed})
        return tx.agents.swap(after)

    return await ports.store.write(work)


def _policy(policy: Policy, wanted: Mapping[str, Any]) -> Policy:
    kept = {name: wanted[name] for name in POLICY if name in wanted}
    if "cooldown_s" in wanted:
        kept["cooldown"] = timedelta(seconds=wanted["cooldown_s"])
    return replace(policy, **kept)


def _habits(habits: Habits, wanted: Mapping[str, Any]) -> Habits:
    kept = {name: wanted[name] for name in HABITS if name in wanted}
    kept |= {name: _with(getattr(habits, name), wanted[name]) for name in BUDGETS if name in wanted}
    if "rollout" in wanted:
        kept["rollout"] = _with(habits.rollout, wanted["rollout"])
    return replace(habits, **kept)


def _with(one: T, wanted: object) -> T:
    """The same with what is named; Invalid for a name or a value that cannot be."""
    given = {str(name): tuple(cast("list[Any]", value)) if isinstance(value, list) else value
             for name, value in cast("Mapping[object, Any]", wanted).items()}  # fmt: skip
    known = TERMS if isinstance(one, RolloutSettings) else tuple(field.name for field in fields(Budget))
    if unknown := sorted(set(given) - set(known)):
        raise Invalid(f"there is no setting {unknown[0]!r} here", hint=f"there are {', '.join(known)}")
    try:
        return replace(cast("Any", one), **given)
    except TypeError:
        raise Invalid("a setting has the wrong type", hint="numbers are numbers, names are texts") from None
