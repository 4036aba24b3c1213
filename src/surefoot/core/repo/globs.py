"""Globs: whether a path is inside of what a lever may change.

`*` and `?` stay inside one part of a path, `**` spans any number of parts, a name that ends in `/` means everything
below it, and so does the bare name of a directory. Matching is by whole path, with case, because what git would keep
apart must not be one here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def inside(path: str, globs: Iterable[str]) -> bool:
    """Tell whether any of the globs matches a path (relative to the top, with "/")."""
    return any(_pattern(glob).fullmatch(path) is not None for glob in globs)


@lru_cache(maxsize=512)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = [part for part in glob.removeprefix("./").split("/") if part not in ("", ".")]
    if glob.endswith("/"):
        parts.append("**")
    text, last = "", len(parts) - 1
    for at, part in enumerate(parts):
        if part == "**":
            text += "(?:[^/]+/)*" if at < last else "[^/]+(?:/[^/]+)*"
        else:
            text += _part(part) + ("/" if at < last else "")
    below = "(?:/.*)?" if parts and not set(parts[-1]) & set("*?[") else ""
    return re.compile(f"{text}{below}", re.DOTALL)


def _part(part: str) -> str:
    kept = {"*": "[^/]*", "?": "[^/]"}
    return "".join(kept.get(char, re.escape(char)) for char in re.sub(r"\*+", "*", part))
