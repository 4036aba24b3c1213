"""What must be true after a gate's command: files that are there and say the right thing, a server that answers.

A file that is missing, leads out of the checkout or cannot be read fails every assertion, `not_contains` too: what was
not looked at is not in order. Only loopback is asked over HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import assert_never, cast
from urllib.parse import urlsplit

from surefoot.adapters.gates.server import get
from surefoot.adapters.gates.step import Found, Place, run_command
from surefoot.core.gate_output import idle
from surefoot.core.gate_spec import Assertion

LARGEST = 256 * 2**20
_MISSING = object()
_HOSTS = frozenset({"127.0.0.1", "localhost"})


async def held(assertion: Assertion, place: Place) -> Found:
    """Hold one assertion against what is there."""
    match assertion.kind:
        case "command":
            if assertion.command is None or idle(assertion.command):
                return Found(outcome="checked_nothing", sentence="an assertion's command checks nothing")
            found = await run_command(assertion.command, place)
            return _passed(found.sentence) if found.outcome == "pass" else found
        case "http_ok":
            return await _answered(assertion, place)
        case "file_nonempty" | "min_bytes" | "contains" | "not_contains" | "json_path":
            return await asyncio.to_thread(_in_file, assertion, place.checkout)
        case _:
            assert_never(assertion.kind)


def _in_file(assertion: Assertion, checkout: str) -> Found:
    name = assertion.target
    path = _inside(checkout, name)
    if path is None:
        return _failed(f"{name} is not there, or is no file of this checkout")
    if path.stat().st_size > LARGEST:
        return _failed(f"{name} is larger than {LARGEST >> 20} MB and was not read")
    content = path.read_bytes()
    problem = _wrong(assertion, content)
    if problem:
        return _failed(f"{name} {problem}")
    return _passed(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()[:12]}")


def _wrong(assertion: Assertion, content: bytes) -> str:
    """Say what is wrong with a file's content; empty if nothing is."""
    if not content.strip():
        return "is empty"
    match assertion.kind:
        case "min_bytes" if len(content) < assertion.min_bytes:
            return f"has {len(content)} bytes, fewer than {assertion.min_bytes}"
        case "contains" if not assertion.value:
            return "was to contain nothing, which checks nothing"
        case "contains" if assertion.value.encode() not in content:
            return f"does not contain {assertion.value[:120]!r}"
        case "not_contains" if not assertion.value or assertion.value.encode() in content:
            return f"contains {assertion.value[:120]!r}"
        case "json_path":
            return _wrong_json(assertion, content)
        case _:
            return ""


def _wrong_json(assertion: Assertion, content: bytes) -> str:
    try:
        found = _at(json.loads(content), assertion.at)
    except (ValueError, RecursionError):
        return "is no JSON"
    if found is _MISSING:
        return f"has nothing at {assertion.at!r}"
    if not assertion.value:
        return f"has only {found!r} at {assertion.at!r}" if found in (None, "", [], {}) else ""
    try:
        expected: object = json.loads(assertion.value)
    except ValueError:
        expected = assertion.value
    same = found == expected and isinstance(found, bool) == isinstance(expected, bool)
    return "" if same else f"has {json.dumps(found)[:120]} at {assertion.at!r}, not {assertion.value[:120]}"


def _at(document: object, path: str) -> object:
    """Walk into a document: names of objects, numbers of lists."""
    for part in (part for part in path.removeprefix("$").split(".") if part):
        if isinstance(document, dict):
            document = cast("dict[str, object]", document).get(part, _MISSING)
        elif isinstance(document, list):
            items = cast("list[object]", document)
            document = items[int(part)] if part.isdecimal() and int(part) < len(items) else _MISSING
        else:
            return _MISSING
    return document


def _inside(checkout: str, name: str) -> Path | None:
    """Give a file of the checkout; None for one that is not there, or that a link or `..` leads out to."""
    folder = Path(checkout).resolve()
    try:
        path = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return path if name and path.is_relative_to(folder) and path.is_file() else None


async def _answered(assertion: Assertion, place: Place) -> Found:
    target = assertion.target.replace("{port}", str(place.port))
    parts = urlsplit(target)
    port, path = (parts.port or 80, parts.path or "/") if parts.netloc else (place.port, parts.path or "/")
    if parts.netloc and (parts.scheme != "http" or parts.hostname not in _HOSTS):
        return Found(outcome="error", sentence=f"{target} is not on loopback, and nothing else is asked")
    if not port:
        return Found(outcome="error", sentence=f"http_ok {target} needs a server, and the gate starts none")
    try:
        status, body = await get(port, f"{path}?{parts.query}" if parts.query else path)
    except OSError as problem:
        return _failed(f"nobody answers at {target}: {problem}")
    if not 200 <= status < 300:
        return _failed(f"{target} answers {status}")
    if assertion.value and assertion.value.encode() not in body:
        return _failed(f"{target} answers {status} without {assertion.value[:120]!r}")
    return _passed(f"{target}: {status}, {len(body)} bytes")


def _passed(fact: str) -> Found:
    return Found(outcome="pass", sentence=fact, evidence=(fact,))


def _failed(sentence: str) -> Found:
    return Found(outcome="fail", sentence=sentence)
