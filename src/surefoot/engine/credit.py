"""Credit: say for each changed block which proposal wrote it, for which lever, and on which evidence.

A block is credited to the accepted proposals since the older version whose edits name it, newest first; one that no
proposal names was changed by hand, by the author of the version. Lever and evidence are ids: the texts of cases that
nobody may see are never among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from surefoot.core.errors import NotFound
from surefoot.ports import Tx

MOST_EVIDENCE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Where the text of a block comes from: a proposal, its improver, its tick, its lever, the cases it cites."""

    proposal: str
    improver: str
    tick: int
    lever: str
    title: str
    edit: str
    gap: str
    evidence: tuple[str, ...]
    evidence_more: int
    verdict: str


def credits_of(tx: Tx, agent: str, blocks: Iterable[str], *, after: int, to: int) -> dict[str, tuple[Credit, ...]]:
    """Give the credits of each block, for what was accepted on the versions from `after` up to before `to`."""
    wanted, titles = set(blocks), dict[str, str]()
    found: dict[str, list[Credit]] = {}
    for filed in reversed(tx.proposals.all(agent)):
        if filed.state != "accepted" or not min(after, to) <= filed.on < max(after, to):
            continue
        for edit in filed.proposal.edits:
            if edit.target in wanted:
                title = titles.setdefault(filed.lever, _title(tx, agent, filed.lever))
                found.setdefault(edit.target, []).append(Credit(
                    proposal=filed.id, improver=filed.proposal.improver, tick=filed.tick, lever=filed.lever,
                    title=title, edit=edit.kind, gap=edit.gap, evidence=edit.evidence[:MOST_EVIDENCE],
                    evidence_more=max(0, len(edit.evidence) - MOST_EVIDENCE),
                    verdict=str(filed.evidence.get("sentence") or ""),
                ))  # fmt: skip
    return {name: tuple(some) for name, some in found.items()}


def _title(tx: Tx, agent: str, lever: str) -> str:
    try:
        return tx.levers.get(agent, lever).title
    except NotFound:
        return ""
