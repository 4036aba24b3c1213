"""Failures: what went wrong lately, clustered by what it has in common, and what is known of each cluster.

The clusters are by symptom, as the next tick finds them in the same window. What became of a cluster is `core`'s to
say, by its lever and the versions that carry its mending. The trend compares the newer half of the window with the
older one, and says nothing that chance could. From a cluster a person makes a lever, or of one of its requests a case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from surefoot.core.backlog import Failure, Gap, Lever, gaps
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.mask import masked_failure, masked_gap, masked_title
from surefoot.core.recurrence import Fate, recurrence
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page, status_of
from surefoot.dashboard.texts import reading
from surefoot.dashboard.words import sentence
from surefoot.engine.enlist import enlist
from surefoot.engine.inspect import Failing, failing
from surefoot.engine.shelve import made, shelve
from surefoot.ports import Tx

SHOWN, MOST_ROWS, PARTS = 3, 100, 8
TONES: dict[Fate, str] = {
    "new": "asks", "known": "wait", "being mended": "canary", "fixed": "ok", "regressed": "bad", "left alone": "idle",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is known of the levers: each by the gap it answers, and how the versions hang together."""

    levers: Mapping[str, Lever] = field(default_factory=dict[str, Lever])
    parents: Mapping[int, int | None] = field(default_factory=dict[int, int | None])
    coming: frozenset[int] = frozenset()
    live: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One failure of a cluster, and how it becomes a case."""

    failure: Failure
    copies: Copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Failures of one cause: how many of the labelled traffic, which way it goes, and three of them.

    `parts` are counts along the window, oldest first, `newer` those in its newer half; `share` is the impact beside
    that of the largest. `lever` is empty where none answers it.
    """

    key: str
    title: str
    status: str
    tone: str
    sentence: str
    failures: int
    parts: tuple[int, ...]
    newer: int
    impact: float
    share: float
    lever: str
    lever_state: str
    versions: tuple[int, ...]
    examples: tuple[Example, ...]
    copies: Copies

    @property
    def older(self) -> int:
        """Those in the older half of the window."""
        return self.failures - self.newer

    @property
    def trend(self) -> int:
        """1 where it grows, -1 where it fades, 0 where two standard deviations say that it may be chance."""
        gap = self.newer - self.older
        return 0 if gap * gap <= 4 * self.failures else 1 if gap > 0 else -1

    @property
    def reopens(self) -> bool:
        """Whether the lever can be opened again."""
        return self.lever_state in ("closed", "failed", "shipped")


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
            after = await made(asking.ports, agent.name, key, by=asking.visitor.name, reason=reason)
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
    found = await failing(asking.ports, agent.name, limit=agent.habits.window)
    keys = {one.symptom for one in found.failures}
    backlog = await asking.ports.store.read(lambda tx: _backlog(tx, agent.name, keys))
    texts = reading(asking, agent.name)
    model = failures_of(agent.name, found, backlog, chosen=_chosen(keys, chosen, reads=texts.may), said=said)
    model = without_texts(model) if texts.hidden else model
    told = "" if error is None else f"{sentence(error.message)} {sentence(error.hint)}"
    return Page(template="failures.html", model=model, title=f"Failures of {agent.name}", place="agents",
                agent=agent.name, tab="failures", live=("audit",), told=told, tone="bad" if told else "ok",
                status=200 if error is None else status_of(error))  # fmt: skip


def _chosen(keys: Iterable[str], named: str, *, reads: bool) -> str:
    """Give the cluster that an address names; who may not read names it by its digest, and guesses none by its text."""
    return next((one for one in keys if named and (masked_gap(one) == named or (reads and one == named))), "")


def _backlog(tx: Tx, agent: str, keys: Collection[str]) -> Backlog:
    levers = tx.trends.levers_of(agent, keys)
    versions = tx.versions.all(agent) if any(one.state == "shipped" for one in levers.values()) else []
    return Backlog(
        levers=levers, parents={one.number: one.parent for one in versions}, live=tx.agents.get(agent).live,
        coming=frozenset(one.number for one in versions if one.state in ("candidate", "canary")),
    )  # fmt: skip


def failures_of(agent: str, found: Failing, backlog: Backlog, *, chosen: str, said: str = "") -> Failures:
    """Cluster what was found."""
    labelled = found.verdicts.success + found.verdicts.failure
    clustered = gaps(found.failures, labelled)
    places = {one.id: PARTS - 1 - at * PARTS // len(found.failures) for at, one in enumerate(found.failures)}
    most = max((gap.impact for gap in clustered), default=0.0) or 1.0
    rows = tuple(_cluster(agent, gap, backlog, places, most) for gap in clustered[:MOST_ROWS])
    return Failures(
        agent=agent, rows=rows, shown=next((one for one in rows if chosen and one.key == chosen), None),
        window=len(found.failures), labelled=labelled, failed=found.verdicts.failure, hold=found.hold,
        single=len(found.failures) - sum(len(gap.failures) for gap in clustered), said=said,
        copies=copies(("failures", agent), "GET", f"/api/v1/agents/{agent}/failures"),
    )  # fmt: skip


def without_texts(model: Failures) -> Failures:
    """Give the page as it is for who may look, but not read what people wrote."""
    rows = tuple(map(_without_texts, model.rows))
    return replace(model, rows=rows, shown=_without_texts(model.shown) if model.shown else None, hidden=True)


def _without_texts(row: Cluster) -> Cluster:
    return replace(
        row, key=masked_gap(row.key), title=masked_title(row.key, row.failures),
        sentence="Its lever is closed." if row.lever_state == "closed" else row.sentence,  # else a person's reason
        examples=tuple(replace(one, failure=masked_failure(one.failure)) for one in row.examples),
    )  # fmt: skip


def _cluster(agent: str, gap: Gap, backlog: Backlog, places: Mapping[int, int], most: float) -> Cluster:
    lever, versions = backlog.levers.get(gap.key), sorted({one.version for one in gap.failures})
    became = recurrence(
        lever, failing=versions, live=backlog.live, parents=backlog.parents, coming=backlog.coming
    )  # fmt: skip
    parts = [0] * PARTS
    for one in gap.failures:
        parts[places[one.id]] += 1
    return Cluster(
        key=gap.key, title=gap.title, status=became.words, tone=TONES[became.fate], sentence=became.sentence,
        failures=len(gap.failures), parts=tuple(parts), newer=sum(parts[PARTS // 2 :]), impact=gap.impact,
        share=gap.impact / most, lever="" if lever is None else lever.id, versions=tuple(versions),
        lever_state="" if lever is None else lever.state, examples=_representatives(agent, gap.failures),
        copies=_lever_copies(agent, gap, lever),
    )  # fmt: skip


def _lever_copies(agent: str, gap: Gap, lever: Lever | None) -> Copies:
    if lever is None:
        body = {"failure": gap.failures[0].trace_id, "reason": "why"}
        return copies(("levers", agent, "--make", gap.failures[0].trace_id, "--by", "NAME", "--why", "TEXT"), "POST",
                      f"/api/v1/agents/{agent}/levers", body)  # fmt: skip
    return copies(("levers", agent, "--reopen", lever.id, "--by", "NAME", "--why", "TEXT"), "POST",
                  f"/api/v1/agents/{agent}/levers/{lever.id}/reopen", {"reason": "why"})  # fmt: skip


def _representatives(agent: str, found: tuple[Failure, ...]) -> tuple[Example, ...]:
    """Three that differ: the newest of each wrong answer, the more common answers first."""
    by_answer: dict[str, list[Failure]] = {}
    for one in found:
        by_answer.setdefault(one.predicted.strip().lower(), []).append(one)
    ordered = sorted(by_answer.values(), key=lambda some: -len(some))
    firsts = [some[0] for some in ordered]
    rest = [one for some in ordered for one in some[1:]]
    return tuple(Example(failure=one, copies=_case_copies(agent, one)) for one in (firsts + rest)[:SHOWN])


def _case_copies(agent: str, one: Failure) -> Copies:
    said = () if one.expected else ("--expected", "ANSWER")
    body = {"trace_id": one.trace_id} | ({} if one.expected else {"expected": "what is right"})
    return copies(("failures", agent, "--add-case", one.trace_id, *said, "--by", "NAME"), "POST",
                  f"/api/v1/agents/{agent}/cases", body)  # fmt: skip


def _address(agent: str, key: str) -> str:
    return f"/agents/{agent}/failures?cluster={quote(key, safe='')}"
