"""Failures: what went wrong lately, clustered by what it has in common, and what is known of each cluster.

The clusters are those that the next tick would make of the same window. What became of a cluster is its lever's
business: one without a lever is new; one whose lever has shipped is mended, or has come back where the live version
fails so too. The trend compares the newer half of the window with the older one, and says nothing that chance could.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surefoot.core.backlog import Failure, Gap, Lever, gaps
from surefoot.dashboard.asking import Asking
from surefoot.dashboard.links import Copies, copies
from surefoot.dashboard.pages import Page
from surefoot.engine.inspect import Failing, failing

SHOWN, MOST_ROWS = 3, 100
Known = Literal["new", "known", "being mended", "mended", "came back", "left alone"]
TONES: dict[Known, str] = {
    "new": "asks", "known": "wait", "being mended": "canary", "mended": "ok", "came back": "bad",
    "left alone": "idle",
}  # fmt: skip
_BY_LEVER: dict[str, Known] = {
    "open": "known", "doing": "being mended", "drafted": "being mended", "shipped": "mended", "failed": "known",
    "closed": "left alone",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Failures of one cause: how many of the labelled traffic, which way it goes, and three of them.

    `newer` counts those in the newer half of the window, `share` is the impact beside that of the largest.
    """

    key: str
    title: str
    status: Known
    tone: str
    failures: int
    newer: int
    impact: float
    share: float
    lever: str
    versions: tuple[int, ...]
    examples: tuple[Failure, ...]

    @property
    def older(self) -> int:
        """Those in the older half of the window."""
        return self.failures - self.newer

    @property
    def trend(self) -> int:
        """1 where it grows, -1 where it fades, 0 where two standard deviations say that it may be chance."""
        gap = self.newer - self.older
        return 0 if gap * gap <= 4 * self.failures else 1 if gap > 0 else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """The clusters by impact, how much was looked at, and why the loop would wait (empty: it would not)."""

    agent: str
    rows: tuple[Cluster, ...]
    shown: Cluster | None
    window: int
    labelled: int
    failed: int
    single: int
    hold: str
    copies: Copies


async def screen(asking: Asking) -> Page:
    """Show an agent's failures, the largest cluster first; `cluster` opens one."""
    agent = await asking.agent()
    found = await failing(asking.ports, agent.name, limit=agent.habits.window)
    levers = await asking.ports.store.read(lambda tx: {one.gap: one for one in tx.levers.all(agent.name)})
    model = failures_of(agent.name, found, levers, chosen=asking.query("cluster"), live=agent.live)
    return Page(template="failures.html", model=model, title=f"Failures of {agent.name}", place="agents",
                agent=agent.name, tab="failures", live=("audit",))  # fmt: skip


def failures_of(agent: str, found: Failing, levers: dict[str, Lever], *, chosen: str, live: int) -> Failures:
    """Cluster what was found; `levers` are those there are, by their gap."""
    labelled = found.verdicts.success + found.verdicts.failure
    clustered = gaps(found.failures, labelled)
    newest = {one.id for one in found.failures[: len(found.failures) // 2]}
    most = max((gap.impact for gap in clustered), default=0.0) or 1.0
    rows = tuple(_cluster(gap, levers.get(gap.key), newest, most, live) for gap in clustered[:MOST_ROWS])
    return Failures(
        agent=agent, rows=rows, shown=next((one for one in rows if chosen and one.key == chosen), None),
        window=len(found.failures), labelled=labelled, failed=found.verdicts.failure, hold=found.hold,
        single=len(found.failures) - sum(len(gap.failures) for gap in clustered),
        copies=copies(("failures", agent), "GET", f"/api/v1/agents/{agent}/failures"),
    )  # fmt: skip


def _cluster(gap: Gap, lever: Lever | None, newest: set[int], most: float, live: int) -> Cluster:
    status: Known = "new" if lever is None else _BY_LEVER[lever.state]
    if status == "mended" and any(one.version == live for one in gap.failures):
        status = "came back"
    return Cluster(
        key=gap.key, title=gap.title, status=status, tone=TONES[status], failures=len(gap.failures),
        newer=sum(one.id in newest for one in gap.failures), impact=gap.impact, share=gap.impact / most,
        lever="" if lever is None else lever.id, versions=tuple(sorted({one.version for one in gap.failures})),
        examples=_representatives(gap.failures),
    )  # fmt: skip


def _representatives(found: tuple[Failure, ...]) -> tuple[Failure, ...]:
    """Three that differ: the newest of each wrong answer, the more common answers first."""
    by_answer: dict[str, list[Failure]] = {}
    for one in found:
        by_answer.setdefault(one.predicted.strip().lower(), []).append(one)
    ordered = sorted(by_answer.values(), key=lambda some: -len(some))
    firsts = [some[0] for some in ordered]
    rest = [one for some in ordered for one in some[1:]]
    return tuple((firsts + rest)[:SHOWN])
