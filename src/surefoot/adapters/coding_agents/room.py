"""The room in which a coding agent works: an empty HOME, a cleared environment, walls, and its prompt in a file.

What it gets is its worktree, the variables of the errand, and PATH. What it says is capped and redacted before anybody
keeps it: the values of the variables it was given are taken out literally, whatever they look like.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from surefoot.adapters.processes import DEVICES, Ended, Walls, private, ran
from surefoot.core.redaction import redact
from surefoot.ports.repository import Delivery, DeliveryStatus, Errand, Usable

Redact = Callable[[str], str]
TRANSCRIPT_BYTES = 400_000
SUMMARY_CHARS = 4_000
VERSION_S = 15.0
_OURS = frozenset({"PATH", "HOME", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "NODE_OPTIONS"})
_TAG_KEY = secrets.token_bytes(32)  # tags need to agree within one transcript only


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A private folder with `home`, `tmp` and the prompt in `prompt`; gone after the errand."""

    home: str
    tmp: str
    prompt: str


def plainly_redacted(text: str) -> str:
    """Take keys, tokens, addresses and numbers of people out of a text; their tags last as long as this process."""
    return redact(text, _TAG_KEY).text


@contextlib.contextmanager
def room_for(prompt: str) -> Generator[Room]:
    """Give a private room, and remove it."""
    with private("errand") as folder:
        for name in ("home", "tmp"):
            (folder / name).mkdir(mode=0o700)
        (folder / "prompt.md").write_text(prompt, encoding="utf-8")
        yield Room(home=str(folder / "home"), tmp=str(folder / "tmp"), prompt=str(folder / "prompt.md"))


def environment(room: Room, given: Mapping[str, str]) -> dict[str, str]:
    """Give the whole environment of an agent; PATH, HOME and the like cannot be given from outside."""
    return {name: value for name, value in given.items() if name not in _OURS} | {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": room.home, "TMPDIR": room.tmp, "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": f"{room.home}/.config", "XDG_CACHE_HOME": f"{room.home}/.cache", "TERM": "dumb",
        "NO_COLOR": "1", "CI": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "none", "GIT_SSH_COMMAND": "false", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": os.devnull,
    }  # fmt: skip


async def sent(
    words: Sequence[str], errand: Errand, room: Room, given: Mapping[str, str], *, stdin: str,
    watch: Callable[[bytes], bool] | None = None,
) -> Ended:  # fmt: skip
    """Send an agent out in its worktree, behind walls, until its deadline."""
    walls = Walls(writable=(errand.worktree, room.home, room.tmp, *DEVICES))
    return await ran(
        words, folder=errand.worktree, env=environment(room, given), deadline_s=errand.deadline_s, stdin=stdin.encode(),
        walls=walls, cap=TRANSCRIPT_BYTES, watch=watch,
    )  # fmt: skip


def delivered(
    ended: Ended, status: DeliveryStatus, summary: str, without: Redact, given: Mapping[str, str], *,
    cost_usd: float | None = None, tokens: int | None = None, turns: int | None = None, denials: Sequence[str] = (),
) -> Delivery:  # fmt: skip
    """Make a delivery; what did not start or came late is that, whatever the agent managed to say."""
    if ended.problem:
        status, summary = "error", ended.problem
    elif ended.late:
        status, summary = "timeout", summary or f"it was not done after {ended.seconds:.0f} s"

    def clean(text: str) -> str:
        for name, value in given.items():
            if len(value) >= 6:
                text = text.replace(value, f"[{name}]")
        return without(text)

    transcript = "\n".join(part.decode("utf-8", "replace") for part in (ended.out, ended.err) if part)
    return Delivery(
        status=status, summary=clean(summary)[:SUMMARY_CHARS], cost_usd=cost_usd, tokens=tokens, turns=turns,
        denials=tuple(clean(denial)[:300] for denial in denials[:50]), transcript=clean(transcript),
        exit_code=ended.code, seconds=ended.seconds,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A coding agent that is a program: its variables, a model (empty: its own choice), and more words for it.

    `program` is where it is found, by its name where empty. `keys` are the variables of which it needs one.
    """

    name: ClassVar[str]
    keys: ClassVar[tuple[str, ...]]
    program: str = ""
    model: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    redact: Redact = plainly_redacted
    more: Sequence[str] = ()

    @property
    def command(self) -> str:
        """What is called."""
        return self.program or self.name

    async def usable(self) -> Usable:
        """Tell whether it is installed and has a key."""
        return await looked_for(self.name, self.command, self.env, self.keys)


async def looked_for(name: str, program: str, given: Mapping[str, str], keys: Sequence[str]) -> Usable:
    """Tell whether a program is there, runs, and has a key to work with; nobody is asked anything that costs."""
    path = shutil.which(program)
    if path is None:
        return Usable(name=name, installed=False, usable=False, why=f"{program} is not on the PATH: install it first")
    with room_for("") as room:
        ended = await ran([path, "--version"], folder=room.home, env=environment(room, {}), deadline_s=VERSION_S)
    lines = ended.out.decode("utf-8", "replace").split("\n")
    if ended.code != 0:
        why = f"`{program} --version` does not work: {ended.problem or ended.err.decode('utf-8', 'replace')[:200]}"
        return Usable(name=name, installed=True, usable=False, why=why)
    if keys and not any(given.get(key) for key in keys):
        why = f"it works in an empty HOME and needs one of {', '.join(keys)}: name it in the agent's env"
        return Usable(name=name, installed=True, usable=False, version=lines[0].strip(), why=why)
    return Usable(name=name, installed=True, usable=True, version=lines[0].strip())
