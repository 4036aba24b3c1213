"""Checks that need the world: JSON Schema, regular expressions with a deadline, and the operator's own code.

Code comes from files below the suite's folder, as the operator wrote them: a path that leads out of it is refused. It
runs in a process of its own with a cleared environment and a deadline, gets case and answer as JSON on its standard
input, and says pass by exit code 0, fail by 1; every other end, also a late one, is errored. A `python` check names
`file.py:function`; the function gets (answer, case) and returns a truth value, a score, or (truth value, note).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from surefoot.core.errors import Invalid
from surefoot.core.exam.check import PASSED, Check, Finding, errored, failed
from surefoot.core.exam.expression import too_large
from surefoot.core.exam.observed import Observed
from surefoot.core.exam.suite import SuiteCase

REGEX_S = 1.0
CODE_S = 30.0
LONGEST_NOTE = 300
# Runs in the child: the file is the operator's, the words around it are ours.
_CALLER = """
import importlib.util, json, sys
path, name = sys.argv[1], sys.argv[2]
given = json.load(sys.stdin)
spec = importlib.util.spec_from_file_location("check", path)
module = importlib.util.module_from_spec(spec)
sys.modules["check"] = module
out, sys.stdout = sys.stdout, sys.stderr
spec.loader.exec_module(module)
said = getattr(module, name)(given["answer"], given["case"])
json.dump(list(said) if isinstance(said, tuple) else said, out)
"""


class World:
    """Carries these checks out; implements `ports.exam.Outside`."""

    async def finding(self, check: Check, case: SuiteCase, observed: Observed, root: str) -> Finding:
        """Carry out one check."""
        match check.kind:
            case "regex":
                return await asyncio.to_thread(_matched, check, observed.output)
            case "json_schema":
                return await asyncio.to_thread(_valid, check, observed.output)
            case "python":
                return await _function(check, case, observed, root)
            case "command":
                return await _command(check, case, observed, root)
            case _:
                return errored(f"the check {check.kind!r} is not known here")

    async def prepare(self, words: tuple[str, ...], case: SuiteCase, root: str) -> str:
        """Run a setup or teardown in the suite's folder; gives what went wrong, or nothing."""
        if not root:
            return "a suite that is no file runs no code"
        code, _, err = await _ran(words, root, json.dumps({"case": case.document()}), case.timeout_s)
        return "" if code == 0 else f"{words[0]} ended with {code}: {_last(err)}"


def _matched(check: Check, text: str) -> Finding:
    """Search with a deadline: some expressions take for ever on some texts."""
    import regex

    if too_large(str(check.value)):  # what was stored before this was looked at when a suite is read
        return errored("the expression repeats too much within what it repeats")
    flags = regex.IGNORECASE if check.params.get("ignore_case") else 0
    try:
        found = cast("Any", regex).search(str(check.value), text, flags=flags, timeout=REGEX_S)
    except TimeoutError:
        return errored(f"the expression needed more than {REGEX_S:g} s")
    except (regex.error, RecursionError) as problem:
        return errored(f"the expression cannot be used: {problem}"[:LONGEST_NOTE])
    return PASSED if found else failed(f"{str(check.value)[:120]!r} does not match")


def _valid(check: Check, text: str) -> Finding:
    """Hold an answer to a schema, within the bounds that all schemas have; errored where nobody can tell."""
    from surefoot.adapters.schemas import Unable, misfit

    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return failed("the answer is no JSON")
    try:
        wrong = misfit("value of json_schema", check.value, document)
    except (Invalid, Unable) as problem:
        return errored(str(problem))
    return failed(wrong) if wrong else PASSED


async def _function(check: Check, case: SuiteCase, observed: Observed, root: str) -> Finding:
    file, _, name = str(check.value).rpartition(":")
    path = inside(root, file)
    if path is None or not name.isidentifier():
        return errored(f"{check.value!r} is no file.py:function in the suite's folder")
    words = (sys.executable, "-I", "-c", _CALLER, str(path), name)
    code, out, err = await _ran(words, root, _given(case, observed), _deadline(check))
    return _said(out) if code == 0 else errored(f"it ended with {code}: {_last(err)}")


def _said(out: str) -> Finding:
    try:
        said: object = json.loads(out)
    except ValueError:
        return errored("the function returned nothing that can be read")
    note = ""
    if isinstance(said, list):
        pair = cast("list[object]", said)
        said, note = (pair[0], str(pair[1])) if len(pair) == 2 else (None, "")
    if isinstance(said, bool):
        return Finding("passed", note, 1.0) if said else Finding("failed", note or "it said no", 0.0)
    if isinstance(said, int | float) and 0 <= said <= 1:
        return Finding("passed" if said >= 0.5 else "failed", note or f"score {said:g}", float(said))
    return errored(f"the function returned {str(said)[:80]!r}, neither a truth value nor a score in [0, 1]")


async def _command(check: Check, case: SuiteCase, observed: Observed, root: str) -> Finding:
    if not root:
        return errored("a suite that is no file runs no code")
    words = [str(word) for word in cast("list[object]", check.value)]
    code, out, err = await _ran(words, root, _given(case, observed), _deadline(check))
    if code in (0, 1):
        return PASSED if code == 0 else failed(_last(out) or _last(err) or "it said no")
    return errored(f"{words[0]} ended with {code}: {_last(err)}")


def inside(root: str, file: str) -> Path | None:
    """Give a file of the suite's folder; None if it is none, or leads out of the folder."""
    if not root or not file:
        return None
    folder = Path(root).resolve()
    path = (folder / file).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None


def _given(case: SuiteCase, observed: Observed) -> str:
    answer = {
        "output": observed.output, "finish": observed.finish, "latency_s": observed.latency_s,
        "tool_calls": [call.document() for call in observed.calls],
        "cost_usd": None if observed.cost is None else observed.cost.usd,
    }  # fmt: skip
    return json.dumps({"answer": answer, "case": case.document()}, default=str)


def _deadline(check: Check) -> float:
    given = check.params.get("timeout_s", CODE_S)
    return float(given) if isinstance(given, int | float) and given > 0 else CODE_S


async def _ran(words: Sequence[str], root: str, text: str, timeout_s: float) -> tuple[int | str, str, str]:
    """Run a command line in a process group of its own; gives its exit code (or what befell it) and what it said."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    process = await started(words, root, kept)
    if isinstance(process, str):
        return "no start", "", process
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(text.encode())
    except TimeoutError:
        return f"nothing within {timeout_s:g} s", "", ""
    finally:
        await ended_group(process)
    return process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


async def started(words: Sequence[str], folder: str, environ: Mapping[str, str]) -> Process | str:
    """Start a command line in a process group of its own; gives what went wrong where it cannot be started."""
    try:
        return await asyncio.create_subprocess_exec(
            *words, cwd=folder or None, env=dict(environ), stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
    except (OSError, ValueError) as problem:
        return f"{words[0]} cannot be started: {getattr(problem, 'strerror', None) or problem}"


async def ended_group(process: Process) -> None:
    """End the whole group, also what the command left in the background."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    await process.wait()


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:LONGEST_NOTE] if lines else ""
