"""Who may apply what: change levels and autonomy.

Every change has a level: 1 preference, 2 prompt, 3 tool, 4 core. The level sets the gate; an agent's policy can make
it stricter, never looser than the table in docs/why. High-stakes and early-stage agents are held to reports and
proposals whatever else is configured (S3-01, S3-19).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from surefoot.core.diff import changes
from surefoot.core.edit import Edit
from surefoot.core.errors import Conflict, Forbidden
from surefoot.core.genome import Genome

ChangeLevel = Literal[1, 2, 3, 4]
Autonomy = Literal["report_only", "propose", "canary", "auto"]
Stakes = Literal["normal", "high"]
WhenDone = Literal["advise", "stop"]

BUSY_REST, QUIET_REST = timedelta(minutes=1), timedelta(hours=1)
_TOOL_EDITS = frozenset({"add_tool", "edit_tool"})
_CORE_TARGETS = ("engine", "gate", "policy", "judge", "improver", "guardrail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an agent's owner allows.

    `cooldown` is the least time between the starts of two ticks; a shared rule needs failures from at least
    `min_sources` distinct sources (1 = single tenant). `people_needed` is how many people must approve a promotion.
    `when_done` is what happens where freezing is recommended: `advise` tells people, `stop` proposes nothing more.
    """

    autonomy: Autonomy = "canary"
    stakes: Stakes = "normal"
    early_stage: bool = False
    cooldown: timedelta = timedelta(0)
    min_failures: int = 20
    min_sources: int = 5
    people_needed: int = 1
    when_done: WhenDone = "advise"

    @property
    def effective(self) -> Autonomy:
        """The autonomy that really holds: high stakes allow reports only, an early stage at most proposals."""
        if self.stakes == "high":
            return "report_only"
        if self.early_stage and self.autonomy != "report_only":
            return "propose"
        return self.autonomy


def level_of(edits: Iterable[Edit]) -> ChangeLevel:
    """Give the highest level among the edits: a tool is level 3, Surefoot's own parts are 4, all else 2."""
    level: ChangeLevel = 2
    for edit in edits:
        if edit.target.split(".", 1)[0] in _CORE_TARGETS:
            return 4
        if edit.kind in _TOOL_EDITS:
            level = 3
    return level


def level_between(before: Genome, after: Genome) -> ChangeLevel:
    """Give the level of the step from one genome to another, however it came about.

    A tool that is new or changed is level 3, also where a block of another kind became one. Unlike `level_of` on
    `edits_between`, this sees what a rewrite does not name.
    """
    level: ChangeLevel = 2
    for change in changes(before, after):
        if change.kind != "moved" and change.id.split(".", 1)[0] in _CORE_TARGETS:
            return 4
        if change.kind != "moved" and change.after is not None and change.after.kind == "tool":
            level = 3
    return level


def may_canary(policy: Policy, level: ChangeLevel) -> None:
    """Raise Forbidden unless a version of this level may take live traffic without a person's yes before it."""
    if level == 4:
        raise Forbidden("the change touches Surefoot's own rules (level 4)", hint="a person has to make it by hand")
    if level == 3:
        raise Forbidden(
            "the change adds or changes a tool (level 3)", hint="a person must approve it before any traffic"
        )
    if policy.effective in ("report_only", "propose"):
        raise Forbidden(
            f"this agent's autonomy is {policy.effective}", hint="start the rollout yourself: surefoot rollout start"
        )


def may_tick(policy: Policy, last_started: datetime | None, now: datetime) -> None:
    """Raise Forbidden (report-only) or Conflict (cooldown): improvement never triggers improvement (S3-07)."""
    if policy.effective == "report_only":
        raise Forbidden("this agent is report-only: its failures are listed, nothing is written for it",
                        hint="surefoot failures shows them; change the autonomy to let it propose")  # fmt: skip
    if last_started is not None and now < last_started + policy.cooldown:
        raise Conflict(
            f"the last tick started at {last_started:%Y-%m-%d %H:%M:%S}, inside the cooldown",
            hint=f"wait until {last_started + policy.cooldown:%Y-%m-%d %H:%M:%S} UTC",
        )


def rest_after(in_vain: int, pause: timedelta, *, news: bool) -> timedelta:
    """Give the least time between the starts of two ticks, after so many in a row that found nothing to do.

    Each of them doubles the pause, up to a minute: labels that come in all the time are not worth a tick each. Where
    nothing has come in since, only the time is another, and an hour is soon enough. Never shorter than `pause`.
    """
    if not in_vain:
        return pause
    if not news:
        return max(pause, QUIET_REST)
    return max(pause, min(pause * 2 ** min(in_vain - 1, 16), BUSY_REST))
