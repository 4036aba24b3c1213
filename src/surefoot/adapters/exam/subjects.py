"""Who is examined: a version of an agent, a command of the operator, or what was recorded elsewhere.

Each turns whatever prevents an answer into an `Observed` that is not whole; nothing is raised for one case.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from surefoot.adapters.exam.outside import ended_group, started
from surefoot.core.digest import digest
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.exam.observed import Observed, call_from
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.proposal import Cost
from surefoot.ports import Model, Question

Asked = Callable[[SuiteCase], Question]


class ModelSubject:
    """A version of an agent on a model; `question` gives what it is asked in a case."""

    def __init__(self, model: Model, question: Asked, *, name: str, pin: str, authors: Sequence[str] = ()) -> None:
        self._model, self._question = model, question
        self.name, self.digest = name, digest([model.name, pin])[:16]
        self.authors = frozenset(authors)

    @property
    def provider(self) -> str:
        """Whose limits its calls count against."""
        return self._model.name

    def price(self, case: SuiteCase, epoch: int) -> Cost:
        """Give the most that one answer can cost."""
        return self._model.price(self._question(case))

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        """Ask the model."""
        try:
            said = await self._model.answer(self._question(case))
        except (Unavailable, Invalid) as problem:
            cost = getattr(problem, "cost", Cost(calls=1))
            return Observed(output="", finish="error", problem=problem.message, cost=cost)
        return Observed(
            output=said.text, finish=said.finish, calls=said.calls, cost=said.cost, latency_s=said.latency_s
        )  # fmt: skip


class CommandSubject:
    """A program of the operator: the case as JSON on its standard input, `{output, tool_calls}` on its output.

    Its environment is the operator's own, since it is their agent. Its cost is known only if it says so.
    """

    provider = "command"
    authors: frozenset[str] = frozenset()

    def __init__(self, words: Sequence[str], folder: str, *, most: Cost | None = None) -> None:
        self._words, self._folder = list(words), folder
        self._most = most or Cost(calls=1)
        self.name, self.digest = f"command {words[0]}", digest(["command", list(words)])[:16]

    def price(self, case: SuiteCase, epoch: int) -> Cost:
        """Give one call; what it spends is its own affair."""
        return self._most

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        """Run the program once."""
        given = json.dumps({"id": case.id, "epoch": epoch, "input": case.document()["input"]})
        before = time.monotonic()
        process = await started(self._words, self._folder, dict(os.environ))
        if isinstance(process, str):
            return Observed(output="", finish="error", problem=process)
        try:
            out, err = await process.communicate(given.encode())
        finally:
            await ended_group(process)
        if process.returncode:
            last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
            return Observed(output="", finish="error", problem=f"it ended with {process.returncode}: {last[0][:200]}")
        return _replied(out.decode("utf-8", "replace"), time.monotonic() - before)


def _replied(out: str, latency_s: float) -> Observed:
    try:
        row: object = json.loads(out)
        if not isinstance(row, dict):
            raise Invalid("it is no object")
        return observed_from(cast("dict[str, object]", row), "the reply", latency_s=latency_s)
    except (ValueError, Invalid) as problem:
        return Observed(output="", finish="error", problem=f"its reply cannot be read: {problem}")


def observed_from(row: Mapping[str, object], place: str, *, latency_s: float | None = None) -> Observed:
    """Read an answer from JSON: `output`, and if known `tool_calls`, `finish`, `cost_usd`, tokens and `latency_s`."""
    output, calls = row.get("output", ""), row.get("tool_calls", [])
    finish = row.get("finish", "stop")
    if finish not in ("stop", "length", "truncated", "refused", "error") or not isinstance(calls, list):
        raise Invalid(f"{place}: finish or tool_calls make no sense", hint="finish: stop, and a list of calls")
    spent = [row.get(name) for name in ("tokens_in", "tokens_out", "cost_usd")]
    known = any(isinstance(value, int | float) for value in spent)
    tokens, usd = int(_number(spent[0]) + _number(spent[1])), _number(spent[2])
    late = row.get("latency_s", latency_s)
    return Observed(
        output=output if isinstance(output, str) else json.dumps(output, ensure_ascii=False), finish=finish,
        calls=tuple(call_from(_pair(one), place) for one in cast("list[object]", calls)),
        cost=Cost(calls=1, tokens=tokens, usd=usd) if known else None,
        latency_s=float(late) if isinstance(late, int | float) else None,
    )  # fmt: skip


def _pair(one: object) -> object:
    """Read the short form [name, arguments], as recordings have it."""
    pair = cast("list[object]", one) if isinstance(one, list) else []
    if len(pair) != 2:
        return cast("object", one)
    name, args = pair
    if not isinstance(args, str):
        return {"name": name, "args": args}
    try:
        return {"name": name, "args": json.loads(args)}
    except ValueError:  # what the agent wrote is no JSON: it called, with nothing that can be compared
        return {"name": name}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else 0.0


class RecordedSubject:
    """Answers that were given elsewhere, by case and epoch; what was not recorded has no answer."""

    provider = "recorded"
    authors: frozenset[str] = frozenset()

    def __init__(self, recorded: Mapping[str, Sequence[Observed]], *, name: str) -> None:
        self._recorded = recorded
        self.name = name
        pins = {
            case: [[one.output, [c.document() for c in one.calls]] for one in all_] for case, all_ in recorded.items()
        }
        self.digest = digest(["recorded", pins])[:16]

    def price(self, case: SuiteCase, epoch: int) -> Cost:
        """Give nothing: it was paid for elsewhere."""
        return Cost()

    async def answer(self, case: SuiteCase, epoch: int) -> Observed:
        """Repeat what was recorded."""
        await asyncio.sleep(0)
        trials = self._recorded.get(case.id, ())
        if epoch >= len(trials):
            return Observed(output="", finish="error", problem=f"trial {epoch + 1} of {case.id!r} was not recorded")
        return trials[epoch]
