"""A duration: how long something is, in the one form in which people write it everywhere.

It is a number and a unit (s, m, h, d, w), or several of them from the longest unit to the shortest: `30s`, `1h30m`,
`0.5h`, `4w`. A month or a year is none, because they are not always as long. Whoever asks names the longest that makes
sense; nothing is longer than a century, so that it can be taken from any moment there is.
"""

from __future__ import annotations

import re
from datetime import timedelta

from surefoot.core.errors import Invalid

CENTURY = timedelta(days=36_525)
_UNITS = {"w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_FORM = re.compile("".join(rf"(?:([0-9]{{1,12}}(?:\.[0-9]{{1,6}})?)\s?{unit}\s?)?" for unit in _UNITS), re.ASCII)
_HINT = "write a number and a unit, such as 30s, 15m, 2h, 7d or 4w"


def duration(text: str, *, most: timedelta = CENTURY) -> timedelta:
    """Read a duration, more than none and `most` at most; Invalid says what is wrong with it."""
    told = _FORM.fullmatch(text.strip().lower())
    numbers = dict(zip(_UNITS, told.groups(), strict=True)) if told is not None else {}
    parts = [float(number) * _UNITS[unit] for unit, number in numbers.items() if number]
    if not parts:
        raise Invalid(f"{text[:40]!r} is no duration", hint=_HINT)
    if sum(parts) > most.total_seconds():
        raise Invalid(f"{text[:40]!r} is too long", hint=f"{written(most)} at most")
    if not (found := timedelta(seconds=sum(parts))):
        raise Invalid(f"{text[:40]!r} is no time at all", hint=_HINT)
    return found


def written(span: timedelta) -> str:
    """Give a duration as it is read, to the second: `1h30m`."""
    left, parts = round(span.total_seconds()), list[str]()
    for unit, length in _UNITS.items():
        number, left = divmod(left, int(length))
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"
