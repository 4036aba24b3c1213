"""Suites and their cases: what is asked, what is expected, and by which scorers it is judged.

A case is judged by its checks, its expected tool calls and its criteria, each a scorer with a name of its own. A case
that has none of them (or only disabled ones) proves nothing, so it is errored in every run and never passes.
`expected` alone is no check: it is what checks compare with. Code (python, command, setup, teardown) only counts in
suites that an operator's file gave; from anywhere else it is disabled and listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from surefoot.core.digest import digest
from surefoot.core.errors import Invalid
from surefoot.core.exam.check import CODE_KINDS, Check, usable
from surefoot.core.exam.observed import ToolCall

Severity = Literal["must", "should"]
Origin = Literal["file", "import", "api", "trace"]
Role = Literal["system", "user", "assistant", "tool"]
TIMEOUT_S = 120.0
CALLS_SCORER = "expected_tool_calls"
CODE_NEEDS_FILE = "runs code, which only an operator's own file may"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class SuiteCase:
    """One case of a suite.

    `threshold` is the share of epochs that must pass. `split` and `slice` are as for an agent's cases. `setup` and
    `teardown` are command lines of the operator. `draft` cases wait for a person to confirm them and are not run.
    """

    id: str
    input: tuple[Message, ...]
    expected: object = None
    criteria: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    expected_tool_calls: tuple[ToolCall, ...] = ()
    allow_additional_tool_calls: bool = True
    executed: bool = True
    tags: tuple[str, ...] = ()
    severity: Severity = "should"
    split: str = ""
    slice: Mapping[str, str] = field(default_factory=dict[str, str])
    setup: tuple[str, ...] = ()
    teardown: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S
    epochs: int = 1
    threshold: float = 1.0
    provenance: str = ""
    draft: bool = False

    @cached_property
    def scorers(self) -> tuple[str, ...]:
        """The names of everything that judges an answer here: checks first, then calls, then criteria."""
        calls = (CALLS_SCORER,) if self.expected_tool_calls else ()
        return (*(check.name for check in self.active), *calls, *self.judged)

    @cached_property
    def active(self) -> tuple[Check, ...]:
        """The checks that are carried out."""
        return tuple(check for check in self.checks if not check.disabled)

    @cached_property
    def judged(self) -> dict[str, str]:
        """The criteria by the names of their scorers."""
        return {f"judge:{digest(text)[:8]}": text for text in self.criteria}

    @cached_property
    def digest(self) -> str:
        """The content address: two cases with the same one ask and expect the same."""
        return digest(self._document)[:16]

    @property
    def text(self) -> str:
        """The input as one text: the message itself, or the conversation with its roles."""
        if len(self.input) == 1 and self.input[0].role == "user":
            return self.input[0].content
        return "\n\n".join(f"{message.role}: {message.content}" for message in self.input)

    def document(self) -> dict[str, object]:
        """Give the JSON form, leaving out what has its default."""
        return dict(self._document)

    @cached_property
    def _document(self) -> dict[str, object]:
        alone = len(self.input) == 1 and self.input[0].role == "user"
        talk = [{"role": one.role, "content": one.content} for one in self.input]
        full: dict[str, object] = {
            "id": self.id, "input": self.text if alone else talk, "expected": self.expected,
            "criteria": list(self.criteria), "checks": [check.document() for check in self.checks],
            "expected_tool_calls": [{"name": c.name, "args": dict(c.args)} for c in self.expected_tool_calls],
            "tags": list(self.tags), "split": self.split, "slice": dict(self.slice), "setup": list(self.setup),
            "teardown": list(self.teardown), "provenance": self.provenance,
        }  # fmt: skip
        shown = {
            name: value
            for name, value in full.items()
            if value not in (None, "", [], {}) or (name == "expected" and value is not None)
        }
        return shown | {name: value for name, usual in _USUAL.items() if (value := getattr(self, name)) != usual}


_USUAL: Mapping[str, object] = {
    "allow_additional_tool_calls": True, "executed": True, "severity": "should", "timeout_s": TIMEOUT_S, "epochs": 1,
    "threshold": 1.0, "draft": False,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Cases that are run together; `min_pass` is the share of them that must pass, `root` the folder of its file.

    `notes` say what an import could not carry over.
    """

    name: str
    cases: tuple[SuiteCase, ...]
    min_pass: float = 1.0
    max_errored: float = 0.1
    origin: Origin = "file"
    root: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The content address of name, terms and cases."""
        return digest([self.name, self.min_pass, self.max_errored, [case.digest for case in self.cases]])[:16]

    def document(self) -> dict[str, object]:
        """Give the JSON form."""
        return {
            "suite": self.name, "min_pass": self.min_pass, "max_errored": self.max_errored,
            "cases": [case.document() for case in self.cases],
        }  # fmt: skip

    def disabled(self) -> Iterator[tuple[str, Check]]:
        """Give every check that is kept but not carried out, with the id of its case."""
        return ((case.id, check) for case in self.cases for check in case.checks if check.disabled)


def case_of(case: SuiteCase, place: str, *, origin: Origin) -> SuiteCase:
    """Give a case with named checks, or Invalid for what makes no sense; code is disabled unless a file gave it."""
    problem = _nonsense(case)
    if problem:
        raise Invalid(f"{place}: {problem[0]}", hint=problem[1])
    checks = tuple(usable(check, place) for check in _trusted(case.checks, origin))
    if origin != "file" and (case.setup or case.teardown):
        checks += tuple(
            Check(kind=kind, value=list(words), disabled=CODE_NEEDS_FILE)
            for kind, words in (("setup", case.setup), ("teardown", case.teardown)) if words
        )  # fmt: skip
        case = replace(case, setup=(), teardown=())
    return replace(case, checks=tuple(_named(checks)))


def _nonsense(case: SuiteCase) -> tuple[str, str] | None:
    if not case.id.strip():
        return "a case has no id", "give every case an id of its own"
    if not any(message.content.strip() or message.role != "user" for message in case.input):
        return f"case {case.id!r} asks nothing", "write its input"
    if case.severity not in ("must", "should"):
        return f"case {case.id!r} has the severity {case.severity!r}", "use must or should"
    if not 0 < case.timeout_s <= 86_400 or not 1 <= case.epochs <= 1000 or not 0 < case.threshold <= 1:
        return (
            f"case {case.id!r} has a limit that makes no sense",
            "timeout_s > 0, epochs 1 to 1000, threshold in (0, 1]",
        )
    if len(set(case.criteria)) < len(case.criteria) or any(not text.strip() for text in case.criteria):
        return f"case {case.id!r} has an empty criterion, or the same twice", "write each criterion once"
    return None


def _trusted(checks: Iterable[Check], origin: Origin) -> Iterator[Check]:
    for check in checks:
        code = check.kind in CODE_KINDS and origin != "file" and not check.disabled
        yield replace(check, disabled=CODE_NEEDS_FILE) if code else check


def _named(checks: Iterable[Check]) -> Iterator[Check]:
    """Give every check a name that no other scorer of the case has."""
    taken: set[str] = {CALLS_SCORER}
    for check in checks:
        name = plain = check.name or (f"not_{check.kind}" if check.negated else check.kind)
        number = 1
        while name in taken or name.startswith("judge:"):
            number += 1
            name = f"{plain.removeprefix('judge:')}#{number}"
        taken.add(name)
        yield replace(check, name=name)


def suite_of(suite: Suite) -> Suite:
    """Give the suite back, or Invalid if two cases share an id or its terms make no sense."""
    if not suite.cases:
        raise Invalid(f"the suite {suite.name!r} has no cases", hint="write at least one")
    if not 0 <= suite.min_pass <= 1 or not 0 <= suite.max_errored <= 1:
        raise Invalid(f"the suite {suite.name!r} has shares outside [0, 1]", hint="min_pass and max_errored are shares")
    seen: set[str] = set()
    for case in suite.cases:
        if case.id in seen:
            raise Invalid(f"the suite {suite.name!r} has two cases {case.id!r}", hint="give each an id of its own")
        seen.add(case.id)
    return suite


def chosen(suite: Suite, *, ids: Iterable[str] = (), tags: Iterable[str] = ()) -> Suite:
    """Give the suite with only these cases (all if none are named); a suite without any is the caller's to refuse."""
    wanted, marked = set(ids), set(tags)
    kept = tuple(
        case for case in suite.cases
        if not case.draft and (not wanted or case.id in wanted) and (not marked or marked & set(case.tags))
    )  # fmt: skip
    return replace(suite, cases=kept)
