"""One step of a gate: a command in its place, and what its end means."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from surefoot.adapters.processes import DEVICES, Ended, Walls, ran
from surefoot.core.gate_spec import Command, GateSpec
from surefoot.ports.repository import GateOutcome

LOG_BYTES = 8_000_000
TAIL_LINES = 12
_OURS = frozenset({"PATH", "HOME", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a step found; `output` is what its command said."""

    outcome: GateOutcome
    sentence: str
    exit_code: int | None = None
    evidence: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the steps of one gate run: folder, environment, walls, log, the time until which, the server's port."""

    checkout: str
    env: Mapping[str, str]
    walls: Walls
    log: Path
    until: float
    port: int = 0
    more: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def left_s(self) -> float:
        """Give the seconds that are left, a little more than none."""
        return max(0.05, self.until - time.monotonic())

    def words(self, command: Command) -> list[str] | None:
        """Give the words that run; None where a shell is asked for and there is no bash."""
        if not command.shell:
            return [word.replace("{port}", str(self.port)) for word in command.argv]
        bash = shutil.which("bash")
        text = command.shell.replace("{port}", str(self.port))
        return [bash, "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", text] if bash else None

    @property
    def environ(self) -> dict[str, str]:
        """Give the environment, with the port if there is one."""
        return dict(self.env) | ({"PORT": str(self.port)} if self.port else {})


def placed(gate: GateSpec, checkout: str, room: Path, log: Path, given: Mapping[str, str], until: float) -> Place:
    """Make the place of a gate: an empty HOME, a cleared environment, walls around the checkout."""
    for name in ("home", "tmp"):
        (room / name).mkdir()
    home, tmp = str(room / "home"), str(room / "tmp")
    env = {name: value for name, value in given.items() if name not in _OURS} | {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": tmp, "LANG": "C.UTF-8", "CI": "1",
        "TERM": "dumb", "NO_COLOR": "1", "XDG_CACHE_HOME": f"{home}/.cache", "XDG_CONFIG_HOME": f"{home}/.config",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
    }  # fmt: skip
    if python := _python_path(Path(checkout), given):
        env["PYTHONPATH"] = python
    walls = Walls(
        writable=(checkout, home, tmp, *DEVICES), network=gate.network or gate.server is not None,
        memory=gate.memory_mb * 2**20,
    )  # fmt: skip
    return Place(checkout=checkout, env=env, walls=walls, log=log, until=until)


def _python_path(checkout: Path, given: Mapping[str, str]) -> str:
    """Put a Python project's own folders first: an editable install would bring in the person's files instead."""
    own: list[str] = []
    if any((checkout / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
        own = [str(folder) for folder in (checkout / "src", checkout) if folder.is_dir()]
    return os.pathsep.join([*own, *filter(None, [given.get("PYTHONPATH", "")])])


async def run_command(command: Command, place: Place) -> Found:
    """Run a command of a gate; its exit code decides, and nothing else can make it a pass."""
    words = place.words(command)
    if words is None:
        return Found(outcome="error", sentence="a shell is asked for, and bash is not installed")
    with place.log.open("ab") as log:
        log.write(f"$ {command.text}\n".encode())
    ended = await ran(
        words, folder=place.checkout, env=place.environ, deadline_s=place.left_s, walls=place.walls, cap=LOG_BYTES,
        log=place.log,
    )  # fmt: skip
    return _meant(command, ended)


def tail(output: str) -> str:
    """Give the last lines of an output."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])[-2000:]


def _meant(command: Command, ended: Ended) -> Found:
    output = ended.out.decode("utf-8", "replace")
    left = (f"{ended.left} processes it left behind were ended",) if ended.left and not ended.late else ()
    evidence = (*((tail(output),) if output.strip() else ()), *left)
    outcome: GateOutcome = "pass"
    sentence = f"`{command.text}` exited with 0"
    if ended.problem:
        outcome, sentence = "error", f"`{command.text}` could not be run: {ended.problem}"
    elif ended.late:
        outcome, sentence = "timeout", f"`{command.text}` was not done after {ended.seconds:.0f} s and was ended"
    elif ended.code != 0:
        outcome, sentence = "fail", f"`{command.text}` {_ending(ended.code)}"
    return Found(
        outcome=outcome, sentence=sentence, exit_code=ended.code, evidence=left if outcome == "pass" else evidence,
        layers=ended.layers, output=output,
    )  # fmt: skip


def _ending(code: int | None) -> str:
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"exited with {code}"
