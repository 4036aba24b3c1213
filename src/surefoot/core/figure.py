"""Figures: quantities as people read them, in few digits and the unit that fits, the same words everywhere.

A whole number below ten million keeps its digits, any other one has three; what is larger or very small is a power of
ten. Thousands are set apart by a blank, and so is a unit; a page binds them (`dashboard/words.py`). What nobody knows
is a dash, never a zero.
"""

from __future__ import annotations

from math import isinf

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGE, _SMALL = 1e7, 1e-4
_SPANS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (0.0, "µs"))
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_ROUGHLY = ((90, 5, 1, "s"), (5400, 60, 60, "min"), (129_600, 1800, 3600, "h"))
UNKNOWN = "–"


def figure(value: float) -> str:
    """Give a number as people write it: 12 345, 3.14, 1.2 × 10⁹."""
    if isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    near = value if float(value).is_integer() else float(f"{value:.3g}")
    if abs(near) < _LARGE and float(near).is_integer():
        return f"{int(near):,}".replace(",", " ")
    if _SMALL <= abs(near) < _LARGE:
        return f"{near:.3g}"
    front, _, power = f"{value:.1e}".partition("e")
    return f"{front} × 10{str(int(power)).translate(_RAISED)}" if power else front


def count(number: float) -> str:
    """Give a number of things, to the last one: 12 345."""
    return f"{int(number):,}".replace(",", " ")


def things(number: float, one: str, many: str = "") -> str:
    """Give a number with its noun: 1 entry, 2 entries."""
    return f"{count(number)} {one if number == 1 else many or f'{one}s'}"


def percent(share: float | None, digits: int = 1) -> str:
    """Give a share as percent: 61.2 %."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f} %"


def signed(share: float, digits: int = 1) -> str:
    """Give what a share gained or lost as percent: +1.5 %, -1.5 %."""
    return f"{100 * share:+.{digits}f} %"


def points(value: float, digits: int = 0) -> str:
    """Give a difference of shares in points with its sign: +7, −3, 0."""
    told = f"{100 * value:+.{digits}f}"
    return told.replace("-", "\u2212") if float(told) else f"{0:.{digits}f}"


def span(seconds: float | None) -> str:
    """Give a length of time in the unit that fits: 3.2 µs, 41 ms, 1.24 s, 12.4 min, 1.5 h, 3 d."""
    if seconds is None or seconds <= 0:
        return UNKNOWN if seconds is None else "0 s"
    size, unit = next((size, unit) for size, unit in _SPANS if seconds >= size)
    told = seconds / (size or 1e-6)
    return f"{told:.3g} {unit}" if told < 1000 else f"{count(told)} {unit}"


def roughly(seconds: float) -> str:
    """Give a length of time no more finely than a guess is: 25 s, 7 min, 2.5 h, 3 d."""
    for limit, step, unit, word in _ROUGHLY:
        if seconds < limit:
            return f"{max(step, round(seconds / step) * step) / unit:g} {word}"
    return f"{round(seconds / 86_400):g} d"


def size(amount: float) -> str:
    """Give a number of bytes in the unit that fits: 1.2 kB, 3.4 MB."""
    each, unit = next(((each, unit) for each, unit in _SIZES if abs(amount) >= each), (1, "B"))
    return f"{amount / each:.{0 if each == 1 else 1}f} {unit}"


def dollars(usd: float | None) -> str:
    """Give US dollars, small ones in two digits that count: $12 345.60, $1.50, $0.0024, $0."""
    if usd is None or usd == 0:
        return UNKNOWN if usd is None else "$0"
    return f"${usd:,.2f}".replace(",", " ") if abs(usd) >= 0.1 else f"${usd:.2g}"
