"""Frozen records to JSON documents and back, checked by pydantic on the way in."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(record: object) -> dict[str, Any]:
    """Give the JSON document of a frozen dataclass."""
    return cast("dict[str, Any]", _adapter(type(record)).dump_python(record, mode="json"))


def load(kind: type[T], document: Any) -> T:
    """Read `dump()` back."""
    return cast(T, _adapter(kind).validate_python(document))
