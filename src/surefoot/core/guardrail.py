"""What no proposal may do, judged before anything is run.

In this order: each edit is small enough and suits its target; its text carries nothing that smells of injection and
works against no guardrail; it names no unknown tool and quotes no held-out case; the locked bytes stay equal; there
is room for what it adds; drift from the *base* stays within its budget. Deterministic, and it fails closed: what
matches is refused, with a code and one sentence, and the rest goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from surefoot.core.case import words
from surefoot.core.digest import canonical
from surefoot.core.edit import Edit, apply_edits
from surefoot.core.errors import SurefootError
from surefoot.core.figure import percent
from surefoot.core.genome import Block, BlockKind, Genome
from surefoot.core.injection import fold, smell
from surefoot.core.weakening import contradiction

__all__ = ["Bounds", "Judgement", "Refusal", "contradiction", "drift", "judge", "least_valuable", "ngrams"]

NGRAM_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The room a genome has; `drift` is the share of the base's editable bytes that may be replaced or removed."""

    active_rules: int = 20
    examples: int = 20
    tools: int = 10
    rule_chars: int = 2000
    drift: float = 0.25
    edits: int = 5
    forbidden_tools: tuple[str, ...] = ()
    sections: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An edit that may not be made: a stable code and one sentence for people."""

    edit: Edit
    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The edits that may be tested, those that may not, the blocks evicted to make room, and the drift after them.

    `genome` is the current one with `allowed` and then `evictions` applied.
    """

    allowed: tuple[Edit, ...]
    refusals: tuple[Refusal, ...]
    evicted: tuple[str, ...]
    drift: float
    genome: Genome
    evictions: tuple[Edit, ...] = field(default=())


_TOOL_NAMED = re.compile(
    r"\b(?:tools?|functions?) [`'\"]([a-z][\w.-]{0,63})[`'\"]|[`'\"]([a-z][\w.-]{0,63})[`'\"] (?:tool|function)\b|"
    r"\b(?:call|invoke|run|execute)(?:s|ing)? (?:the )?(?:tool |function )?[`'\"]?([a-z]\w{0,63}_\w{1,63})\b|"
    r"\b([a-z]\w{0,63}_\w{1,63})\("
)


def ngrams(text: str) -> frozenset[str]:
    """Give the word 8-grams of a text; what quotes a held-out case shares at least one with it.

    A text of fewer words is one gram of its own, so that quoting a short case as a whole is noticed too.
    """
    tokens = words(text)
    if len(tokens) <= NGRAM_WORDS:
        return frozenset([" ".join(tokens)] if tokens else [])
    return frozenset(" ".join(tokens[i : i + NGRAM_WORDS]) for i in range(len(tokens) - NGRAM_WORDS + 1))


def drift(base: Genome, genome: Genome) -> float:
    """Give the share of the base's editable bytes that `genome` replaced or removed; additions do not count."""
    editable = [block for block in base.blocks if not block.locked]
    total = sum(_size(block) for block in editable)
    now = {block.id: block for block in genome.blocks}
    lost = sum(_size(block) - _kept(block, now.get(block.id)) for block in editable)
    return lost / total if total else 0.0


def _size(block: Block) -> int:
    return len((block.text + block.answer).encode())


def _kept(before: Block, after: Block | None) -> int:
    """Bytes of `before` that survive in `after`: its longest common prefix and suffix."""
    if after is None:
        return 0
    old, new = (before.text + before.answer).encode(), (after.text + after.answer).encode()
    room = min(len(old), len(new))
    head = next((i for i in range(room) if old[i] != new[i]), room)
    tail = next((i for i in range(room - head) if old[-1 - i] != new[-1 - i]), room - head)
    return head + tail


def judge(
    base: Genome, current: Genome, edits: Sequence[Edit], bounds: Bounds, *, held_out: frozenset[str] = frozenset(),
    worths: Mapping[str, float] | None = None,
) -> Judgement:  # fmt: skip
    """Give what of `edits` may be tested on `current`, and the genome that results.

    `held_out` are the 8-grams of all cases the improver must not have seen, `worths` what blocks measurably buy by
    id (`core.attribution`). Over the cap of active rules or examples
    the least valuable unpinned one is evicted and named, never one of this proposal; where none can go, the edit is
    refused. Edits past `bounds.edits` are refused in order.
    """
    genome, allowed, refusals, evictions = current, list[Edit](), list[Refusal](), list[Edit]()
    for edit in edits:
        if len(allowed) >= bounds.edits:
            refusals.append(_refused(edit, "too-many-edits", f"a proposal may hold {bounds.edits} edits"))
            continue
        if edit.target in {gone.target for gone in evictions}:
            refusals.append(_refused(edit, "evicted", "that block just made room for another edit"))
            continue
        refusal = _unfit(edit, bounds) or _unsafe(edit) or _leak(edit, held_out)
        keep = {one.target for one in (*allowed, edit)}
        outcome = refusal or _tried(base, genome, edit, bounds, keep=keep, worths=worths or {})
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
            continue
        allowed.append(edit)
        genome, gone = outcome
        evictions += gone
    return Judgement(
        allowed=tuple(allowed), refusals=tuple(refusals), evicted=tuple(edit.target for edit in evictions),
        drift=drift(base, genome), genome=genome, evictions=tuple(evictions),
    )  # fmt: skip


def _unfit(edit: Edit, bounds: Bounds) -> Refusal | None:
    length = len(edit.text) + len(edit.answer)
    if length > bounds.rule_chars:
        return _refused(edit, "too-long", f"it has {length} characters, {bounds.rule_chars} are allowed")
    if edit.kind in ("add_tool", "edit_tool") and edit.target in bounds.forbidden_tools:
        return _refused(edit, "forbidden-tool", f"the tool {edit.target!r} is forbidden by policy")
    if edit.kind == "set_param" and not _is_json(edit.text):
        return _refused(edit, "not-json", "a parameter's value is written in JSON")
    return None


def _unsafe(edit: Edit) -> Refusal | None:
    quoted = edit.kind == "add_example"
    for text in (edit.text, edit.answer):
        if found := smell(text, quoted=quoted):
            return _refused(edit, *found)
        if not quoted and (why := contradiction(text)):
            return _refused(edit, "contradicts-guardrail", why)
    return None


def _leak(edit: Edit, held_out: frozenset[str]) -> Refusal | None:
    # A short answer is a label, a short name a name: they say nothing even where a case consists of the same word.
    beside = (edit.answer, edit.target, *(part for pair in edit.applies_to for part in pair))
    quoted = ngrams(edit.text).union(*(ngrams(text) for text in beside if len(words(text)) >= NGRAM_WORDS))
    if quoted & held_out:
        return _refused(edit, "leaks-held-out", "it quotes a held-out case")
    return None


def _tried(
    base: Genome, genome: Genome, edit: Edit, bounds: Bounds, *, keep: Collection[str], worths: Mapping[str, float]
) -> tuple[Genome, list[Edit]] | Refusal:
    """Give the genome with this edit and the retirements that made room for it, or why not."""
    try:
        after = apply_edits(genome, [edit])
    except SurefootError as error:
        return _refused(edit, f"edit-{error.code}", error.message)
    if edit.kind == "retire" and genome.block(edit.target).pinned:
        return _refused(edit, "pinned", "somebody pinned that block")
    if edit.kind != "add_example" and (unknown := _unknown_tool(edit.text, after)):
        return _refused(edit, "unknown-tool", f"it names the tool {unknown!r}, which the agent does not have")
    room = _with_room(after, edit, bounds, keep, worths)
    if isinstance(room, Refusal):
        return room
    if room[0].locked_digest != base.locked_digest:
        return _refused(edit, "locked-bytes", "it changes bytes that are locked")
    # After the evictions, since these may retire what the base brought.
    if (far := drift(base, room[0])) > bounds.drift:
        said = f"with it {percent(far, 0)} of the base would be gone, {percent(bounds.drift, 0)} may be"
        return _refused(edit, "drift", said)
    return room


def _with_room(
    after: Genome, edit: Edit, bounds: Bounds, keep: Collection[str], worths: Mapping[str, float]
) -> tuple[Genome, list[Edit]] | Refusal:
    caps: dict[BlockKind, int] = {
        "rule": bounds.active_rules, "example": bounds.examples, "tool": bounds.tools, "section": bounds.sections,
    }  # fmt: skip
    kind, gone = after.block(edit.target).kind if after.has(edit.target) else "memory", list[Edit]()
    if not edit.kind.startswith("add") or kind not in caps:
        return after, gone
    while len(active := after.of_kind(kind)) > caps[kind]:
        free = [block for block in active if block.id not in keep and kind in ("rule", "example")]
        victim = least_valuable(free, worths=worths)
        if victim is None:
            return _refused(edit, f"too-many-{kind}s", f"an agent may hold {caps[kind]} of kind {kind}")
        gone.append(Edit(kind="retire", target=victim.id))
        after = apply_edits(after, gone[-1:])
    return after, gone


def _unknown_tool(text: str, genome: Genome) -> str:
    known = {block.id for block in genome.of_kind("tool")}
    found = (next(filter(None, match.groups())) for match in _TOOL_NAMED.finditer(fold(text)))
    return next((name for name in found if name not in known), "")


def _is_json(text: str) -> bool:
    try:
        canonical(json.loads(text))
    except ValueError:
        return False
    return True


def _refused(edit: Edit, code: str, sentence: str) -> Refusal:
    return Refusal(edit=edit, code=code, sentence=f"the edit {edit.kind} on {edit.target!r} is refused: {sentence}")


def least_valuable(
    blocks: Iterable[Block], *, keep: str = "", worths: Mapping[str, float] | None = None
) -> Block | None:
    """Give the block to evict: unpinned, unlocked, of the lowest measured worth; unmeasured ones are worth 0.

    `worths` by id go before what a block says of itself.
    """
    known = worths or {}
    free = [block for block in blocks if not block.pinned and not block.locked and block.id != keep]
    return min(
        free, default=None,
        key=lambda one: (known.get(one.id, one.worth or 0.0), len(one.learned_at), one.learned_at, one.id),
    )  # fmt: skip
