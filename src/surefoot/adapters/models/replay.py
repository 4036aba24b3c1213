"""`replay`: answers with what was recorded, one outcome per case and variant, at the recorded cost and latency.

The variant is the genome's parameter `variant`, the case is the question's `case_id`; the texts of prompt and message
are not looked at. A pair that was never recorded has no answer, and none is made up. Recordings are JSON Lines (plain
or `.gz`) with `case_id`, `variant`, and `output` or `success`; where only `success` is known, the answer is the word
`success` or `failure`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.proposal import Cost
from surefoot.ports import Answer, Question

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What one variant once answered in one case; `success` is None where nobody judged it."""

    output: str
    success: bool | None = None
    tokens: int = 0
    usd: float = 0.0
    latency_s: float = 0.0

    @property
    def cost(self) -> Cost:
        """What it cost when it was recorded."""
        return Cost(calls=1, tokens=self.tokens, usd=self.usd)


class Replay:
    """A model that can only repeat itself; `recordings` maps (variant, case id) to what happened."""

    name = "replay"

    def __init__(self, recordings: Mapping[Key, Recording]) -> None:
        self._recordings = dict(recordings)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants there are recordings of."""
        return tuple(sorted({variant for variant, _ in self._recordings}))

    def price(self, question: Question) -> Cost:
        """Give the recorded cost, or nothing where `answer` will refuse."""
        recording = self._recordings.get(_key(question))
        return recording.cost if recording else Cost()

    async def answer(self, question: Question) -> Answer:
        """Repeat the recorded answer; Unavailable if this variant was never recorded on this case."""
        variant, case_id = _key(question)
        recording = self._recordings.get((variant, case_id))
        if recording is None:
            known = ", ".join(self.variants) or "none"
            raise Unavailable(
                f"there is no recording of variant {variant!r} on case {case_id!r}",
                hint=f"set the parameter 'variant' to one of: {known}; and ask with the id of a recorded case",
            )
        return Answer(text=recording.output, cost=recording.cost, latency_s=recording.latency_s)


def load_recordings(path: Path) -> dict[Key, Recording]:
    """Read recordings from a JSON Lines file; Invalid names the line that is no recording or comes twice."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return recordings_of(raw.decode("utf-8").splitlines(), source=path.name)


def recordings_of(lines: Iterable[str], *, source: str = "recordings") -> dict[Key, Recording]:
    """Read recordings from JSON texts, one a line; empty lines are passed over."""
    found: dict[Key, Recording] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        key, recording = _parsed(line, f"{source}, line {number}")
        if key in found:
            raise Invalid(
                f"{source}, line {number}: variant {key[0]!r} has a second outcome on case {key[1]!r}",
                hint="give each repetition a case_id or a variant of its own",
            )
        found[key] = recording
    return found


def _parsed(line: str, place: str) -> tuple[Key, Recording]:
    try:
        value: object = json.loads(line)
    except ValueError:
        value = None
    row = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    output, success = row.get("output"), row.get("success")
    if not row.get("case_id") or not row.get("variant") or (output is None and not isinstance(success, bool)):
        raise Invalid(
            f"{place} is no recording", hint="each line is a JSON object with case_id, variant, and output or success"
        )
    verdict = success if isinstance(success, bool) else None
    said = ("success" if verdict else "failure") if output is None else output
    return (str(row["variant"]), str(row["case_id"])), Recording(
        output=said if isinstance(said, str) else json.dumps(said, ensure_ascii=False),
        success=verdict,
        tokens=int(_number(row.get("tokens_in")) + _number(row.get("tokens_out"))),
        usd=_number(row.get("cost_usd")),
        latency_s=_number(row.get("latency_s")),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value >= 0 else 0.0


def _key(question: Question) -> Key:
    text = question.params.get("variant", "")
    try:
        variant: object = json.loads(text)
    except ValueError:
        variant = text
    return (variant if isinstance(variant, str) else text), question.case_id
