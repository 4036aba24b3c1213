"""What an agent was seen to do on one case: its answer, the tools it called and how each call ended, cost and time.

Whether a call was carried out is a fact of its own. Only `clean` satisfies an expectation; what was refused, failed
or waits for somebody does not, and where the record does not say, nobody knows, which is no success either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from surefoot.core.errors import Invalid
from surefoot.core.proposal import Cost

CallState = Literal["clean", "refused", "errored", "paused", "unknown"]
Ending = Literal["stop", "length", "truncated", "refused", "error", "timeout"]

# What other formats call the states of a call.
_STATES: Mapping[str, CallState] = {
    "clean": "clean", "ok": "clean", "success": "clean", "succeeded": "clean", "completed": "clean", "done": "clean",
    "refused": "refused", "denied": "refused", "rejected": "refused", "blocked": "refused",
    "errored": "errored", "error": "errored", "failed": "errored", "failure": "errored",
    "paused": "paused", "pending": "paused", "waiting": "paused", "awaiting_approval": "paused",
    "unknown": "unknown",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a tool: its name, its arguments, how it ended, and what came back (as text)."""

    name: str
    args: Mapping[str, object] = field(default_factory=dict[str, object])
    state: CallState = "unknown"
    result: str = ""

    def document(self) -> dict[str, object]:
        """Give the JSON form."""
        return {"name": self.name, "args": dict(self.args), "state": self.state, "result": self.result}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One answer with its tool calls; `cost` and `latency_s` are None where nobody measured them."""

    output: str
    finish: Ending = "stop"
    calls: tuple[ToolCall, ...] = ()
    cost: Cost | None = None
    latency_s: float | None = None
    problem: str = ""

    @property
    def whole(self) -> bool:
        """Whether a complete answer came; a refusal is one."""
        return self.finish in ("stop", "refused")

    def transcript(self) -> str:
        """Give everything a judge may quote from: the calls with their results, and the answer."""
        lines = [f"[tool {call.name}: {call.state}] {call.args} {call.result}".rstrip() for call in self.calls]
        return "\n".join([*lines, self.output])


@dataclass(frozen=True, slots=True)
class Taken:
    """One answer of a run: which case and epoch, and what was observed."""

    case: str
    epoch: int
    observed: Observed


def call_from(document: object, place: str) -> ToolCall:
    """Read a call from JSON: a name, or an object with `name`, `args`, and `status`, `error` or `result`.

    An unknown status is Invalid; none at all is clean only where a result was recorded.
    """
    if isinstance(document, str) and document.strip():
        return ToolCall(name=document)
    if not isinstance(document, dict):
        raise Invalid(f"{place}: a tool call is no object", hint="write name, args and status")
    row = cast("dict[str, object]", document)
    name, args = row.get("name"), row.get("args", row.get("arguments", row.get("kwargs", {})))
    if not isinstance(name, str) or not name.strip() or not isinstance(args, dict):
        raise Invalid(f"{place}: a tool call needs a name, and args that are an object", hint="such as name: refund")
    result = row.get("result")
    return ToolCall(
        name=name, args=cast("dict[str, object]", args), state=_state(row, place),
        result="" if result is None else result if isinstance(result, str) else str(result),
    )  # fmt: skip


def _state(row: Mapping[str, object], place: str) -> CallState:
    said = row.get("status", row.get("state"))
    if said is not None:
        state = _STATES.get(str(said).lower())
        if state is None:
            raise Invalid(f"{place}: the status {said!r} of a call means nothing here",
                          hint="use ok, refused, error or paused")  # fmt: skip
        return "errored" if row.get("error") and state == "clean" else state
    if row.get("error") or row.get("is_error"):
        return "errored"
    return "clean" if "result" in row else "unknown"
