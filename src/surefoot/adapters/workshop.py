"""The workshop of evaluation: suites and recordings from files, subjects, judges, and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from surefoot.adapters.exam.judge import ModelJudge
from surefoot.adapters.exam.outside import World
from surefoot.adapters.exam.subjects import CommandSubject, ModelSubject
from surefoot.adapters.exam.turnstile import FairTurnstile
from surefoot.core.exam.report import Report
from surefoot.core.exam.run import Spent
from surefoot.core.exam.suite import Suite, SuiteCase
from surefoot.core.proposal import Cost
from surefoot.ports import Model, Question
from surefoot.ports.exam import Exams, Subject


class Workshop:
    """Everything around a run; `limits` bounds the calls in flight by provider, for all runs of this process."""

    def __init__(self, model_named: Callable[[str], Model], *, limits: Mapping[str, int] | None = None) -> None:
        self._model_named = model_named
        self._turnstile = FairTurnstile(limits)

    def exams(
        self, *, judge: str = "", votes: int = 3, same_author: bool = False,
        progress: Callable[[Spent], None] = lambda _spent: None,
    ) -> Exams:  # fmt: skip
        """Give what a run needs, judged by the model `judge` if one is named."""
        made = ModelJudge(self._model_named(judge), judge) if judge else None
        return Exams(outside=World(), turnstile=self._turnstile, judge=made, votes=votes, same_author=same_author,
                     progress=progress)  # fmt: skip

    def version(
        self, question: Callable[[SuiteCase], Question], *, model: str, name: str, pin: str, authors: Sequence[str]
    ) -> Subject:
        """Give a version of an agent as a subject."""
        return ModelSubject(self._model_named(model), question, name=name, pin=pin, authors=authors)

    def command(self, words: Sequence[str], folder: Path, *, usd: float = 0.0) -> Subject:
        """Give a program as a subject; `usd` is the most that one answer of it costs."""
        return CommandSubject(words, str(folder), most=Cost(calls=1, usd=usd))

    def recorded(self, path: Path, variant: str = "") -> Subject:
        """Give a recording as a subject."""
        from surefoot.adapters.formats.answers import recorded_subject

        return recorded_subject(path, variant)

    def suite(self, path: Path, form: str = "") -> Suite:
        """Read a suite from a file."""
        from surefoot.adapters.formats.suites import read_suite

        return read_suite(path, form)

    def write_suite(self, suite: Suite, path: Path, *, over: bool = False) -> None:
        """Write a suite to a file."""
        from surefoot.adapters.formats.writing import write_suite

        write_suite(suite, path, over=over)

    def report(self, report: Report, form: str) -> str:
        """Give a report as a text: junit, markdown, inspect, csv or json."""
        from surefoot.adapters.formats.writing import report_text

        return report_text(report, form)
