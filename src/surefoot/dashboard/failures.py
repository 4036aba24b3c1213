"""Failures: what went wrong lately, clustered by what it has in common, and what is known of each cluster.

What the causes are, which way each goes and what became of it, `core.cause` says; here they are lines of a page. From
one a person makes a lever, or of one of its requests a case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from surefoot.core.backlog import Failure, Lever
from surefoot.core.cause import Cause
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.mask import masked_cause, masked_gap
from surefoot.core.recurrence import Fate
from surefoot.core.trend import Trend
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page, status_of
from surefoot.dashboard.texts import reading
from surefoot.dashboard.words import sentence
from surefoot.engine.enlist import enlist
from surefoot.engine.explain import Explained, explain
from surefoot.engine.inspect import failing
from surefoot.engine.shelve import lever_by_hand, shelve

MOST_ROWS = 100
TONES: dict[Fate, str] = {
    "new": "asks", "known": "wait", "being mended": "canary", "fixed": "ok", "regressed": "bad", "left alone": "idle",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One failure of a cluster, and how it becomes a case."""

    failure: Failure
    copies: Copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cause as a line of the page; `share` is its impact beside that of the largest.

    `lever` is empty where none answers it.
    """

    key: str
    title: str
    status: str
    tone: str
    sentence: str
    failures: int
    parts: tuple[int, ...]
    older: int
    newer: int
    trend: Trend
    impact: float
    share: float
    lever: str
    lever_state: str
    reopens: bool
    versions: tuple[int, ...]
    examples: tuple[Example, ...]
    copies: Copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """The clusters by impact, how much was looked at, and why the loop would wait (empty: it would not).

    `said` is what the visitor had written where it was refused.
    """

    agent: str
    rows: tuple[Cluster, ...]
    shown: Cluster | None
    window: int
    labelled: int
    failed: int
    single: int
    hold: str
    said: str
    copies: Copies
    hidden: bool = False


async def screen(asking: Asking) -> Page:
    """Show an agent's failures, the largest cluster first; `cluster` opens one."""
    return await _shown(asking, asking.query("cluster"))


async def make_lever(asking: Asking, fields: dict[str, str]) -> str | Page:
    """Make a lever of a cluster, or open the one it has again, in the visitor's name."""
    agent, key, reason = await asking.agent(), fields.get("cluster", ""), fields.get("reason", "").strip()
    asking.visitor.must("operate", agent.name)
    lever, found = fields.get("lever", ""), await failing(asking.ports, agent.name, limit=agent.habits.window)
    key = _chosen((one.symptom for one in found.failures), key, reads=asking.visitor.reads(agent.name)) or key
    try:
        if lever:
            after = await shelve(
                asking.ports, agent.name, lever, closed=False, by=asking.visitor.name, reason=reason
            )  # fmt: skip
        else:
            after = await lever_by_hand(asking.ports, agent.name, key, by=asking.visitor.name, reason=reason)
    except (Conflict, Invalid, NotFound) as error:
        return await _shown(asking, key, error=error, said=reason)
    return f"/agents/{agent.name}/levers?lever={after.id}&done=lever"


async def add_case(asking: Asking, fields: dict[str, str]) -> str | Page:
    """Make one of the requests a case, in the visitor's name."""
    agent, key = await asking.agent(), fields.get("cluster", "")
    asking.visitor.must("decide", agent.name)
    try:
        await enlist(
            asking.ports, agent.name, fields.get("trace", ""), expected=fields.get("expected", ""),
            by=asking.visitor.name,
        )  # fmt: skip
    except (Conflict, Invalid, NotFound) as error:
        return await _shown(asking, key, error=error)
    return f"{_address(agent.name, key)}&done=case"


async def _shown(
    asking: Asking, chosen: str, *, error: Conflict | Invalid | NotFound | None = None, said: str = ""
) -> Page:  # fmt: skip
    agent = await asking.agent()
    found, texts = await explain(asking.ports, agent.name), reading(asking, agent.name)
    keys = {one.symptom for one in found.found.failures}
    model = failures_of(agent.name, found, chosen=_chosen(keys, chosen, reads=texts.may), said=said,
                        hidden=texts.hidden)  # fmt: skip
    told = "" if error is None else f"{sentence(error.message)} {sentence(error.hint)}"
    return Page(template="failures.html", model=model, title=f"Failures of {agent.name}", place="agents",
                agent=agent.name, tab="failures", live=("audit",), told=told, tone="bad" if told else "ok",
                status=200 if error is None else status_of(error))  # fmt: skip


def _chosen(keys: Iterable[str], named: str, *, reads: bool) -> str:
    """Give the cluster that an address names; who may not read names it by its digest, and guesses none by its text."""
    return next((one for one in keys if named and (masked_gap(one) == named or (reads and one == named))), "")


def failures_of(agent: str, found: Explained, *, chosen: str, said: str = "", hidden: bool = False) -> Failures:
    """Give the page of what was explained; `hidden` is for who may look, but not read what people wrote."""
    most = max((one.impact for one in found.causes), default=0.0) or 1.0
    rows = tuple(
        _cluster(agent, masked_cause(one) if hidden else one, one.impact / most) for one in found.causes[:MOST_ROWS]
    )
    opened = (row for row, one in zip(rows, found.causes, strict=False) if chosen and one.key == chosen)
    return Failures(
        agent=agent, rows=rows, shown=next(opened, None), window=len(found.found.failures), labelled=found.labelled,
        failed=found.found.verdicts.failure, hold=found.found.hold, single=found.single, said=said, hidden=hidden,
        copies=copies(("failures", agent), "GET", f"/api/v1/agents/{agent}/causes"),
    )  # fmt: skip


def _cluster(agent: str, cause: Cause, share: float) -> Cluster:
    lever = cause.lever
    return Cluster(
        key=cause.key, title=cause.title, status=cause.became.words, tone=TONES[cause.became.fate],
        sentence=cause.became.sentence, failures=cause.failures, parts=cause.parts, older=cause.older,
        newer=cause.newer, trend=cause.trend, impact=cause.impact, share=share, versions=cause.versions,
        lever="" if lever is None else lever.id, lever_state="" if lever is None else lever.state,
        reopens=cause.reopens, copies=_lever_copies(agent, cause.examples[0].trace_id, lever),
        examples=tuple(Example(failure=one, copies=_case_copies(agent, one)) for one in cause.examples),
    )  # fmt: skip


def _lever_copies(agent: str, trace: str, lever: Lever | None) -> Copies:
    if lever is None:
        return copies(("levers", agent, "--make", trace, "--by", "NAME", "--why", "TEXT"), "POST",
                      f"/api/v1/agents/{agent}/levers", {"failure": trace, "reason": "why"})  # fmt: skip
    return copies(("levers", agent, "--reopen", lever.id, "--by", "NAME", "--why", "TEXT"), "POST",
                  f"/api/v1/agents/{agent}/levers/{lever.id}/reopen", {"reason": "why"})  # fmt: skip


def _case_copies(agent: str, one: Failure) -> Copies:
    said = () if one.expected else ("--expected", "ANSWER")
    body = {"trace_id": one.trace_id} | ({} if one.expected else {"expected": "what is right"})
    return copies(("failures", agent, "--add-case", one.trace_id, *said, "--by", "NAME"), "POST",
                  f"/api/v1/agents/{agent}/cases", body)  # fmt: skip


def _address(agent: str, key: str) -> str:
    return f"/agents/{agent}/failures?cluster={quote(key, safe='')}"
