"""Rerun: whether a failed gate is run once more.

A failure on something that the change did not touch may be the network, a cold start or another flake: such a gate is
run again, once. It is real when it fails twice, when it speaks of a file that the change touched, and when the output
names no file at all but the change could have caused it. What checked nothing is never run again: nothing will come of
it. Refused connections, names that do not resolve and time-outs are of the environment wherever they show (S0-17,
S0-22).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_ENVIRONMENT = re.compile(
    r"connection (?:was )?(?:refused|reset|aborted)|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|"
    r"temporary failure in name resolution|name or service not known|could not resolve host|"
    r"network is unreachable|no route to host|TLS handshake timeout|address already in use|EADDRINUSE|"
    r"(?:50[234]) (?:bad gateway|service unavailable|gateway timeout)|could not (?:connect|reach)|"
    r"resource temporarily unavailable|i/o timeout|read timed out",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?:[\w.@+-]+/)*[\w@+-][\w.@+-]*\.[A-Za-z][A-Za-z0-9]{0,7}(?![\w/])")
Failed = Literal["fail", "error", "timeout", "checked_nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """Whether to run a gate once more, and the reason as a code and a sentence."""

    again: bool
    why: Literal["checked_nothing", "environment", "timeout", "touched", "untouched", "unknown", "second_time"]
    sentence: str


def rerun(outcome: Failed, output: str, touched: Iterable[str], *, runs: int, known: Iterable[str] = ()) -> Rerun:
    """Decide after `runs` runs of a gate; `output` is what it said, `known` are paths that exist in the repository."""
    if runs > 1:
        return Rerun(again=False, why="second_time", sentence="it failed twice, so it is real")
    if outcome == "checked_nothing":
        return Rerun(again=False, why="checked_nothing", sentence="it checked nothing, which is a failure")
    if found := _ENVIRONMENT.search(output):
        return Rerun(again=True, why="environment", sentence=f"{found.group()!r} is the environment: once more")
    if outcome in ("timeout", "error"):
        return Rerun(again=True, why="timeout", sentence="it did not come to an end: once more")
    mine, seen = set(touched), named_paths(output, known)
    if hit := sorted(path for path in seen if _same(path, mine)):
        return Rerun(again=False, why="touched", sentence=f"it fails on {hit[0]}, which the change touched")
    if seen:
        return Rerun(again=True, why="untouched", sentence=f"{min(seen)} was not touched by the change: once more")
    return Rerun(again=False, why="unknown", sentence="it names no file, and the change may have caused it")


def named_paths(output: str, known: Iterable[str] = ()) -> frozenset[str]:
    """Give the files that an output names; only those of `known`, if any are known."""
    listed = frozenset(known)
    found = frozenset(match.group().removeprefix("./") for match in _PATH.finditer(output))
    if not listed:
        return found
    return frozenset(path for path in found if _same(path, listed))


def _same(path: str, listed: Iterable[str]) -> bool:
    """Whether a path, as an output writes it, is one of those listed: exactly, or as the end of it either way."""
    return any(path == one or one.endswith(f"/{path}") or path.endswith(f"/{one}") for one in listed)
