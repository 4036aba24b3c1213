"""Running one gate: refuse what could not fail, start its server, run its command, check its assertions, clean up.

The first thing that is not in order decides. A command runs as words; a shell text runs in bash with `-e` and
`pipefail`. Everything a gate starts has a cleared environment, an empty HOME and walls, because the tests of a change
are code of its author; all of it is gone when the result is there. The log holds all that was said, capped, in order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from surefoot.adapters.gates.artifacts import held
from surefoot.adapters.gates.server import Serving, port_for, serving
from surefoot.adapters.gates.step import LOG_BYTES, Found, Place, placed, run_command, tail
from surefoot.adapters.processes import layers, private
from surefoot.core.errors import Unavailable
from surefoot.core.gate_output import checked, idle, written_for_a_shell
from surefoot.core.gate_spec import Command, GateSpec
from surefoot.core.repo.gates import hidden_exit
from surefoot.ports.repository import GateResult


class GateRunner:
    """Runs gates; implements `ports.repository.Gates`. `environ` is where the variables a gate names are taken from."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)

    def layers(self) -> tuple[str, ...]:
        """Name the walls that are up on this machine."""
        return layers()

    async def run(self, gate: GateSpec, checkout: str, log: str) -> GateResult:
        """Run one gate in a checkout."""
        began = time.monotonic()
        path = _begun(gate, checkout, log)
        given = {name: self._environ[name] for name in gate.env if name in self._environ}
        with private("gate") as room:
            place = placed(gate, checkout, room, path, given, began + gate.timeout_s)
            found = _refused(gate) or await _found(gate, place)
        _without(path, given)
        return GateResult(
            name=gate.name, outcome=found.outcome, sentence=_hidden(found.sentence, given), exit_code=found.exit_code,
            seconds=time.monotonic() - began, log=log, layers=found.layers,
            evidence=tuple(_hidden(fact, given) for fact in found.evidence),
        )  # fmt: skip


def _begun(gate: GateSpec, checkout: str, log: str) -> Path:
    """Begin the log; Unavailable if there is no checkout."""
    if not Path(checkout).is_dir():
        raise Unavailable(f"the checkout of the gate {gate.name} is gone", hint="run the tick again")
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    path.with_name(f"{path.name}.server").unlink(missing_ok=True)
    return path


def _refused(gate: GateSpec) -> Found | None:
    """Refuse a gate that could not fail, whoever wrote it."""
    if gate.command is None and not gate.assertions:
        return Found(outcome="checked_nothing", sentence=f"the gate {gate.name} has no command and no assertion")
    if gate.command is not None and idle(gate.command) and not gate.assertions:
        return Found(outcome="checked_nothing", sentence=f"`{gate.command.text}` checks nothing")
    commands = [gate.command, gate.server.command if gate.server else None, *(one.command for one in gate.assertions)]
    for command in commands:
        if command is not None and (problem := _hides(command)):
            return Found(outcome="error", sentence=f"the gate {gate.name} could hide a failure: {problem}")
    return None


def _hides(command: Command) -> str:
    if word := written_for_a_shell(command.argv):
        return f"{word!r} means something to a shell only; write it as shell = {' '.join(command.argv)!r}"
    return hidden_exit(command.argv, command.shell)


async def _found(gate: GateSpec, place: Place) -> Found:
    if gate.server is None:
        return await _judged(gate, place, None)
    place = replace(place, port=port_for(gate.server))
    async with serving(gate.server, place) as server:
        if isinstance(server, Found):
            return server
        found = await _judged(gate, place, server)
        if found.outcome != "pass" and (last := tail(server.output())):
            return replace(found, evidence=(*found.evidence, f"the server's last words: {last}"))
        return found


async def _judged(gate: GateSpec, place: Place, server: Serving | None) -> Found:
    """Run the command, then hold the assertions against what is there."""
    evidence: list[str] = []
    up: tuple[str, ...] = ()
    code: int | None = None
    if gate.command is not None:
        done = await run_command(gate.command, place)
        up, code = done.layers, done.exit_code
        if done.outcome != "pass":
            return done
        said = checked(done.output)
        if gate.kind in ("test", "typecheck") and said.count == 0:
            return replace(done, outcome="checked_nothing", sentence=said.sentence, evidence=(tail(done.output),))
        evidence = ["exit code 0", *([said.sentence] if gate.kind == "test" else [])]
    for assertion in gate.assertions:
        if server is not None and not server.alive:
            return Found(outcome="fail", sentence="the server ended by itself", exit_code=code, layers=up)
        found = await held(assertion, place)
        if found.outcome != "pass":
            return replace(found, evidence=(*evidence, *found.evidence), layers=found.layers or up)
        evidence += found.evidence
        up = up or found.layers
    return Found(
        outcome="pass", sentence="; ".join(evidence[-3:]), exit_code=code, evidence=tuple(evidence),
        layers=up,
    )  # fmt: skip


def _hidden(text: str, given: Mapping[str, str]) -> str:
    for name, value in given.items():
        if len(value) >= 6:
            text = text.replace(value, f"[{name}]")
    return text


def _without(log: Path, given: Mapping[str, str]) -> None:
    """Take the values a gate was given out of its log."""
    for path in (log, log.with_name(f"{log.name}.server")):
        if given and path.exists() and path.stat().st_size <= 4 * LOG_BYTES:
            said = path.read_bytes().decode("utf-8", "surrogateescape")
            path.write_bytes(_hidden(said, given).encode("utf-8", "surrogateescape"))
