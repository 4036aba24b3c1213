"""Texts of requests on a page: who may read them, how they are laid out, and how much of them stands there at once.

Who may look but not read gets pages without them, made without them on the server; asking for them by the address is
refused. Who may read can hide them too, before somebody else looks at the screen: by the address, or for as long as
the browser keeps the cookie.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from surefoot.core.token import must_may
from surefoot.dashboard.asking import Asking

Layout = Literal["markdown", "json", "raw"]
LAYOUTS: tuple[Layout, ...] = ("markdown", "json", "raw")
COOKIE = "surefoot_texts"
SHOWN_CHARS = 12_000
MOST_LINES = 400
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_STEP, _DEEPEST = "  ", 12
_PRETTY_CHARS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Whether texts are on this page; `may` says whether this visitor could have them."""

    may: bool
    shown: bool
    agent: str

    @property
    def hidden(self) -> bool:
        """Whether they are left out."""
        return not self.shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A text as it is laid out; `left` is how many characters more there are, `words` the text as far as shown."""

    layout: Layout
    words: str
    left: int = 0


def reading(asking: Asking, agent: str) -> Reading:
    """Say whether texts of an agent are shown; Forbidden for who asks for them and may not read."""
    may, wish = asking.visitor.reads(agent), asking.query("texts")
    if wish == "shown" and not may:
        must_may(asking.visitor.token, "read", agent=agent)
    kept = wish if wish in ("shown", "hidden") else asking.request.cookies.get(COOKIE, "")
    return Reading(may=may, shown=may and kept != "hidden", agent=agent)


def layout_of(asking: Asking) -> Layout | None:
    """Give the layout that the address asks for; None for one that fits the text."""
    wish = asking.query("as")
    return next((one for one in LAYOUTS if one == wish), None)


def laid_out(text: str, layout: Layout | None) -> Shown:
    """Lay a text out; without a wish JSON where it is some, else Markdown. What is no JSON is shown as it is."""
    pretty = _pretty(text) if layout in (None, "json") else None
    words = text if pretty is None else pretty
    cut = words[:SHOWN_CHARS]
    lines = cut.split("\n", MOST_LINES)
    cut = "\n".join(lines[:MOST_LINES])
    chosen: Layout = "json" if pretty is not None else "markdown" if layout in (None, "markdown") else "raw"
    return Shown(layout=chosen, words=cut, left=len(words) - len(cut))


def _pretty(text: str) -> str | None:
    """Give JSON with its lines set in, and nothing else of it changed: no number, no order, no name that is twice."""
    if text.lstrip()[:1] not in ("{", "[") or len(text) > _PRETTY_CHARS:
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    out, depth = list[str](), 0
    for piece in _TOKEN.findall(text):
        ends, opened = piece in ("}", "]"), bool(out) and out[-1] in ("{", "[")
        depth -= ends
        if (ends and not opened) or (not ends and piece not in (",", ":") and out and (opened or out[-1] == ",")):
            out.append("\n" + _STEP * min(depth, _DEEPEST))
        out.append(": " if piece == ":" else piece)
        if piece in ("{", "["):
            depth += 1
    return "".join(out)
