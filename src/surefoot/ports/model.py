"""The door to a model: one question in, one answer out, and the price before it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from surefoot.core.exam.observed import ToolCall
from surefoot.core.proposal import Cost

Finish = Literal["stop", "length", "truncated", "refused", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to a model: the rendered genome, the user's text, and the genome's parameters (JSON texts)."""

    system: str
    user: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    case_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said; only `finish == "stop"` is a complete answer. `latency_s` is wall clock.

    `calls` are the tools it called, where the model is an agent that reports them.
    """

    text: str
    finish: Finish = "stop"
    cost: Cost = field(default_factory=Cost)
    latency_s: float = 0.0
    calls: tuple[ToolCall, ...] = ()


class Model(Protocol):
    """A model behind one door; `name` pins what answered (it is part of every cached score)."""

    @property
    def name(self) -> str: ...

    def price(self, question: Question) -> Cost:
        """Give the most that this question can cost, before it is asked."""
        ...

    async def answer(self, question: Question) -> Answer:
        """Answer, or raise Unavailable (try later) or Invalid (this question cannot be answered)."""
        ...
