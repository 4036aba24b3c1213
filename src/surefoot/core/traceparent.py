"""The W3C `traceparent` header: within which trace and span of the caller a request was made (W3C Trace Context)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from surefoot.core.trace import steps_id

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_HEX = re.compile("(?!0{32})[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The caller's span; `sampled` is whether the caller keeps its own."""

    trace_id: str
    span_id: str
    sampled: bool = True


def parent_of(header: str) -> Parent | None:
    """Read the header; None for one that is missing or wrong, which is to be treated as if it were not there."""
    match = _FORM.fullmatch(header.strip())
    if match is None or (header.strip().startswith("00") and len(header.strip()) != 55):
        return None
    return Parent(trace_id=match[1], span_id=match[2], sampled=bool(int(match[3], 16) & 1))


def trace_id_of(ours: str) -> str:
    """Give the id of a trace of ours as OpenTelemetry has them: itself where it is one, else a hash."""
    bare = steps_id(ours)  # also of an agent whose trace has the name of another agent's request
    return bare if _HEX.fullmatch(bare) else hashlib.sha256(ours.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def span_id_of(ours: str, part: str) -> str:
    """Give the id of a span that belongs to a trace of ours; the same each time it is asked for."""
    return hashlib.sha256(f"{part}\0{ours}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
