"""One case of an eval, opened: both answers with what differs marked, tool calls, what scorers and people said.

Only for whoever may read the case; for anybody else there is the row, and nothing is read of the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from surefoot.core.exam.alignment import Pairing, aligned
from surefoot.core.exam.label import EXPECTED, Label
from surefoot.core.exam.observed import Observed, ToolCall
from surefoot.core.exam.run import EvalRun
from surefoot.core.exam.suite import SuiteCase
from surefoot.core.exam.verdict import Verdict, epoch_standing
from surefoot.core.word_diff import Piece, word_pieces
from surefoot.dashboard.blocks import Part, parts
from surefoot.dashboard.caserows import TONES, WORDS, CaseRow
from surefoot.dashboard.links import Copies, copies
from surefoot.ports import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one side answered in one epoch, with what differs from the other marked."""

    standing: str
    tone: str
    problem: str
    finish: str
    parts: tuple[Part, ...]
    usd: float | None
    latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSide:
    """One call as it stands on a page: its arguments as JSON, how it ended, what came back."""

    args: str
    state: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLine:
    """One line of the tool calls of both."""

    kind: Pairing
    name: str
    before: CallSide | None
    after: CallSide | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerLine:
    """What one scorer said of both answers (empty: nothing); `criterion` is what a judge was asked to judge by."""

    name: str
    criterion: str
    before: str
    before_note: str
    after: str
    after_note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person said of this case: of which side's answer in which epoch, or what the right one is."""

    by: str
    at: datetime
    about: str
    word: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A case; all but `row`, `epoch` and `epochs` is empty where the visitor may not read it."""

    row: CaseRow
    epoch: int
    epochs: int
    question: str = ""
    expected: str = ""
    slices: tuple[tuple[str, str], ...] = ()
    before: Answered | None = None
    after: Answered | None = None
    differs: bool = False
    calls: tuple[CallLine, ...] = ()
    scorers: tuple[ScorerLine, ...] = ()
    said: tuple[Said, ...] = ()
    may_say: bool = False
    copies: Copies | None = None


def open_case(
    tx: Tx, row: CaseRow, case: SuiteCase, run: EvalRun, before: EvalRun | None, *, epoch: int, labels: Sequence[Label]
) -> Opened:  # fmt: skip
    """Read a case that the visitor may read, in one epoch; `before` is the run beside it."""
    epochs = max([one.epochs for one in (row.before, row.after) if one], default=1)
    epoch = max(1, min(epoch, epochs))
    new, said_new = _told(tx, run.id, case.id, epoch - 1)
    old, said_old = _told(tx, before.id, case.id, epoch - 1) if before else (None, list[Verdict]())
    pieces = word_pieces(old.output, new.output) if old and new else ()
    way = ("eval", "say", run.id, "--case", case.id, "--epoch", str(epoch), "--verdict", "pass", "--by", "NAME")
    return Opened(
        row=row, epoch=epoch, epochs=epochs, question=case.text, expected=_text(case.expected),
        slices=tuple(case.slice.items()), differs=any(one.kind != "same" for one in pieces),
        before=_answered(old, said_old, pieces, "added"), after=_answered(new, said_new, pieces, "removed"),
        calls=tuple(_calls(old.calls if old else (), new.calls if new else ())),
        scorers=tuple(_scorers(case, said_old, said_new)),
        said=tuple(_said(one, run, before) for one in labels if one.case == case.id), may_say=new is not None,
        copies=copies(way, "POST", f"/api/v1/evals/{run.id}/words",
                      {"case": case.id, "epoch": epoch, "verdict": "pass"}),
    )  # fmt: skip


def _told(tx: Tx, run: str, case: str, epoch: int) -> tuple[Observed | None, list[Verdict]]:
    answer = tx.evals.answers(run, {(case, epoch)}).get((case, epoch))
    return answer, [one for one in tx.evals.verdicts(run, {case}) if one.epoch == epoch]


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _answered(one: Observed | None, said: list[Verdict], pieces: Sequence[Piece], without: str) -> Answered | None:
    if one is None:
        return None
    standing = epoch_standing(verdict.state for verdict in said)
    mine = [piece for piece in pieces if piece.kind != without]
    whole = parts(mine) if pieces else [Part(kind="same", text=one.output)]
    return Answered(
        standing=WORDS.get(standing, standing), tone=TONES[standing], problem=one.problem, finish=one.finish,
        parts=tuple(whole), usd=one.cost.usd if one.cost else None, latency_s=one.latency_s,
    )  # fmt: skip


def _calls(before: Sequence[ToolCall], after: Sequence[ToolCall]) -> Iterable[CallLine]:
    for one in aligned(before, after):
        named = one.after or one.before
        yield CallLine(kind=one.kind, name=named.name if named else "", before=_side(one.before),
                       after=_side(one.after))  # fmt: skip


def _side(call: ToolCall | None) -> CallSide | None:
    if call is None:
        return None
    args = json.dumps(dict(call.args), ensure_ascii=False, indent=2, default=str) if call.args else ""
    return CallSide(args=args, state=call.state, result=call.result)


def _scorers(case: SuiteCase, before: Sequence[Verdict], after: Sequence[Verdict]) -> Iterable[ScorerLine]:
    old, new = ({one.scorer: one for one in some} for some in (before, after))
    for name in dict.fromkeys((*case.scorers, *old, *new)):
        was, now = old.get(name), new.get(name)
        yield ScorerLine(
            name="judge" if name.startswith("judge:") else name.replace("_", " "), criterion=case.judged.get(name, ""),
            before=was.state if was else "", before_note=was.note if was else "", after=now.state if now else "",
            after_note=now.note if now else "",
        )  # fmt: skip


def _said(one: Label, run: EvalRun, before: EvalRun | None) -> Said:
    if one.scorer == EXPECTED:
        return Said(by=one.by, at=one.at, about="", word="expects", text=one.note)
    name = before.subject if before is not None and one.run == before.id else run.subject
    about = f"{name}, epoch {one.epoch + 1}"
    return Said(by=one.by, at=one.at, about=about, word="right" if one.passed else "wrong", text=one.note)
