"""Figures: numbers in sentences, in the few digits that people read.

A whole number below ten million keeps its digits, any other one has three; what is larger or very small is a power of
ten. Thousands are set apart by a blank.
"""

from __future__ import annotations

from math import isinf

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGE, _SMALL = 1e7, 1e-4


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
