"""Runaway: when the loop goes on, waits, changes its approach, or stops and tells a person.

Going in circles is the same action three times within the last five (same lever, same end, same gate). The first two
times the next tick is told to take another approach; the third time the loop stops until a person lets it go on.
Counting starts again after something shipped. Before each tick: cooldown, ticks of the day, quiet hours (S3-25).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from surefoot.core.repo.outcome import Entry

SAME, WINDOW, LOOPS = 3, 5, 3
Course = Literal["go_on", "change_approach", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """What the last actions say: how many loops since something shipped, and what to do next."""

    course: Course
    loops: int
    sentence: str = ""


def circle(actions: Sequence[tuple[str, Entry]], *, after_tick: int = 0) -> Circle:
    """Look at what was done, oldest first, as (lever, entry); only ticks after `after_tick` count."""
    window: list[str] = []
    loops, turning, about = 0, False, ""
    for lever, one in actions:
        if not one.tick or one.tick <= after_tick:
            continue
        if not one.in_vain:
            window, loops, turning = ([], 0, False) if one.outcome == "shipped" else (window, loops, turning)
            continue
        name = f"{lever}:{one.action}"
        window = [*window[-(WINDOW - 1) :], name]
        turning = window.count(name) >= SAME
        loops, about = loops + turning, f"{lever} {one.action.replace('_', ' ')}" if turning else about
    if loops >= LOOPS:
        return Circle(course="stop", loops=loops, sentence=f"the loop goes in circles ({about}, {loops} times seen)")
    if turning:
        return Circle(course="change_approach", loops=loops, sentence=f"{about} {SAME} times within {WINDOW} ticks")
    return Circle(course="go_on", loops=loops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Quiet hours in UTC, from `start` to `end`; over midnight when the end is before the start."""

    start: time
    end: time

    def quiet(self, now: datetime) -> bool:
        """Tell whether a moment is inside."""
        here = now.astimezone(UTC).time()
        if self.start <= self.end:
            return self.start <= here < self.end
        return here >= self.start or here < self.end

    def over(self, now: datetime) -> datetime:
        """Give the next moment at which the quiet hours end."""
        day = now.astimezone(UTC)
        ends = datetime.combine(day.date(), self.end, tzinfo=UTC)
        return ends if ends > day else ends + timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why no tick may start now, and from when on one may."""

    why: Literal["cooldown", "day_ticks", "quiet_hours", "no_lever"]
    until: datetime
    sentence: str


def wait(
    now: datetime, *, last_started: datetime | None, today: int, cooldown: timedelta, day_ticks: int | None,
    hours: Hours | None = None,
) -> Wait | None:  # fmt: skip
    """Give the reason to wait, the longest first; None when a tick may start. `today` counts ticks of this UTC day."""
    found: list[Wait] = []
    if hours is not None and hours.quiet(now):
        found.append(Wait(why="quiet_hours", until=hours.over(now), sentence="these are quiet hours"))
    if day_ticks is not None and today >= day_ticks:
        midnight = datetime.combine(now.astimezone(UTC).date(), time(0), tzinfo=UTC) + timedelta(days=1)
        found.append(Wait(why="day_ticks", until=midnight, sentence=f"{today} of {day_ticks} ticks of today are used"))
    if last_started is not None and now < last_started + cooldown:
        said = f"the last tick started at {last_started:%Y-%m-%d %H:%M:%S}, inside the cooldown"
        found.append(Wait(why="cooldown", until=last_started + cooldown, sentence=said))
    return max(found, key=lambda one: one.until, default=None)


def prompt_allowed(tick: int, last_change: int | None, *, every: int) -> bool:
    """Tell whether the loop prompt may be changed in this tick: at most once per `every` ticks (C2)."""
    return last_change is None or tick - last_change >= every


def tries_next_lever(policy: Literal["reschedule", "next_lever"], taken: int, *, most: int) -> bool:
    """Tell whether the same tick takes another lever after a gate failed; `taken` levers were taken so far (C6)."""
    return policy == "next_lever" and taken < most
