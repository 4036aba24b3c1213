"""Content addresses: one canonical text per value, one SHA-256 per text.

Versions, evidence and audit entries are named by these, so the text must not depend on key order, on white space
or on how a float happens to be written. NaN and infinity have no canonical text and are refused.
"""

from __future__ import annotations

import hashlib
import json


def canonical(value: object) -> str:
    """Give the one JSON text of `value`: sorted keys, no white space, real Unicode; ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """Give the SHA-256 (64 hex characters) of the canonical text of a JSON-shaped value."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def unit_interval(*parts: str) -> float:
    """Map `parts` to a number in [0, 1) that looks uniform and never changes: the source of every sticky choice."""
    raw = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(raw[:8], "big") >> 11) / 2**53  # 53 bits: more would round up to 1.0
