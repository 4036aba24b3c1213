"""How values become words on a page: numbers with their precision, moments beside each other, texts made harmless.

Escaping is the template's business. What is done here is about characters that would change how the text around them
reads: controls of direction and invisible ones are written out wherever a value is put on a page.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from surefoot.core.figure import UNKNOWN, dollars, figure, span
from surefoot.core.figure import percent as percent_of

_STEERING = re.compile(r"[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def defused(value: Any) -> Any:
    """Give a value as it may stand on a page: a text without characters that steer what is around them."""
    if value is None:
        return ""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _CONTROL.sub(_named, _STEERING.sub(_named, value))


def _named(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"


def percent(value: float | None, digits: int = 1) -> str:
    """Give a share as percent, such as 61.2 % on one line; a dash where nothing is known."""
    return _bound(percent_of(value, digits))


def plain(value: float | None) -> str:
    """Give a number in the few digits that people read, on one line: 12 345, 3.14, 1.2 × 10⁹."""
    return UNKNOWN if value is None else _bound(figure(value))


def seconds(value: float | None) -> str:
    """Give a length of time on one line, in the unit that fits."""
    return _bound(span(value))


def money(value: float | None) -> str:
    """Give US dollars on one line."""
    return _bound(dollars(value))


def _bound(told: str) -> str:
    """Let a figure stand on one line: its digits close together, its unit beside it."""
    return re.sub(r"(?<=[\d×]) (?=[\d×])", "\u202f", told).replace(" ", "\u00a0")


def exact(moment: datetime) -> str:
    """Give a moment in full, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(moment: datetime, now: datetime) -> str:
    """Give a moment as people say it: 3 min ago, in 2 d; far ones by their date."""
    seconds = (now - moment).total_seconds()
    ago, size = seconds >= 0, abs(seconds)
    if size < 10:
        return "now"
    if size >= 30 * _DAY:
        day = moment.astimezone(UTC)
        return f"{day.day} {day:%b}" if day.year == now.year else f"{day.day} {day:%b} {day.year}"
    unit, word = next((u, w) for u, w in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")) if size >= u)
    told = f"{int(size // unit)} {word}"
    return f"{told} ago" if ago else f"in {told}"


def spoken(word: str) -> str:
    """Give a word of the code as people read it."""
    return word.replace("_", " ").replace("-", " ")


def sentence(text: str) -> str:
    """Give a message as a sentence of its own."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) or not text else '.'}"


def brief(digest: str, size: int = 10) -> str:
    """Give the beginning of a hash or an id."""
    return digest[:size]


def initials(name: str) -> str:
    """Give up to two letters for a name."""
    parts = [one for one in re.split(r"[\s._:@-]+", unicodedata.normalize("NFKC", name)) if one and one[0].isalnum()]
    return "".join(one[0] for one in parts[:2]).upper() or "?"
