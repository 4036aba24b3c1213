"""Gates as people write them in `[[repo.gates]]`, read into specifications that can be trusted to be able to fail.

A command is a list of words, or a text for a shell that runs with `pipefail`. What would hide the exit code of the
thing that is checked is refused here, before anything runs: a list that calls a shell by itself, `|| true`, a trailing
`&`, and the like (S0-14). A gate needs a command or an assertion; one that has neither would check nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from surefoot.core.gate_spec import ASSERTION_KINDS, GATE_ORDER, Assertion, AssertionKind, Command, GateKind, GateSpec
from surefoot.core.gate_spec import Server as GateServer
from surefoot.core.repo.reading import Reading

_SHELLS = frozenset("sh bash zsh dash ksh fish".split())
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}")
_HIDES = (
    (re.compile(r"\|\|\s*(?:true|:|exit\s+0|echo\b)"), "`||` with something that always succeeds"),
    (re.compile(r";\s*(?:true|:|exit\s+0|echo\b[^;|&\n]*)\s*$"), "a last command that always succeeds"),
    (re.compile(r"\bset\s+\+(?:e|o\s+(?:pipefail|errexit))"), "`set +e`"),
    (re.compile(r"(?<![&>])&\s*$"), "a command in the background"),
)


def gate_specs(tables: Sequence[Reading]) -> tuple[GateSpec, ...]:
    """Read gates in the order they are written; Invalid names the line of what is wrong."""
    found: list[GateSpec] = []
    for table in tables:
        gate = _gate(table)
        if gate.name in (one.name for one in found):
            table.wrong("name", f"{gate.name!r} is the name of two gates")
        found.append(gate)
    return tuple(found)


def _gate(given: Reading) -> GateSpec:
    name = given.text("name", "")
    if not _NAME.fullmatch(name):
        given.wrong("name", "must be 1 to 63 letters, digits, '.', '_', '-' or blanks")
    if not given.has("kind"):
        given.wrong("kind", f"is missing; it is one of {', '.join(GATE_ORDER)}")
    done = GateSpec(
        name=name, kind=cast("GateKind", given.choice("kind", GATE_ORDER)), command=_command(given),
        timeout_s=given.number("timeout_s", 600.0) or 0.0, env=given.texts("env"),
        server=_server(given.table("server")) if given.has("server") else None,
        assertions=tuple(_assertion(one) for one in given.tables("assertions")),
        network=given.flag("network", usual=False), memory_mb=given.whole("memory_mb", 0, least=0, most=1_000_000),
    )  # fmt: skip
    if done.command is None and not done.assertions:
        given.wrong("command", "is missing, and there is no assertion: this gate would check nothing")
    if done.timeout_s <= 0:
        given.wrong("timeout_s", "must be more than 0")
    given.finish()
    return done


def _command(given: Reading) -> Command | None:
    argv, shell = given.texts("command"), given.text("shell", "")
    if argv and shell.strip():
        given.wrong("shell", "and command are both set; keep one")
    if not argv and not shell.strip():
        return None
    if problem := hidden_exit(argv, shell):
        given.wrong("shell" if shell else "command", f"hides the exit code: {problem}")
    return Command(argv=argv, shell=shell)


def hidden_exit(argv: Sequence[str], shell: str) -> str:
    """Say how a command could succeed although what it checks failed; empty if nothing like that is seen."""
    if argv and argv[0].rsplit("/", 1)[-1] in _SHELLS and any(re.fullmatch(r"-\w*c", word) for word in argv[1:]):
        return 'a shell inside of a list runs without pipefail; write it as shell = "..."'
    for pattern, problem in _HIDES:
        if pattern.search(shell.strip()):
            return problem
    return ""


def _server(given: Reading) -> GateServer:
    command = _command(given)
    if command is None:
        given.wrong("command", "is missing: what starts the server?")
    done = GateServer(
        command=command, port=given.whole("port", 0, least=0, most=65_535), path=given.text("path", ""),
        ready_s=given.number("ready_s", 30.0) or 0.0,
    )  # fmt: skip
    given.finish()
    return done


def _assertion(given: Reading) -> Assertion:
    kind = cast("AssertionKind", given.choice("kind", ASSERTION_KINDS))
    done = Assertion(
        kind=kind, target=given.text("target", ""), value=given.text("value", ""), at=given.text("at", ""),
        min_bytes=given.whole("min_bytes", 1, least=1, most=2**40), command=_command(given),
    )  # fmt: skip
    needs = {"command": ("command", done.command is not None), "json_path": ("at", bool(done.at))}
    usual = ("value", bool(done.value)) if "contains" in kind else ("target", bool(done.target))
    for key, there in (needs.get(kind, usual), ("target", bool(done.target) or kind == "command")):
        if not there:
            given.wrong(key, f"is missing for the assertion {kind}")
    given.finish()
    return done
