"""Strategy: `genome.md`, what the loop is for and where it stands.

The strategy is mission, focus and next: when one of them changes in meaning (white space does not count), the version
goes from v001 to v002, once. What is proven is state: it grows with every lever that shipped, and bumps nothing. The
front matter carries the version and the digest of the strategy it was given to, so that an edit by a person is seen at
the next tick, whoever made it and whenever (S0-01 to S0-03).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from surefoot.core.digest import digest
from surefoot.core.repo.paper import Block, Paper, blocks, front, last_text, one_line

FILE = "genome.md"
SECTIONS = ("Mission", "Focus", "Proven", "Next")
STRATEGIC = ("Mission", "Focus", "Next")
_VERSION = re.compile(r"v(\d{3,})")
_MARK = 12
PROVEN_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """What `genome.md` says: its version number, the texts of its sections, and the digest it was last versioned at."""

    version: int
    mission: str
    focus: str
    proven: str
    next: str
    marked: str = ""

    @property
    def name(self) -> str:
        """Give the version as people write it, such as v001."""
        return f"v{self.version:03d}"

    @property
    def digest(self) -> str:
        """Give the first characters of the digest of what makes the strategy; white space does not count."""
        return digest([_flat(self.mission), _flat(self.focus), _flat(self.next)])[:_MARK]

    @property
    def moved(self) -> bool:
        """Tell whether the strategy is another one than the version was given to."""
        return bool(self.marked) and self.marked != self.digest


def _flat(text: str) -> str:
    return " ".join(text.split())


def strategy(source: Paper) -> Strategy:
    """Read `genome.md`; Invalid names file, line and what to do."""
    fields = front(source)
    value, at = fields.get("version", ("", 0))
    number = _VERSION.fullmatch(value)
    if number is None or int(number[1]) < 1:
        said = f"the version is {value!r}" if value else "the version is missing"
        raise source.wrong(at, said, "write version: v001 into the front matter")
    found = {name: _section(source, name) for name in SECTIONS}
    texts = {name: _prose(source, block) for name, block in found.items()}
    if not texts["Mission"]:
        raise source.wrong(found["Mission"].start, "the mission is empty", "say in a sentence what this is to become")
    return Strategy(
        version=int(number[1]), mission=texts["Mission"], focus=texts["Focus"], proven=texts["Proven"],
        next=texts["Next"], marked=fields.get("strategy", ("", 0))[0],
    )  # fmt: skip


def _section(source: Paper, name: str) -> Block:
    named = [block for block in blocks(source, 2) if block.title.casefold() == name.casefold()]
    if not named:
        raise source.wrong(max(0, len(source.lines) - 1), f"there is no section ## {name}", f"add a line: ## {name}")
    if len(named) > 1:
        raise source.wrong(named[1].start, f"a second section ## {name}", "keep one of the two")
    return named[0]


def _prose(source: Paper, block: Block) -> str:
    return "".join(source.lines[block.start + 1 : block.end]).replace("\r\n", "\n").strip()


def marked(source: Paper) -> tuple[Paper, bool]:
    """Give the paper with its version in step with its strategy, and whether the version went up.

    A file that was never marked keeps its version and is marked; one that is in step is given back as it is.
    """
    now = strategy(source)
    if now.marked == now.digest:
        return source, False
    fields = front(source)
    changed = source
    if now.moved:
        changed = changed.replaced(fields["version"][1], f"version: v{now.version + 1:03d}")
    if "strategy" in fields:
        return changed.replaced(fields["strategy"][1], f"strategy: {now.digest}"), now.moved
    return changed.inserted(fields["version"][1] + 1, [f"strategy: {now.digest}"]), now.moved


def proved(source: Paper, sentence: str) -> Paper:
    """Give the paper with one more line under Proven; the same sentence is not said twice."""
    return _added(source, "Proven", f"- {one_line(sentence, PROVEN_CHARS)}")


def refocused(source: Paper, *, focus: str = "", following: str = "") -> Paper:
    """Give the paper with a new focus, or a new line under Next: a change of strategy, to be marked afterwards.

    The old focus is not lost: git, the store and the record keep the version before.
    """
    changed = source
    if focus.strip():
        block = _section(changed, "Focus")
        fresh = ["", one_line(focus, PROVEN_CHARS)]
        changed = changed.without(block.start + 1, last_text(changed, block)).inserted(block.start + 1, fresh)
    return _added(changed, "Next", f"- {one_line(following, PROVEN_CHARS)}") if following.strip() else changed


def _added(source: Paper, section: str, line: str) -> Paper:
    block = _section(source, section)
    if line in (source.bare(at) for at in range(block.start, block.end)):
        return source
    at = last_text(source, block)
    gap = [""] if at == block.start + 1 else []
    return source.inserted(at, [*gap, line])
