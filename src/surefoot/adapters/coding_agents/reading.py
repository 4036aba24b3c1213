"""Reading what a coding agent printed: JSON from outside, of which nothing can be relied on."""

from __future__ import annotations

import json
import math
from typing import Any, cast


def document(output: bytes) -> dict[str, Any] | None:
    """Give the JSON object that an output is, or that its last line is; None for anything else, such as half of one."""
    text = output.decode("utf-8", "replace").strip()
    found = _object(text)
    return found if found is not None else _object(text.rpartition("\n")[2])


def lines(output: bytes) -> list[dict[str, Any] | None]:
    """Give the JSON objects of an output, one a line; None for a line that is none."""
    return [_object(line) for line in output.decode("utf-8", "replace").splitlines() if line.strip()]


def table(found: object) -> dict[str, Any]:
    """Give a value if it is an object, else an empty one."""
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def entries(found: object) -> list[dict[str, Any]]:
    """Give the objects of a list, an empty list for anything else."""
    return [table(one) for one in cast("list[object]", found)] if isinstance(found, list) else []


def texts(found: object) -> list[str]:
    """Give the texts of a list, an empty list for anything else."""
    return [one for one in cast("list[object]", found) if isinstance(one, str)] if isinstance(found, list) else []


def text(found: object) -> str:
    """Give a value if it is a text, else an empty one."""
    return found if isinstance(found, str) else ""


def whole(found: object) -> int | None:
    """Give a value if it is a count."""
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def dollars(found: object) -> float | None:
    """Give a value if it is an amount of money: finite and not negative."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) and found >= 0 else None


def total(found: object, *names: str) -> int | None:
    """Add up counts of an object; None if it has none of them."""
    counts = [count for name in names if (count := whole(table(found).get(name))) is not None]
    return sum(counts) if counts else None


def _object(line: str) -> dict[str, Any] | None:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
