"""A mask: what somebody sees of a request who may look at what happened, but not read what people wrote.

A text is taken away whole. Shortening it, or drawing a bar for each word, would give some of it away; and the names
of attributes stay only because programs, not people, write them. What is left are names, numbers and times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from surefoot.core.backlog import Failure, Lever
from surefoot.core.calls import Call
from surefoot.core.cause import Cause
from surefoot.core.digest import digest
from surefoot.core.event import Event
from surefoot.core.execution import Execution, Note
from surefoot.core.lesson import Lesson
from surefoot.core.pause import Pause
from surefoot.core.score import Outcome
from surefoot.core.span import Span, SpanEvent
from surefoot.core.trace import Trace

_KINDS = {
    "missed": "a missed answer", "check": "a failed check", "tool": "a broken tool", "slow": "slow answers",
    "costly": "costly answers", "weak": "weak answers", "erased": "erased requests",
}  # fmt: skip
# From the first mark to the last: what is quoted may hold marks of its own.
_MARKS = '[“”„‟«»‹›"`]'
_QUOTED = re.compile(rf"{_MARKS}.*{_MARKS}|{_MARKS}.*", re.DOTALL)
# Single marks only around words: that of an elision (`isn't`) is within one.
_SINGLY = re.compile(r"(?<!\w)['‘‚].*['’‘](?!\w)|(?<!\w)[‘‚].*", re.DOTALL)
_WRITTEN = ("title", "feedback")
_HAPPENED = re.compile(r"(open again|open|doing|drafted|shipped|failed|closed|made|tick \d+|v\d+)\b")


def masked_trace(trace: Trace) -> Trace:
    """Give a request without what was asked and answered."""
    return replace(trace, input="", output="")


def masked_outcome(outcome: Outcome) -> Outcome:
    """Give an outcome without the answer that would have been right, and without what was said beside it."""
    return replace(outcome, expected="", feedback="")


def masked_failure(failure: Failure) -> Failure:
    """Give a failure without its texts; of a tool that broke the name stays, not what it said."""
    return replace(failure, input="", predicted="", expected="", tool_error=failure.tool_error.partition(":")[0])


def masked_gap(key: str) -> str:
    """Give what a cause is called without the answer, check or tool that names it: its kind, and a digest."""
    kind = key.partition(":")[0]
    return f"{kind if kind in _KINDS else 'other'}:{digest(key)[:12]}"


def masked_title(key: str, failures: int) -> str:
    """Give the title of a cause as its kind and how often it was there; what was answered is part of the other one."""
    return f"{_KINDS.get(key.partition(':')[0], 'another cause')}, {failures} failure{'' if failures == 1 else 's'}"


def masked_lever(lever: Lever) -> Lever:
    """Give a lever without the texts of its failures, and without what people said of it; numbers and state stay."""
    return replace(lever, gap=masked_gap(lever.gap), title=masked_title(lever.gap, lever.failures), note="")


def masked_step(said: str) -> str:
    """Give a line of a lever's story as its first word, which says what happened; the rest quotes titles and people."""
    found = _HAPPENED.match(said)
    return found[1] if found else ""


def masked_quotes(text: str) -> str:
    """Give a text that was made on purpose, as a lesson or a reason is, without what it quotes."""
    return _SINGLY.sub("“…”", _QUOTED.sub("“…”", text))


def masked_lesson(lesson: Lesson) -> Lesson:
    """Give a lesson without what it quotes, such as the title of a lever, which says what was answered."""
    return replace(lesson, text=masked_quotes(lesson.text), evidence=masked_quotes(lesson.evidence))


def masked_payload(payload: Mapping[str, object]) -> dict[str, object]:
    """Give what the record says of a change without titles, people's feedback and what is quoted, however deep."""
    written = (*_WRITTEN, "reason") if "lever" in payload else _WRITTEN  # that is why a person closed it
    return {name: "" if name in written else _masked(value) for name, value in payload.items()}


def masked_event(event: Event) -> Event:
    """Give an event as the record is given."""
    return replace(event, facts=masked_payload(event.facts))


def _masked(value: object) -> object:
    if isinstance(value, str):
        return masked_quotes(value)
    if isinstance(value, Mapping):
        return masked_payload(cast("Mapping[str, object]", value))
    if isinstance(value, list | tuple):
        return [_masked(one) for one in cast("Sequence[object]", value)]
    return value


def masked_cause(cause: Cause) -> Cause:
    """Give a cause without the texts of its failures, and without a person's reason to leave it alone."""
    became = cause.became
    return replace(
        cause, key=masked_gap(cause.key), title=masked_title(cause.key, cause.failures),
        became=replace(became, sentence="Its lever is closed.") if became.fate == "left alone" else became,
        lever=cause.lever and masked_lever(cause.lever), examples=tuple(map(masked_failure, cause.examples)),
    )  # fmt: skip


def masked_call(call: Call) -> Call:
    """Give a tool call without its texts; where no step ran it, its name and id are a text of the model as well."""
    seen = replace(call, arguments="", result="")
    return seen if call.span_id else replace(seen, name="", id="")


def masked_execution(execution: Execution) -> Execution:
    """Give an execution without its input, its result and its error, which may quote either; its state stays."""
    return replace(execution, input=None, result=None, error="")


def masked_note(note: Note) -> Note:
    """Give a note without what it says; who wrote it and when stays."""
    return replace(note, text="", tags=())


def masked_pause(pause: Pause) -> Pause:
    """Give a wait without what the person was asked and answered; how it stands and who decided stays."""
    return replace(pause, reason="", url="", feedback="", response={})


def masked_span(span: Span) -> Span:
    """Give a step without its texts: input, output, message, and the values of its attributes and events."""
    return replace(
        span, input="", output="", message="", attributes=dict.fromkeys(span.attributes, ""), resource={},
        events=tuple(SpanEvent(name=one.name, at_ns=one.at_ns) for one in span.events),
    )  # fmt: skip
