"""A genome: all that may change in an agent, as blocks with ids.

Each block is `locked` or `editable`. The locked ones are bytes that no edit can touch; `locked_digest` names them,
and is compared before anything else is looked at. `render` gives the system prompt in one fixed order (locked
sections, editable sections, tools, rules, examples), so that equal genomes always speak equal words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any, Literal, cast, get_args

from surefoot.core.digest import digest
from surefoot.core.errors import Invalid, NotFound

BlockKind = Literal["section", "rule", "example", "tool", "param", "memory"]
BLOCK_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SURROGATE = re.compile("[\ud800-\udfff]")
Predicate = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One named piece of a genome.

    `text` is the section, the rule, the example's input, the tool's description or the parameter's JSON value;
    `answer` is an example's output. `applies_to` limits a rule to requests whose slices match all its pairs.
    `worth` is what the block measurably bought (share of its cluster's cases), None while unmeasured.
    """

    id: str
    kind: BlockKind
    text: str
    answer: str = ""
    locked: bool = False
    pinned: bool = False
    applies_to: Predicate = ()
    evidence: tuple[str, ...] = ()
    learned_at: str = ""
    worth: float | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise Invalid(
                f"block id {self.id!r} is not usable",
                hint="use 1 to 64 lower-case letters, digits, '_', '-' or '.', starting with a letter or digit",
            )
        if self.kind not in BLOCK_KINDS:
            raise Invalid(f"block {self.id!r} has the unknown kind {self.kind!r}", hint=f"use one of {BLOCK_KINDS}")
        pairs = (part for pair in self.applies_to for part in pair)
        if any(_SURROGATE.search(text) for text in (self.text, self.answer, self.learned_at, *self.evidence, *pairs)):
            raise Invalid(f"block {self.id!r} holds text that is not valid Unicode", hint="remove the lone surrogates")
        if self.worth is not None and not isfinite(self.worth):
            raise Invalid(f"block {self.id!r} has the worth {self.worth}", hint="use a finite number, or leave it out")

    def applies(self, slices: Mapping[str, str]) -> bool:
        """Say whether a request with these slices gets this block."""
        return all(slices.get(name) == value for name, value in self.applies_to)

    def document(self) -> dict[str, object]:
        """Give the JSON form, leaving out what has its default."""
        full: dict[str, object] = {"id": self.id, "kind": self.kind, "text": self.text}
        rest: dict[str, object] = {
            "answer": self.answer,
            "locked": self.locked,
            "pinned": self.pinned,
            "applies_to": [list(pair) for pair in self.applies_to],
            "evidence": list(self.evidence),
            "learned_at": self.learned_at,
        }
        full |= {name: value for name, value in rest.items() if value}
        # 1 and 1.0, 0.0 and -0.0 are equal blocks, so they need equal texts.
        return full if self.worth is None else full | {"worth": float(self.worth) + 0.0}

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Block:
        """Read `document()` back; Invalid names the field that is missing, unknown or of the wrong type."""
        for name in document:
            if name not in _FIELDS:
                raise Invalid(f"a block has the unknown field {name!r}", hint=f"known fields: {', '.join(_FIELDS)}")
        for name in ("id", "kind", "text"):
            if name not in document:
                raise Invalid(f"a block lacks the field {name!r}", hint="every block has id, kind and text")
        values = dict(document)
        for name, value in values.items():
            wanted, fits = _FIELDS[name]
            if not fits(value):
                raise Invalid(f"the field {name!r} of block {values['id']!r} is {value!r}", hint=f"it must be {wanted}")
        values["applies_to"] = tuple((name, value) for name, value in cast("_Pairs", values.get("applies_to", ())))
        values["evidence"] = tuple(cast("Sequence[str]", values.get("evidence", ())))
        return cls(**cast("dict[str, Any]", values))


_Pairs = Sequence[Sequence[str]]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in cast("Sequence[object]", value))


def _is_pairs(value: object) -> bool:
    if not isinstance(value, list | tuple):
        return False
    items = cast("Sequence[object]", value)
    return all(_is_texts(item) and len(cast("Sequence[str]", item)) == 2 for item in items)


_FIELDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "id": ("a text", _is_text),
    "kind": ("a text", _is_text),
    "text": ("a text", _is_text),
    "answer": ("a text", _is_text),
    "locked": ("true or false", _is_truth),
    "pinned": ("true or false", _is_truth),
    "applies_to": ("a list of [slice, value] pairs", _is_pairs),
    "evidence": ("a list of texts", _is_texts),
    "learned_at": ("a text", _is_text),
    "worth": ("a number", _is_number),
}


@dataclass(frozen=True, slots=True)
class Genome:
    """An ordered set of blocks with unique ids; equal blocks in equal order are the same genome."""

    blocks: tuple[Block, ...] = field(default=())

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for block in self.blocks:
            if block.id in seen:
                raise Invalid(f"two blocks have the id {block.id!r}", hint="give each block an id of its own")
            seen.add(block.id)

    @property
    def digest(self) -> str:
        """The content address: SHA-256 of all blocks."""
        return _digest(self.blocks)

    @property
    def locked_digest(self) -> str:
        """The address of the locked bytes alone, in their order."""
        return digest([block.document() for block in self.blocks if block.locked])

    def of_kind(self, kind: BlockKind) -> tuple[Block, ...]:
        """Give the blocks of one kind in their order."""
        return tuple(block for block in self.blocks if block.kind == kind)

    def has(self, block_id: str) -> bool:
        """Say whether a block has this id."""
        return any(block.id == block_id for block in self.blocks)

    def block(self, block_id: str) -> Block:
        """Give the block with this id; NotFound lists the ids there are."""
        for block in self.blocks:
            if block.id == block_id:
                return block
        raise NotFound(
            f"the genome has no block {block_id!r}", hint=f"it has {', '.join(b.id for b in self.blocks) or 'none'}"
        )

    def params(self) -> dict[str, str]:
        """Give the model parameters by id, as JSON texts."""
        return {block.id: block.text for block in self.of_kind("param")}

    def document(self) -> list[dict[str, object]]:
        """Give the JSON form."""
        return [block.document() for block in self.blocks]

    @classmethod
    def from_document(cls, document: Iterable[Mapping[str, object]]) -> Genome:
        """Read `document()` back."""
        return cls(tuple(Block.from_document(item) for item in document))


@lru_cache(maxsize=256)
def _digest(blocks: tuple[Block, ...]) -> str:
    return digest([block.document() for block in blocks])


def render(genome: Genome, slices: Mapping[str, str] | None = None) -> str:
    """Give the system prompt for a request with these slices (rules that do not apply to it are left out).

    A rule, tool or example stays inside its own bullet or line, however many lines its text has: what a learned text
    says can never look like a section or a list of its own.
    """
    here = slices or {}
    sections = genome.of_kind("section")
    parts = [block.text for block in sections if block.locked] + [block.text for block in sections if not block.locked]
    parts += _titled("Tools:", [_bullet(f"{block.id}: {block.text}") for block in genome.of_kind("tool")])
    parts += _titled("Rules:", [_bullet(block.text) for block in genome.of_kind("rule") if block.applies(here)])
    parts += _titled("Examples:", [_pair(block.text, block.answer) for block in genome.of_kind("example")])
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _titled(title: str, lines: list[str]) -> list[str]:
    return ["\n".join([title, *lines])] if lines else []


def _bullet(text: str) -> str:
    return "- " + "\n  ".join(line for line in text.splitlines() if line.strip())


def _pair(text: str, answer: str) -> str:
    quoted, reply = " ".join(text.replace('"', "'").split()), " ".join(answer.split())
    return f'"{quoted}" -> {reply}'
