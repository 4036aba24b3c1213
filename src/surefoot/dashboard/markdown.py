"""A small part of Markdown as HTML that does nothing: headings, lists, quotes, code, emphasis, lines.

Whatever somebody wrote is escaped first and only then looked at, so no mark can open a tag that is not in this file.
There are no links, no pictures and no HTML: where a text leads somewhere, its address stands beside it as a text. Each
line is looked at a bounded number of times, so that a text of many marks costs no more than a plain one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from markupsafe import Markup, escape

from surefoot.dashboard.words import defused

_FENCE = re.compile(r" {0,3}(```+|~~~+)[^`]*$")
_HEAD = re.compile(r" {0,3}(#{1,6}) (.*)$")
_ITEM = re.compile(r"( {0,12})(?:[-*+]|(\d{1,6})[.)]) +(.*)$")
_QUOTE = re.compile(r" {0,3}> ?(.*)$")
_RULE = re.compile(r" {0,3}(?:-{3,}|\*{3,}|_{3,}) *$")
_BLANK = re.compile(r"\s*$")
# Escaped text: what stands between two marks has no such mark in it, so each run is looked at once.
_INLINE = re.compile(
    r"`(?P<code>[^`\n]{1,2000})`|\*\*(?P<strong>[^*\n]{1,2000})\*\*|(?<![\w*])\*(?P<em>[^*\s\n][^*\n]{0,500})\*(?![\w*])"
    r"|\[(?P<label>[^\[\]\n]{1,500})\]\((?P<to>[^()\s\n]{1,1000})\)"
)
_MOST_INLINE = 4_000


def rendered(text: str) -> Markup:
    """Give a text as HTML."""
    lines = str(defused(text)).replace("\r\n", "\n").split("\n")
    out: list[str] = []
    at = 0
    while at < len(lines):
        made, at = _block(lines, at)
        out.append(made)
    return Markup("".join(out))  # noqa: S704  made of escaped words and the tags of this file


def _block(lines: list[str], at: int) -> tuple[str, int]:
    """Give the block that begins at a line, and where the next one does."""
    line = lines[at]
    if _BLANK.match(line):
        return "", at + 1
    if found := _FENCE.match(line):
        return _fenced(lines, at, found[1])
    if found := _HEAD.match(line):
        # a page has its own headings, and these stand below all of them
        return f'<p class="md-h md-h{min(4, len(found[1]))}">{_inline(found[2].strip().rstrip("#"))}</p>', at + 1
    if _RULE.match(line):
        return "<hr>", at + 1
    if _QUOTE.match(line):
        inside, at = _run(lines, at, lambda one: (found := _QUOTE.match(one)) and found[1])
        return f"<blockquote><p>{_lines(inside)}</p></blockquote>", at
    if _ITEM.match(line):
        return _listed(lines, at)
    inside, end = _run(lines, at, lambda one: None if _begins(one) else one)
    return f"<p>{_lines(inside or [line])}</p>", max(end, at + 1)


def _begins(line: str) -> bool:
    """Whether a line ends a paragraph: it is blank, or begins another kind of block."""
    return any(one.match(line) for one in (_BLANK, _FENCE, _HEAD, _RULE, _QUOTE, _ITEM))


def _run(lines: list[str], at: int, take: Callable[[str], str | None]) -> tuple[list[str], int]:
    found: list[str] = []
    while at < len(lines) and (one := take(lines[at])) is not None:
        found.append(one)
        at += 1
    return found, at


def _fenced(lines: list[str], at: int, fence: str) -> tuple[str, int]:
    end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == fence), len(lines))
    return f"<pre><code>{escape(chr(10).join(lines[at + 1 : end]))}</code></pre>", end + 1


def _listed(lines: list[str], at: int) -> tuple[str, int]:
    """A list; deeper items are set in by their spaces, on one level: a text of brackets must not nest the page."""
    out: list[str] = []
    ordered = False
    while at < len(lines) and (found := _ITEM.match(lines[at])):
        deep, number = min(3, len(found[1]) // 2), found[2]
        ordered = ordered or bool(number)
        said = [found[3], *_more(lines, at + 1)]
        sign = f'<span class="md-n">{number}.</span> ' if number else ""
        out.append(f'<li class="md-in{deep}{" md-numbered" if number else ""}">{sign}{_lines(said)}</li>')
        at += len(said)
    return f'<ul class="md-list">{"".join(out)}</ul>', at


def _more(lines: list[str], at: int) -> list[str]:
    """The lines that go on with an item: set in, and not another block."""
    return _run(lines, at, lambda one: one.strip() if one[:2] == "  " and not _begins(one) else None)[0]


def _lines(lines: list[str]) -> str:
    return "<br>".join(_inline(one) for one in lines)


def _inline(text: str) -> str:
    """Marks within a line; one of very many characters stays plain."""
    safe = str(escape(text))
    return safe if len(safe) > _MOST_INLINE else "".join(_pieces(safe))


def _pieces(safe: str) -> Iterator[str]:
    done = 0
    for found in _INLINE.finditer(safe):
        yield safe[done : found.start()]
        done = found.end()
        if found["code"] is not None:
            yield f"<code>{found['code']}</code>"
        elif found["strong"] is not None:
            yield f"<b>{found['strong']}</b>"
        elif found["em"] is not None:
            yield f"<i>{found['em']}</i>"
        else:
            yield f"{found['label']} <code>{found['to']}</code>"
    yield safe[done:]
