"""What a gate of a repository is: a command that runs for real, a server it needs, and what must be true afterwards.

A gate is a value that was read from the trusted base, never from the change it judges. A command is a list of words; a
shell is used only when it is asked for, and then with `pipefail`. What could hide the exit code of the thing that is
checked is found here, before anything runs, because a gate that cannot fail is worse than no gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

GateKind = Literal["typecheck", "build", "test", "artifact", "command"]
GATE_ORDER: tuple[GateKind, ...] = get_args(GateKind)
AssertionKind = Literal["file_nonempty", "min_bytes", "contains", "not_contains", "json_path", "http_ok", "command"]
ASSERTION_KINDS: tuple[AssertionKind, ...] = get_args(AssertionKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Words to run (`argv`), or a text for bash (`shell`): exactly one of the two.

    In both, `{port}` becomes the port of the gate's server.
    """

    argv: tuple[str, ...] = ()
    shell: str = ""

    @property
    def text(self) -> str:
        """Give the command as a person would write it."""
        return self.shell or " ".join(self.argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that the gate starts, waits for and always stops.

    With `port` 0 a free one is chosen; the command gets it as `{port}` and as the variable PORT. The server is ready
    when `path` answers 2xx or 3xx over HTTP, or, with an empty `path`, when the port accepts a connection.
    """

    command: Command
    port: int = 0
    path: str = ""
    ready_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """Something that must be true after the command.

    `target` is a path in the checkout (`file_nonempty`, `min_bytes`, `contains`, `not_contains`, `json_path`) or, for
    `http_ok`, a path on the gate's server or a loopback URL. `value` is the text to find; for `json_path` it is the
    expected value as JSON, and an empty one asks only that it is there and neither null nor empty. `at` is the path
    inside the JSON document, such as `items.0.name`. For `http_ok` a `value` must be in the body. `command` runs one
    more command that must exit 0.
    """

    kind: AssertionKind
    target: str = ""
    value: str = ""
    at: str = ""
    min_bytes: int = 1
    command: Command | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """One gate: its kind decides its place in the order typecheck, build, test, artifact, command.

    `timeout_s` is for everything together. `env` names the variables that are handed through; all others are cleared.
    `network` lets the command reach beyond loopback where a sandbox could prevent it. `memory_mb` 0 means no limit.
    """

    name: str
    kind: GateKind
    command: Command | None = None
    timeout_s: float = 600.0
    env: tuple[str, ...] = ()
    server: Server | None = None
    assertions: tuple[Assertion, ...] = ()
    network: bool = False
    memory_mb: int = 0


def in_order(gates: tuple[GateSpec, ...]) -> tuple[GateSpec, ...]:
    """Give the gates in the order in which they run; gates of one kind keep the order they were written in."""
    return tuple(sorted(gates, key=lambda gate: GATE_ORDER.index(gate.kind)))
