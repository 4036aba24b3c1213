"""A paper: a text file that people and the loop both write, changed line by line so that every other byte stays.

A paper is its lines with their own ends. Reading finds the front matter (`key: value` between two `---`), the headings
outside of code fences and comments, and the blocks below them; writing replaces or inserts whole lines and takes the
file's own line end for them. Nothing is ever laid out anew: what was not understood is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from surefoot.core.errors import Invalid

_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
_FIELD = re.compile(r"(?P<key>[a-z][a-z_-]*)[ \t]*:[ \t]*(?P<value>.*?)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BOM = "\ufeff"
MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A heading and what is below it: lines `start` (the heading) to `end` (exclusive), counted from 0."""

    level: int
    title: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A file's name and its lines, each with its own end; the last one may have none."""

    name: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Give the whole text, byte for byte as it was read but for what was changed on purpose."""
        return "".join(self.lines)

    @property
    def newline(self) -> str:
        """Give the line end that this file uses; the first one decides."""
        return next((end for line in self.lines if (end := _end(line))), "\n")

    def bare(self, at: int) -> str:
        """Give a line without its end."""
        line = self.lines[at]
        return line[: len(line) - len(_end(line))]

    def replaced(self, at: int, text: str) -> Paper:
        """Give the paper with one line's text replaced; its line end stays."""
        changed = text + _end(self.lines[at])
        return Paper(name=self.name, lines=(*self.lines[:at], changed, *self.lines[at + 1 :]))

    def inserted(self, at: int, texts: Iterable[str]) -> Paper:
        """Give the paper with lines put in before line `at` (its length: at the end)."""
        head, tail = list(self.lines[:at]), self.lines[at:]
        fresh = [line + self.newline for line in texts]
        if head and not _end(head[-1]) and fresh:  # the last line had no end: it gets one, and the new last line none
            head[-1] += self.newline
            fresh[-1] = fresh[-1][: -len(self.newline)]
        return Paper(name=self.name, lines=(*head, *fresh, *tail))

    def without(self, start: int, end: int) -> Paper:
        """Give the paper without lines `start` to `end` (exclusive)."""
        return Paper(name=self.name, lines=(*self.lines[:start], *self.lines[end:]))

    def wrong(self, at: int, what: str, hint: str) -> Invalid:
        """Give the error that names this file and a line (counted from 0 here, from 1 for people)."""
        return Invalid(f"{self.name}, line {at + 1}: {what}", hint=hint)


def paper(name: str, text: str) -> Paper:
    """Read a text as a paper; Invalid when it is too large or holds a NUL character."""
    if len(text) > MOST_BYTES:
        raise Invalid(f"{name} is too large ({len(text):,} characters)", hint="move what is done to another file")
    if "\x00" in text:
        at = text[: text.index("\x00")].count("\n") + 1
        raise Invalid(f"{name}, line {at}: it holds a NUL character", hint="save it as UTF-8 text")
    pieces = re.split(r"(?<=\n)", text)
    return Paper(name=name, lines=tuple(piece for piece in pieces if piece))


def decoded(name: str, content: bytes) -> str:
    """Give the text of a file; Invalid names the line that is no UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        at = content[: error.start].count(b"\n") + 1
        raise Invalid(f"{name}, line {at}: not UTF-8 text", hint="save the file as UTF-8") from None


def _end(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else "\n" if line.endswith("\n") else ""


def front(source: Paper) -> dict[str, tuple[str, int]]:
    """Give the front matter as key → (value, line); Invalid when it is missing, unclosed, or says a key twice."""
    if not source.lines or source.bare(0).removeprefix(_BOM).rstrip() != "---":
        raise source.wrong(0, "the front matter is missing", "begin the file with ---, version: v001 and --- again")
    found: dict[str, tuple[str, int]] = {}
    for at in range(1, len(source.lines)):
        line = source.bare(at)
        if line.rstrip() == "---":
            return found
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            raise source.wrong(at, f"{line.strip()[:60]!r} is no key: value", "write it as key: value, or remove it")
        if match["key"] in found:
            raise source.wrong(at, f"{match['key']} is said twice", "keep one of the two lines")
        found[match["key"]] = (match["value"], at)
    raise source.wrong(0, "the front matter is not closed", "end it with a line that is only ---")


def body_start(source: Paper) -> int:
    """Give the line after the front matter; 0 when there is none."""
    if not source.lines or source.bare(0).removeprefix(_BOM).rstrip() != "---":
        return 0
    closed = (at for at in range(1, len(source.lines)) if source.bare(at).rstrip() == "---")
    return next(closed, -1) + 1


def blocks(source: Paper, level: int) -> tuple[Block, ...]:
    """Give the blocks under the headings of one level, each up to the next heading that is not below it."""
    heads = [(at, depth, title) for at, depth, title in _headings(source) if depth <= level]
    found: list[Block] = []
    for here, (at, depth, title) in enumerate(heads):
        if depth == level:
            end = heads[here + 1][0] if here + 1 < len(heads) else len(source.lines)
            found.append(Block(level=level, title=title, start=at, end=end))
    return tuple(found)


def _headings(source: Paper) -> list[tuple[int, int, str]]:
    return [
        (at, len(found[1]), found[2].strip()) for at in plain(source) if (found := _HEADING.fullmatch(source.bare(at)))
    ]


def plain(source: Paper) -> list[int]:
    """Give the lines of the body that are neither in a code fence nor in a comment."""
    fence, comment, found = "", False, list[int]()
    for at in range(body_start(source), len(source.lines)):
        line = source.bare(at)
        if fence:
            closing = _FENCE.match(line)
            fence = "" if closing and closing[1].startswith(fence) and not line.strip().strip(fence[0]) else fence
        elif comment:
            comment = "-->" not in line
        elif opening := _FENCE.match(line):
            fence = opening[1]
        elif line.lstrip().startswith("<!--"):
            comment = "-->" not in line
        else:
            found.append(at)
    return found


def last_text(source: Paper, block: Block) -> int:
    """Give the line after the last one of a block that is not blank: where something can be added."""
    at = block.end
    while at > block.start + 1 and not source.bare(at - 1).strip():
        at -= 1
    return at


def one_line(text: str, limit: int) -> str:
    """Give a text from outside as one line that means nothing in Markdown: no line end, no comment, cut to `limit`."""
    plain_text = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(plain_text.replace("<!--", "<! --").replace("```", "'''").split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
