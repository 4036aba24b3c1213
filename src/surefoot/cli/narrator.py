"""How a rehearsal is told on a terminal: one line an event, diffs in colour, progress where it takes a while."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status

from surefoot.cli.screen import console_on, visible
from surefoot.core.figure import percent

SAMPLE = 2


class Narrator:
    """Listens to a story and prints it; silent when only the report is wanted."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = console_on(sys.stdout)
        self._quiet = quiet
        self._shown: Status | Progress | None = None  # what moves on a terminal until the next event

    def __call__(self, name: str, facts: Mapping[str, Any]) -> None:
        """Tell one event; an event without words of its own passes in silence."""
        if self._quiet:
            return
        if name != "progress" and self._shown is not None:
            self._shown.stop()
            self._shown = None
        tell = getattr(self, f"_{name.replace('-', '_')}", None)
        if tell is not None:
            tell(facts)

    def say(self, text: str, style: str = "") -> None:
        """Print a line, at once."""
        from rich.text import Text

        if not self._quiet:
            self._console.print(Text(visible(text), style=style))
            sys.stdout.flush()

    def chapter(self, text: str) -> None:
        """Print a heading."""
        self.say("")
        self.say(text, "bold")

    def _busy(self, facts: Mapping[str, Any]) -> None:
        if self._console.is_terminal:
            self._shown = self._console.status(facts["text"])
            self._shown.start()

    def _progress(self, facts: Mapping[str, Any]) -> None:
        if not self._console.is_terminal:
            return
        if self._shown is None:
            self._shown = progress_on(self._console)
            self._shown.add_task("requests", total=facts["of"])
            self._shown.start()
        if not isinstance(self._shown, Status):
            self._shown.update(self._shown.task_ids[0], completed=facts["done"])

    def _begun(self, facts: Mapping[str, Any]) -> None:
        splits = ", ".join(f"{count} {split}" for split, count in facts["splits"].items())
        self.say(f"agent {facts['agent']} with {len(facts['labels'])} labels on {facts['model']}; cases: {splits}")
        if facts["model"] == "local-lexical":
            self.say("local-lexical is not a language model: classification only, from the words of the prompt", "dim")

    def _traffic(self, facts: Mapping[str, Any]) -> None:
        self.say(f"{facts['requests']} requests arrive; their labels come hours later, some never …", "dim")

    def _served(self, facts: Mapping[str, Any]) -> None:
        labelled = facts["failures"] + facts["successes"]
        self.say(
            f"{facts['requests']} served, {labelled} labelled so far: {facts['failures']} failures"
            f" ({percent(facts['failures'] / max(1, labelled))}), {facts['unlabelled']} unknown"
            " (unknown is never success)"
        )

    def _tick(self, facts: Mapping[str, Any]) -> None:
        head = f"tick {facts['tick']}: {facts['outcome'].replace('_', ' ')}"
        if "lever" not in facts:
            self.say(f"{head}: {facts['reason']}", "yellow")
            return
        style = {"accepted": "green", "rejected": "red"}.get(facts["outcome"], "yellow")
        self.say(f"{head}  {facts['lever']} “{facts['title']}”", style)
        accepted = facts["outcome"] == "accepted"
        shown = facts["edits"] if accepted else facts["edits"][:SAMPLE]
        for edit in shown:
            self.say(f"  {_edit(edit)}", "green" if accepted else "dim")
        if more := len(facts["edits"]) - len(shown):
            self.say(f"    … and {more} more", "dim")
        for trial in facts["trials"][:1] + facts["trials"][1:][-1:]:
            self.say(f"  gate, {trial['edits']} edits: {trial['verdict']}. {trial['sentence']}", "dim")
        if (halves := len(facts["trials"]) - 2) > 0:
            self.say(
                f"  (and {halves} other parts of it, none accepted)"
                if not accepted
                else f"  (after {halves} other parts)",
                "dim",
            )
        for refusal in facts["refusals"]:
            self.say(f"  guardrail: {refusal}", "yellow")

    def _release(self, facts: Mapping[str, Any]) -> None:
        self.say("")
        for number, look in enumerate(facts["looks"], start=1):
            style = "green" if look["verdict"] == "pass" else "red"
            self.say(f"release, look {number} at the sealed cases: {look['verdict']}. {look['sentence']}", style)
            for found in look["slices"]:
                self.say(
                    f"  {found['mark']} {found['name']}: +{found['gained']} -{found['lost']} of {found['n']} cases",
                    "yellow",
                )
        if facts["waits"]:
            self.say(f"it waits: {facts['waits']}", "yellow")
        if facts["version"]:
            self.say(f"version v{facts['version']} is a candidate; looks left: {facts['slots_left']}")
        else:
            self.say("nothing is released; the live version stays", "yellow")

    def _step(self, facts: Mapping[str, Any]) -> None:
        moved = facts["weight_before"] != facts["weight_after"] or facts["action"] != "hold"
        if not moved and facts["seq"] % 12:
            return
        style = {"ramp": "cyan", "await_approval": "green", "roll_back": "red", "freeze": "red"}.get(
            facts["action"], "dim"
        )
        self.say(f"  {facts['at'][:16].replace('T', ' ')}  {evidence_line(facts)}", style)

    def _canary_ended(self, facts: Mapping[str, Any]) -> None:
        self.say(f"{facts['state'].replace('_', ' ')} after {facts['requests']} requests: {facts['sentence']}", "bold")

    def _decided(self, facts: Mapping[str, Any]) -> None:
        self.say(f"  {facts['by']}: {facts['decision']}  ({facts['approval']})", "green")

    def _worse(self, facts: Mapping[str, Any]) -> None:
        said = {"accept": "goes on all the same", "reject": "rolls back", "wait": "looks on"}[facts["word"]]
        self.say(f"  {facts['by']}: {', '.join(facts['names'])} got worse; {said}", "yellow")

    def _vetted(self, facts: Mapping[str, Any]) -> None:
        self.say(f"v{facts['version']} by a saboteur: “{facts['rationale']}”")
        style = "green" if facts["verdict"] == "pass" else "red"
        self.say(f"gate: {facts['verdict']}. {facts['sentence']}", style)

    def _moved(self, facts: Mapping[str, Any]) -> None:
        right = percent(facts["accuracy"])
        self.say(f"live: v{facts['before']} → v{facts['live']}, accuracy on untouched cases {right}")

    def _audit(self, facts: Mapping[str, Any]) -> None:
        word = "intact" if facts["intact"] else "BROKEN"
        self.say(f"audit verify: {facts['entries']} entries, chain {word}, head {facts['head'][:16]}…")


def progress_on(console: Console) -> Progress:
    """Give a bar with a count and the time left, which goes when it is full."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def evidence_line(facts: Mapping[str, Any]) -> str:
    """Give one reconcile on one line: share, evidence, rates, and what was decided."""
    rates = facts["failure_rates"]
    new, old = (_percent(rates[arm]) for arm in ("challenger", "incumbent"))
    return (
        f"share {facts['weight_after']:>3.0f} %"
        f"  e_win {_number(facts['e_win']):>6}  e_guard {_number(facts['e_guard']):>6}"
        f"  failing {new} vs {old}  labels {facts['challenger_labels']}/{facts['labels']}  {facts['sentence']}"
    )


def _edit(edit: Mapping[str, Any]) -> str:
    text = edit["text"] if len(edit["text"]) <= 150 else f"{edit['text'][:149]}…"
    body = f'"{text}" -> {edit["answer"]}' if edit["kind"] == "add_example" else text
    sign = {"replace": "~", "retire": "-"}.get(edit["kind"], "+")
    cited = f"   (cites {len(edit['evidence'])} shown cases)" if edit["evidence"] else ""
    return f"{sign} {edit['target']}: {body}{cited}"


def _percent(share: float | None) -> str:
    return "     -" if share is None else f"{percent(share):>6}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1000 else f"{value:.0e}"
