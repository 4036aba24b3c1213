"""The small part of JSONPath (RFC 9535) that checks need: names, indexes, wildcards and descent.

`$.items[0].name`, `$['odd name']`, `$.items[*].price`, `$..id`. Filters and slices are refused, not ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from surefoot.core.errors import Invalid

_STEP = re.compile(
    r"""(?P<deep>\.\.)?(?:\.?(?P<name>[^\W\d][\w-]*)|\.?(?P<any>\*)|\[(?:(?P<index>-?\d+)|(?P<all>\*)|'(?P<one>[^']*)'|"(?P<two>[^"]*)")\])"""
)
Step = tuple[bool, str | int | None]


def parsed(path: str) -> tuple[Step, ...]:
    """Give the steps of a path as (descend, name or index or None for any); Invalid where it goes beyond."""
    text, steps = path.strip(), list[Step]()
    if not text.startswith("$"):
        raise Invalid(f"the path {path!r} does not start with $", hint="such as $.items[0].name")
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or found.end() == at:
            raise Invalid(f"the path {path!r} cannot be read from {text[at:]!r} on",
                          hint="names, [indexes], [*] and .. are known; filters and slices are not")  # fmt: skip
        steps.append((found["deep"] is not None, _wanted(found)))
        at = found.end()
    return tuple(steps)


def _wanted(found: re.Match[str]) -> str | int | None:
    if found["any"] or found["all"]:
        return None
    if found["index"] is not None:
        return int(found["index"])
    return next(part for part in (found["name"], found["one"], found["two"]) if part is not None)


def matches(document: object, path: str) -> list[object]:
    """Give every value at a path, in the order of the document."""
    found = [document]
    for deep, wanted in parsed(path):
        places = [inner for value in found for inner in _below(value)] if deep else found
        found = [value for place in places for value in _step(place, wanted)]
    return found


def _below(value: object) -> Iterator[object]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(list(_step(one, None)))


def _step(value: object, wanted: str | int | None) -> Iterator[object]:
    if isinstance(value, dict):
        row = cast("dict[str, object]", value)
        if wanted is None:
            yield from row.values()
        elif isinstance(wanted, str) and wanted in row:
            yield row[wanted]
    elif isinstance(value, list):
        items = cast("list[object]", value)
        if wanted is None:
            yield from items
        elif isinstance(wanted, int) and -len(items) <= wanted < len(items):
            yield items[wanted]
