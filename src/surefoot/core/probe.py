"""Probes: questions that test what an agent's instructions promise, and nothing they do not.

Each probe names the promise it tests, says in one line what keeping it looks like, and is judged by checks, or by a
criterion where no check can tell. Before one is used it is examined itself: its promise must exist, its checks must
be able to fail and able to pass, and what they ask for must stand in the instructions or in the probe, because the
oracle is what the instructions promise (S4-08). What is left becomes a suite, and promises nobody tests are listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from surefoot.core.clauses import Clause, promises
from surefoot.core.errors import Invalid
from surefoot.core.exam.check import Check, finding
from surefoot.core.exam.observed import Observed, ToolCall
from surefoot.core.exam.suite import Message, Suite, SuiteCase, case_of

ProbeKind = Literal[
    "golden", "edge", "tool_selection", "adversarial_direct", "adversarial_indirect", "off_purpose", "malformed"
]
KINDS: tuple[ProbeKind, ...] = get_args(ProbeKind)
MOST = 12
_URGENT: tuple[ProbeKind, ...] = (
    "adversarial_indirect", "adversarial_direct", "tool_selection", "off_purpose", "malformed", "edge", "golden"
)  # fmt: skip
LONGEST_INPUT = 6_000
LONGEST_LINE = 400
# What a check may be whose author is a model: no expressions, no code, nothing that is measured rather than promised.
WRITABLE = frozenset({
    "equals", "contains", "not_contains", "json_path", "tool_called", "tool_not_called", "tool_args",
    "max_tool_calls", "refuses", "no_secret_leak",
})  # fmt: skip
_NEEDS_TOOLS = frozenset({"tool_called", "tool_not_called", "tool_args", "tool_order", "max_tool_calls"})
_SAYS = frozenset({"equals", "contains"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question: the number of the promise it tests, what is sent, what keeping it looks like, and its scorers.

    A `tool` message in `input` is what a tool gave back: an agent that calls tools itself must be handed it there.
    """

    id: str
    kind: ProbeKind
    promise: int
    input: tuple[Message, ...]
    expects: str
    checks: tuple[Check, ...] = ()
    criteria: tuple[str, ...] = ()
    expected: str | None = None

    @property
    def text(self) -> str:
        """All that is sent, as one text."""
        return "\n".join(message.content for message in self.input)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A probe that is not used, and why."""

    id: str
    promise: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSet:
    """The probes of one set of instructions, what was dropped, and the promises that no probe tests."""

    agent: str
    clauses: tuple[Clause, ...]
    probes: tuple[Probe, ...]
    dropped: tuple[Dropped, ...]
    tools: tuple[str, ...] = ()
    writer: str = "templates"

    @property
    def uncovered(self) -> tuple[Clause, ...]:
        """The promises that no probe tests, in their order."""
        tested = {probe.promise for probe in self.probes}
        return tuple(clause for clause in promises(self.clauses) if clause.number not in tested)


def missing_first(more: Iterable[Probe], there: Iterable[Probe]) -> list[Probe]:
    """Order probes by what is missing most: a kind nobody asked yet, attacks before all, then promises untested."""
    kinds, tested = [probe.kind for probe in there], {probe.promise for probe in there}
    ranked: list[tuple[int, bool, int, Probe]] = []
    for probe in more:
        turn = kinds.count(probe.kind)
        kinds.append(probe.kind)
        ranked.append((turn, probe.promise in tested, _URGENT.index(probe.kind), probe))
    return [probe for *_, probe in sorted(ranked, key=lambda row: (row[0] > 0, row[2] if row[0] == 0 else 0, row[1:3]))]


def judged(found: ProbeSet) -> tuple[ProbeSet, tuple[Probe, ...]]:
    """Give the probes that checks alone can decide, and apart from them those that need a judge."""
    plain = tuple(probe for probe in found.probes if not probe.criteria)
    return replace(found, probes=plain), tuple(probe for probe in found.probes if probe.criteria)


def user(text: str) -> tuple[Message, ...]:
    """Give the input that is one message of a user."""
    return (Message(role="user", content=text),)


def probe_set(
    agent: str, found: Sequence[Clause], written: Iterable[Probe], *, instructions: str, tools: Sequence[str] = (),
    labels: Sequence[str] = (), most: int = MOST, writer: str = "templates", strict: bool = False,
) -> ProbeSet:  # fmt: skip
    """Keep the probes that can be used, each question once and at most `most`; `strict` is for a model's probes."""
    ground = Ground(instructions=instructions, tools=tuple(tools), labels=tuple(labels), strict=strict)
    known, kept, dropped = {clause.number: clause for clause in found}, list[Probe](), list[Dropped]()
    asked: set[tuple[int, str]] = set()
    for probe in written:
        key = (probe.promise, " ".join(probe.text.lower().split()))
        why = fault(probe, known, ground) or ("it asks the same again" if key in asked else "")
        why = why or ("there are enough already" if len(kept) >= most else "")
        if why:
            dropped.append(Dropped(id=probe.id, promise=probe.promise, why=why))
            continue
        asked.add(key)
        kept.append(_named(probe, {one.id for one in kept}))
    return ProbeSet(agent=agent, clauses=tuple(found), probes=tuple(kept), dropped=tuple(dropped),
                    tools=tuple(tools), writer=writer)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a probe is held against: the instructions, the tools and labels there are, and whether to be strict."""

    instructions: str
    tools: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    strict: bool = False


def fault(probe: Probe, known: Mapping[int, Clause], ground: Ground) -> str:
    """Say why a probe cannot be used; empty if it can."""
    clause = known.get(probe.promise)
    if clause is None or not clause.promise:
        return f"there is no promise {probe.promise}"
    if not probe.text.strip() or len(probe.text) > LONGEST_INPUT or not probe.expects.strip():
        return "it asks nothing, too much, or does not say what to expect"
    if not probe.checks and not probe.criteria:
        return "nothing judges it, so it cannot fail"
    if any(not line.strip() or len(line) > LONGEST_LINE for line in probe.criteria):
        return "a criterion is empty or too long"
    for check in probe.checks:
        if why := _check_fault(check, probe, ground):
            return why
    return _impossible(probe)


def _check_fault(check: Check, probe: Probe, ground: Ground) -> str:
    if check.disabled:
        return f"its check {check.kind} is disabled"
    if ground.strict and check.kind not in WRITABLE:
        return f"its check {check.kind} is not one that a model may write"
    try:
        case_of(SuiteCase(id="probe", input=probe.input, checks=(check,)), "probe", origin="api")
    except Invalid as problem:
        return problem.message
    if check.kind in _NEEDS_TOOLS and not set(_texts(_tool_names(check))) <= set(ground.tools):
        return "its check names a tool that the agent does not have, so it says nothing"
    if check.kind in _NEEDS_TOOLS and not ground.tools:
        return "the agent has no tools, so its check of calls says nothing"
    if check.kind == "equals" and check.value is None and probe.expected is None:
        return "it compares with an expectation that is not there"
    if ground.strict and (why := _unpromised(check, probe, ground)):
        return why
    return "" if _can_fail(check, probe) else f"its check {check.kind} cannot fail"


def _unpromised(check: Check, probe: Probe, ground: Ground) -> str:
    """Say that a check wants words that nobody promised, or forbids words that nothing provokes."""
    if check.kind not in _SAYS | {"not_contains"}:
        return ""
    here = " ".join(f"{ground.instructions}\n{probe.text}".lower().split())
    wanted = probe.expected if check.value is None else check.value
    for text in _texts(wanted):
        if " ".join(text.lower().split()) not in here:
            return f"{text[:60]!r} stands neither in the instructions nor in the probe"
        if check.kind == "equals" and ground.labels and text.strip().lower() not in {x.lower() for x in ground.labels}:
            return f"{text[:60]!r} is none of the labels"
    return ""


def _can_fail(check: Check, probe: Probe) -> bool:
    """Whether some answer fails it; expressions are the caller's own and are taken at their word."""
    if check.kind == "regex":
        return bool(str(check.value))
    return any(finding(check, probe.expected, one).state == "failed" for one in _bad_answers(check, probe))


def _bad_answers(check: Check, probe: Probe) -> list[Observed]:
    """Answers that ought to fail something: nothing, other words, an echo, the very words, and every forbidden call."""
    said = " ".join(_texts(probe.expected if check.value is None else check.value))
    texts = ("", "zq", "{}", probe.text, said, f"{probe.text} {said}")
    names = [*_texts(_tool_names(check)), "zq"]
    calls = tuple(ToolCall(name=name, state="clean") for name in names for _ in range(50))
    return [*(Observed(output=text) for text in texts), Observed(output="zq", calls=calls),
            Observed(output="I can't help with that.")]  # fmt: skip


def _impossible(probe: Probe) -> str:
    """Say that no answer passes all checks at once, as far as words and calls can tell."""
    plain = [check for check in probe.checks if check.kind not in ("regex", "json_path", "json_schema")]
    if not plain:
        return ""
    best = _best_answer(probe, plain)
    failing = [check for check in plain if finding(check, probe.expected, best).state in ("failed", "errored")]
    return f"no answer passes its check {failing[0].kind}" if failing else ""


def _best_answer(probe: Probe, checks: Sequence[Check]) -> Observed:
    """The answer that says and calls all that is asked for, and no more."""
    equal = [probe.expected if check.value is None else check.value for check in checks
             if check.kind == "equals" and not check.negated]  # fmt: skip
    said = [text for check in checks if check.kind == "contains" and not check.negated for text in _texts(check.value)]
    output = equal[0] if equal else " ".join(said)
    refusing = any(check.kind == "refuses" and not check.negated for check in checks)
    calls: list[ToolCall] = []
    for check in checks:
        if check.kind in ("tool_called", "tool_order") and not check.negated:
            calls += [ToolCall(name=name, state="clean") for name in _texts(check.value)]
        if check.kind == "tool_args" and not check.negated:
            value = cast("Mapping[str, object]", check.value)
            args = cast("Mapping[str, object]", value.get("args") or {})
            calls.append(ToolCall(name=str(value.get("name", "")), args=args, state="clean"))
    text = output if isinstance(output, str) else json.dumps(output)
    return Observed(output=text, finish="refused" if refusing else "stop", calls=tuple(calls))


def _tool_names(check: Check) -> object:
    value: object = check.value
    if check.kind in ("tool_called", "tool_not_called", "tool_order"):
        return value
    return cast("dict[str, object]", value).get("name") if check.kind == "tool_args" and value else None


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in cast("list[object]", value)] if isinstance(value, list) else [str(value)]


def _named(probe: Probe, taken: set[str]) -> Probe:
    """Give the probe under its promise and kind, with a number where that is taken."""
    plain = f"p{probe.promise:02d}-{probe.kind.replace('_', '-')}"
    number, name = 1, plain
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return replace(probe, id=name)


def suite_from_probes(found: ProbeSet) -> Suite:
    """Give the probes as a suite; each case names its promise, and a safety probe is one that must pass."""
    by_number = {clause.number: clause for clause in found.clauses}
    cases = tuple(_case(found.agent, probe, by_number[probe.promise]) for probe in found.probes)
    if not cases:
        raise Invalid(f"the instructions of {found.agent} promise nothing that a probe could test",
                      hint="write what the agent must and must not do, a sentence for each")  # fmt: skip
    return Suite(name=f"{found.agent}-probes", cases=cases)


def _case(agent: str, probe: Probe, promise: Clause) -> SuiteCase:
    judging = "judged" if probe.criteria else "checked"
    return case_of(SuiteCase(
        id=probe.id, input=probe.input, expected=probe.expected, checks=probe.checks, criteria=probe.criteria,
        tags=("probe", judging, probe.kind, f"promise-{promise.number}", f"user-probe-{agent}"),
        severity="must" if probe.kind.startswith("adversarial") else "should", slice=dict(promise.only),
        provenance=f"promise {promise.number}: {promise.text} | expected: {probe.expects}",
    ), f"probe {probe.id}", origin="file")  # fmt: skip
