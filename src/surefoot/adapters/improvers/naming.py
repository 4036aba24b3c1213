"""Ids for new blocks: readable where the label is, unique in the genome always."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

from surefoot.core.digest import digest

_LONGEST = 40


def slug(label: str) -> str:
    """Give a part of a block id for any label: its Latin letters and digits, or a short digest if it has none."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST].strip("-") or digest(label)[:8]


def new_id(kind: str, label: str, taken: Container[str]) -> str:
    """Give the first free id of the form `kind-label-number`."""
    number = 1
    while (name := f"{kind}-{slug(label)}-{number}") in taken:
        number += 1
    return name
