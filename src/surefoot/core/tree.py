"""A tree of spans: what belongs below what, from rows that came in any order.

A span whose parent is not there stands at the top, and one that names itself or a descendant as its parent does too:
what instrumented programs send is not always a tree, and nothing of it may get lost or go round for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from surefoot.core.span import Span

DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Branch:
    """A span with the spans below it, in the order in which they began."""

    span: Span
    below: tuple[Branch, ...] = ()


def tree(spans: Iterable[Span]) -> tuple[Branch, ...]:
    """Give the spans as trees, in the order in which they began; below `DEEPEST` steps they stand side by side."""
    listed = sorted(spans, key=lambda span: (span.started_ns, span.span_id))
    known = {span.span_id: span for span in listed}
    below: dict[str, list[Span]] = {}
    tops: list[Span] = []
    for span in listed:
        home = tops if _is_top(span, known) else below.setdefault(span.parent_id, [])
        home.append(span)
    return tuple(_branch(span, below, 1) for span in tops)


def _is_top(span: Span, known: dict[str, Span]) -> bool:
    """Whether it has no parent here, is deeper than trees go, or goes round in a circle."""
    seen, at = 0, span
    while (parent := known.get(at.parent_id)) is not None:
        seen, at = seen + 1, parent
        if parent is span or seen >= DEEPEST:
            return True
    return at is span


def _branch(span: Span, below: dict[str, list[Span]], depth: int) -> Branch:
    return Branch(span, tuple(_branch(one, below, depth + 1) for one in below.get(span.span_id, ())))
