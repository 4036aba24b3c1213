"""Holding answers to JSON schemas, for programs that ask a model: the one comparison, with the bounds of all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surefoot.core.errors import Invalid


def misfit(schema: Mapping[str, Any], value: Any) -> str:
    """Say where and why a value does not fit; empty where it does. Invalid for no schema, or where nobody can tell."""
    from surefoot.adapters import schemas

    try:
        return schemas.misfit("schema of the answer", schema, value)
    except schemas.Unable as problem:
        raise Invalid(f"the answer cannot be held to the schema: {problem}", hint="make the schema simpler") from None
