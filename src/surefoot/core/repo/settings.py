"""Settings of the loop on a repository: the section `[repo]` of `surefoot.toml`, strictly read.

Unknown keys are refused by name, wrong values with the line they stand on, and a repository without a gate is refused
too: nothing would stand between an agent and the branch. Gates are taken from the trusted base, never from a change.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from typing import Any, Literal, cast

from surefoot.core.errors import Invalid
from surefoot.core.gate_spec import GateSpec, in_order
from surefoot.core.repo.gates import gate_specs
from surefoot.core.repo.reading import Reading
from surefoot.core.repo.runaway import Hours
from surefoot.core.repo.scope import Bounds

FILE = "surefoot.toml"
Mode = Literal["loop", "pr", "direct"]
OnGateFail = Literal["reschedule", "next_lever"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)))[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}(?<![./])")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChoice:
    """Which coding agent works, and how it is called.

    `argv` is for the agent `command`; `env` names the variables it gets. `usd_per_run` is what a run costs that does
    not tell; None sets the whole tick budget down for it, except for `command`, which is free unless said.
    """

    name: str = "claude"
    argv: tuple[str, ...] = ()
    model: str = ""
    env: tuple[str, ...] = ()
    usd_per_run: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a tick and a day may take."""

    tick_usd: float | None = 2.0
    day_usd: float | None = 10.0
    tick_s: float = 900.0
    tick_turns: int | None = None
    day_ticks: int | None = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoSettings:
    """Everything that can be set for the loop on one repository."""

    name: str
    base: str
    gates: tuple[GateSpec, ...]
    branch: str = "surefoot/loop"
    mode: Mode = "loop"
    on_gate_fail: OnGateFail = "reschedule"
    max_levers: int = 3
    max_tries: int = 5
    prompt_every: int = 10
    guarded: tuple[str, ...] = ()
    agent: AgentChoice = field(default_factory=AgentChoice)
    limits: Limits = field(default_factory=Limits)
    bounds: Bounds = field(default_factory=Bounds)
    every: timedelta = timedelta(minutes=30)
    cooldown: timedelta = timedelta(0)
    hours: Hours | None = None


def repo_settings(text: str) -> RepoSettings:
    """Read the text of `surefoot.toml`; Invalid names the line where it can be known."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{FILE}: {_sentence(str(error))}", hint="mend the line it names") from None
    section = document.get("repo")
    if not isinstance(section, dict):
        raise Invalid(f"{FILE} has no section [repo]", hint="surefoot init --repo writes one")
    return _settings(Reading(FILE, text, "repo", cast("dict[str, Any]", section)))


def _sentence(problem: str) -> str:
    """Put the place in front, as with the other files: `line 3: ...`."""
    match = re.fullmatch(r"(.*?) \(at line (\d+), column \d+\)", problem)
    return f"line {match[2]}: {match[1]}" if match else problem


def _settings(given: Reading) -> RepoSettings:
    name = given.text("name", "")
    if not _NAME.fullmatch(name):
        given.wrong("name", "must be 1 to 63 lower-case letters, digits, '-' or '_'")
    branch, base = given.text("branch", "surefoot/loop"), given.text("base", "")
    for key, value in (("branch", branch), ("base", base)):
        if not _BRANCH.fullmatch(value):
            given.wrong(key, f"{value!r} is no name of a branch")
    if branch == base:
        given.wrong("branch", 'must not be the branch it is based on; mode = "direct" commits there')
    limits, agent, bounds = given.table("budget"), given.table("agent"), given.table("bounds")
    schedule = given.table("schedule")
    done = RepoSettings(
        name=name, branch=branch, base=base, mode=cast("Mode", given.choice("mode", ("loop", "pr", "direct"))),
        on_gate_fail=cast("OnGateFail", given.choice("on_gate_fail", ("reschedule", "next_lever"))),
        max_levers=given.whole("max_levers", 3, least=1, most=10),
        max_tries=given.whole("max_tries", 5, least=1, most=5),
        prompt_every=given.whole("prompt_every", 10, least=1, most=10_000), guarded=given.texts("guarded"),
        agent=_agent(agent), limits=_limits(limits), bounds=_bounds(bounds), gates=_gates(given),
        every=_minutes(schedule, "every_minutes", 30.0), cooldown=_minutes(schedule, "cooldown_minutes", 0.0),
        hours=_hours(schedule),
    )  # fmt: skip
    for one in (schedule, given):
        one.finish()
    return done


def _agent(given: Reading) -> AgentChoice:
    name = given.choice("name", ("claude", "codex", "gemini", "command"))
    done = AgentChoice(
        name=name, argv=given.texts("argv"), model=given.text("model", ""), env=given.texts("env"),
        usd_per_run=given.number("usd_per_run", 0.0 if name == "command" else None),
    )  # fmt: skip
    if name == "command" and not done.argv:
        given.wrong("argv", 'the agent "command" needs a program, such as argv = ["my-agent", "{prompt_file}"]')
    if name != "command" and done.argv:
        given.wrong("argv", 'is for name = "command" only')
    given.finish()
    return done


def _limits(given: Reading) -> Limits:
    usual = Limits()
    turns, day = given.whole("tick_turns", 0, least=0, most=10_000), given.whole("day_ticks", 48, least=0, most=10_000)
    done = Limits(
        tick_usd=given.number("tick_usd", usual.tick_usd), day_usd=given.number("day_usd", usual.day_usd),
        tick_s=60 * (given.number("tick_minutes", 15.0) or 0.0), tick_turns=turns or None, day_ticks=day,
    )  # fmt: skip
    if not 0 < done.tick_s <= 24 * 3600:
        given.wrong("tick_minutes", "must be more than 0 and at most a day")
    given.finish()
    return done


def _bounds(given: Reading) -> Bounds:
    usual = Bounds()
    done = Bounds(
        files=given.whole("files", usual.files, least=1, most=10_000),
        lines=given.whole("lines", usual.lines, least=1, most=1_000_000),
        patch_bytes=given.whole("patch_bytes", usual.patch_bytes, least=1, most=100_000_000),
        file_bytes=given.whole("file_bytes", usual.file_bytes, least=1, most=100_000_000),
    )
    given.finish()
    return done


def _gates(given: Reading) -> tuple[GateSpec, ...]:
    found = in_order(gate_specs(given.tables("gates")))
    if not found:
        given.wrong("gates", "there is no gate, so nothing would judge a change; write a [[repo.gates]] table")
    return found


def _minutes(given: Reading, key: str, usual: float) -> timedelta:
    return timedelta(minutes=given.number(key, usual) or 0.0)


def _hours(given: Reading) -> Hours | None:
    text = given.text("quiet_hours", "")
    if not text:
        return None
    match = _HOURS.fullmatch(text)
    if match is None:
        given.wrong("quiet_hours", 'must be two times of the day in UTC, such as "22:00-06:00"')
    return Hours(start=time(int(match[1]), int(match[2])), end=time(int(match[3]), int(match[4])))


def given(environ: Mapping[str, str], wanted: tuple[str, ...]) -> dict[str, str]:
    """Give the variables that are wanted and there."""
    return {name: environ[name] for name in wanted if name in environ}
