"""Typed edits: the only way in which a genome changes.

An improver never hands over a new prompt. It hands over atomic edits, each with a target, a text, the gap it answers
and the evidence it cites; `apply_edits` carries them out or says which one cannot be, and why. A free rewrite is
turned into edits by `edits_between`, which drops the deletions that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, assert_never, cast, get_args

from surefoot.core.digest import digest
from surefoot.core.errors import Conflict, Forbidden, Invalid
from surefoot.core.genome import Block, BlockKind, Genome, Predicate

EditKind = Literal["add", "replace", "retire", "move", "set_param", "add_example", "add_tool", "edit_tool"]
EDIT_KINDS: tuple[EditKind, ...] = get_args(EditKind)
# Which edit may rewrite which block: a tool changed by `replace` would pass for a change of the prompt.
_REWRITES: dict[BlockKind, EditKind] = {"tool": "edit_tool", "param": "set_param"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One atomic change.

    `target` is the id of the block to add or change. `block_kind` says what `add` adds (a rule or a section).
    `replace` keeps the answer and the predicate where the edit names none. `after` is where `move` puts the block
    (an id; empty = first of all). `gap` names the cluster of failures that the edit answers and `evidence` the shown
    cases it cites.
    """

    kind: EditKind
    target: str
    text: str = ""
    answer: str = ""
    block_kind: Literal["rule", "section"] = "rule"
    applies_to: Predicate = ()
    after: str = ""
    gap: str = ""
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in EDIT_KINDS:
            raise Invalid(f"there is no edit {self.kind!r}", hint=f"use one of {', '.join(EDIT_KINDS)}")
        if self.block_kind not in ("rule", "section"):
            raise Invalid(f"add cannot add a {self.block_kind!r}", hint="it adds a rule or a section")

    @property
    def fingerprint(self) -> str:
        """What the edit does, without why: equal for two edits that would change the same thing in the same way.

        The id of an added rule, section or example is only a name, so it does not count.
        """
        named = {"add": self.block_kind, "add_example": ""}.get(self.kind, self.target)
        where = [list(pair) for pair in self.applies_to]
        return digest([self.kind, named, self.text, self.answer, where, self.after])[:16]

    def document(self) -> dict[str, object]:
        """Give the JSON form."""
        return {
            "kind": self.kind, "target": self.target, "text": self.text, "answer": self.answer,
            "block_kind": self.block_kind, "applies_to": [list(pair) for pair in self.applies_to],
            "after": self.after, "gap": self.gap, "evidence": list(self.evidence),
        }  # fmt: skip

    @classmethod
    def from_document(cls, document: dict[str, object]) -> Edit:
        """Read `document()` back; Invalid for what is not an edit (an improver may be somebody else's program)."""
        values = dict(document)
        if unknown := sorted(values.keys() - {field.name for field in fields(cls)}):
            raise Invalid(f"an edit has the unknown field {unknown[0]!r}", hint="see the reference of edits")
        try:
            pairs = cast("Iterable[tuple[str, str]]", values.pop("applies_to", ()))
            applies_to = tuple((_string(name), _string(value)) for name, value in pairs)
            evidence = tuple(_string(item) for item in cast("Iterable[object]", values.pop("evidence", ())))
            texts = cast("Any", {name: _string(value) for name, value in values.items()})
            return cls(**texts, applies_to=applies_to, evidence=evidence)
        except (TypeError, ValueError) as error:
            raise Invalid(f"an edit cannot be read: {error}", hint="see the reference of edits") from None


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def apply_edits(genome: Genome, edits: Iterable[Edit], *, learned_at: str = "") -> Genome:
    """Give the genome with all edits applied in order.

    Raises Forbidden for a locked target, NotFound for a missing one, Conflict for an id that is taken, Invalid for
    an edit that says nothing or does not suit its block. The input is never changed.
    """
    for edit in edits:
        genome = _apply(genome, edit, learned_at)
    return genome


def _apply(genome: Genome, edit: Edit, learned_at: str) -> Genome:
    match edit.kind:
        case "add":
            return _added(genome, edit, edit.block_kind, learned_at)
        case "add_example":
            return _added(genome, edit, "example", learned_at)
        case "add_tool":
            return _added(genome, edit, "tool", learned_at)
        case "replace" | "edit_tool":
            return _swapped(genome, _rewritten(genome, edit, learned_at))
        case "retire":
            gone = _editable(genome, edit)
            return Genome(tuple(block for block in genome.blocks if block.id != gone.id))
        case "move":
            return _moved(genome, _editable(genome, edit), edit.after)
        case "set_param":
            if not genome.has(edit.target):
                return _added(genome, edit, "param", learned_at)
            return _swapped(genome, _rewritten(genome, edit, learned_at))
        case _:
            assert_never(edit.kind)


def _text(edit: Edit) -> str:
    if not edit.text.strip():
        raise Invalid(f"the edit {edit.kind} on {edit.target!r} has no text", hint="say what the block shall be")
    return edit.text


def _added(genome: Genome, edit: Edit, kind: BlockKind, learned_at: str) -> Genome:
    if genome.has(edit.target):
        raise Conflict(f"the genome already has a block {edit.target!r}", hint="use a new id, or replace the block")
    block = Block(
        id=edit.target, kind=kind, text=_text(edit), answer=edit.answer, applies_to=edit.applies_to,
        evidence=edit.evidence, learned_at=learned_at,
    )  # fmt: skip
    return Genome((*genome.blocks, block))


def _editable(genome: Genome, edit: Edit) -> Block:
    block = genome.block(edit.target)
    if block.locked:
        raise Forbidden(
            f"block {block.id!r} is locked, so {edit.kind} cannot touch it",
            hint="only a person can unlock it, in a new base genome",
        )
    return block


def _rewritten(genome: Genome, edit: Edit, learned_at: str) -> Block:
    block = _editable(genome, edit)
    if edit.kind != (wanted := _REWRITES.get(block.kind, "replace")):
        raise Invalid(f"block {block.id!r} is a {block.kind}, so {edit.kind} cannot rewrite it", hint=f"use {wanted}")
    # What the old text was worth says nothing about the new one.
    return replace(
        block, text=_text(edit), answer=edit.answer or block.answer, applies_to=edit.applies_to or block.applies_to,
        evidence=edit.evidence, learned_at=learned_at or block.learned_at, worth=None,
    )  # fmt: skip


def _swapped(genome: Genome, new: Block) -> Genome:
    return Genome(tuple(new if block.id == new.id else block for block in genome.blocks))


def _moved(genome: Genome, block: Block, after: str) -> Genome:
    rest = [other for other in genome.blocks if other.id != block.id]
    at = 0 if not after else rest.index(genome.block(after)) + 1 if after != block.id else genome.blocks.index(block)
    return Genome((*rest[:at], block, *rest[at:]))


def edits_between(before: Genome, after: Genome, *, may_retire: Collection[str] = ()) -> tuple[Edit, ...]:
    """Turn a free rewrite into edits: additions, replacements, and only the deletions named in `may_retire`.

    Rewrites by a model tend to lose what they do not talk about (context collapse), so a block that is missing or
    empty in `after` stays, and so does an answer or a predicate that it left out. Order, notes and memory blocks are
    not a rewrite's business. Changes to locked blocks become edits too; applying them is refused.
    """
    told = {block.id: block for block in after.blocks if block.text.strip()}
    added = [_addition(block) for name, block in told.items() if not before.has(name) and block.kind != "memory"]
    changed = [
        Edit(
            kind=_REWRITES.get(was.kind, "replace"), target=was.id, text=now.text, answer=now.answer,
            applies_to=now.applies_to, evidence=now.evidence,
        )
        for was in before.blocks
        if (now := told.get(was.id)) and _differs(was, now)
    ]  # fmt: skip
    gone = [block.id for block in before.blocks if block.id not in told and block.id in may_retire]
    return (*added, *changed, *(Edit(kind="retire", target=block_id) for block_id in gone))


def _differs(was: Block, now: Block) -> bool:
    answer, applies_to = now.answer or was.answer, now.applies_to or was.applies_to
    return (was.text, was.answer, was.applies_to) != (now.text, answer, applies_to)


def _addition(block: Block) -> Edit:
    kinds: dict[BlockKind, EditKind] = {"example": "add_example", "tool": "add_tool", "param": "set_param"}
    return Edit(
        kind=kinds.get(block.kind, "add"), target=block.id, text=block.text, answer=block.answer,
        block_kind="section" if block.kind == "section" else "rule", applies_to=block.applies_to,
        evidence=block.evidence,
    )  # fmt: skip
