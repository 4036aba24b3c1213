"""The files a page brings along: read once, packed once, and named by what is in all of them.

One hash of everything stands in each address, so a browser keeps them for ever and asks for none twice, and modules
find each other by relative names.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
          ".txt": "text/plain; charset=utf-8"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    """One file, as it is and packed."""

    content: bytes
    packed: bytes
    kind: str


@cache
def files() -> dict[str, File]:
    """Give all files by their path below the folder."""
    found: dict[str, File] = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file() and path.suffix in _TYPES:
            content = path.read_bytes()
            found[path.relative_to(FOLDER).as_posix()] = File(
                content, gzip.compress(content, 9, mtime=0), _TYPES[path.suffix]
            )
    return found


@cache
def edition() -> str:
    """Give the hash of all files together."""
    whole = hashlib.sha256()
    for name, one in files().items():
        whole.update(name.encode() + b"\0" + one.content + b"\0")
    return whole.hexdigest()[:16]


def address(name: str) -> str:
    """Give where a page finds a file."""
    assert name in files(), name
    return f"/static/{edition()}/{name}"
