"""The guest: the program in which an improver of somebody else runs, started by `outside.py` as a script of its own.

In this order: read the brief, close the cell, and only then import and ask the improver. What it prints goes to a file
of its own folder; its proposal alone goes to the standard output. The exit code says how far it came.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

OPEN, FOREIGN_IMPORT, FOREIGN_ERROR = 70, 71, 72
PRINTED = "printed.txt"
_LONGEST_REASON = 2000


def main(asked: dict[str, Any]) -> int:
    """Answer one brief; `asked` has entry, path, source, readable, folder, ports, cpu_s, walls and probe."""
    answer, reasons = _own(1), _own(2)
    text = sys.stdin.read()
    printed = os.open(PRINTED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(printed, stream)
    cell = _cell()
    put_up = cell.close(_plan(cell, asked))
    open_walls = {name: why for name, why in put_up.items() if why}
    if asked["probe"]:
        os.write(answer, json.dumps(open_walls | _leaks(open_walls, asked)).encode())
        return 0
    missing = {name: put_up.get(name, "there is no such wall") for name in asked["walls"]}
    if missing := [f"{name} ({why})" for name, why in missing.items() if why]:
        return _ended(reasons, OPEN, ", ".join(missing))
    # First the path of the house, so that no package of somebody else can stand in for it.
    sys.argv[:] = [asked["entry"]]
    sys.path[:] = [*sys.path, asked["source"], *asked["path"]]
    from surefoot.core.improver_wire import read_brief

    brief, budget = read_brief(text)
    try:
        propose = _found(asked["entry"])
    except BaseException as error:  # noqa: BLE001  whatever foreign code raises is a reason, not our crash
        return _ended(reasons, FOREIGN_IMPORT, _told(error))
    try:
        _write(answer, _asked(propose, brief, budget))
    except BaseException as error:  # noqa: BLE001
        return _ended(reasons, FOREIGN_ERROR, _told(error))
    return 0


def _own(stream: int) -> int:
    """Keep a stream for ourselves, out of the way of what prints."""
    return os.dup(stream)


def _cell() -> Any:
    """Load the walls from their file: there is no path to import from yet, and none is wanted."""
    where = Path(__file__).with_name("cell.py")
    spec = importlib.util.spec_from_file_location("cell", where)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{where} cannot be loaded")
    cell = importlib.util.module_from_spec(spec)
    sys.modules["cell"] = cell  # dataclasses look their module up
    spec.loader.exec_module(cell)
    return cell


def _plan(cell: Any, asked: dict[str, Any]) -> Any:
    return cell.Cell(
        readable=tuple(asked["readable"]), folder=asked["folder"], ports=tuple(asked["ports"]), cpu_s=asked["cpu_s"]
    )  # fmt: skip


def _leaks(open_walls: dict[str, str], asked: dict[str, Any]) -> dict[str, str]:
    """Try what the walls forbid; a wall that stands and lets it through does not stand."""
    tries = {"files": _reads, "processes": _forks, **({} if asked["ports"] else {"network": _connects})}
    return {name: why for name, attempt in tries.items() if name not in open_walls and (why := _through(attempt))}


def _through(attempt: Any) -> str:
    try:
        return str(attempt())
    except OSError:
        return ""


def _reads() -> str:
    return f"/etc/passwd could be read ({len(Path('/etc/passwd').read_bytes())} bytes)"


def _forks() -> str:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "another process could be started"


def _connects() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM):
        return "a socket could be opened"


def _found(entry: str) -> Any:
    module, _, name = entry.partition(":")
    thing: Any = importlib.import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def _asked(propose: Any, brief: object, budget: object) -> str:
    from surefoot.core.improver_wire import proposal_document
    from surefoot.core.proposal import Proposal

    given = propose(brief, budget)
    if inspect.isawaitable(given):
        import asyncio

        given = asyncio.run(_awaited(given))
    return json.dumps(proposal_document(given) if isinstance(given, Proposal) else given)


async def _awaited(given: Any) -> Any:
    return await given


def _told(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
    return f"{type(error).__name__}: {error}{where}"


def _ended(reasons: int, code: int, why: str) -> int:
    _write(reasons, why[:_LONGEST_REASON])
    return code


def _write(stream: int, text: str) -> None:
    rest = text.encode("utf-8", "backslashreplace")
    while rest:
        rest = rest[os.write(stream, rest) :]


if __name__ == "__main__":
    # Threads of the improver that still run, and whatever it registered to run at the end, are not waited for.
    os._exit(main(json.loads(sys.argv[1])))
