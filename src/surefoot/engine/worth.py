"""Worth: what the last measurement said that each learned block buys, kept beside the versions and never inside them.

A worth inside a genome would change its hash, and with it everything that is bound to that hash. Each measurement is
kept whole; the last one that knows a block in exactly these words counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from surefoot.core.attribution import Worth, identity
from surefoot.core.genome import Genome
from surefoot.ports import Tx


def keep(tx: Tx, agent: str, version: int, worths: Sequence[Worth], at: datetime) -> None:
    """Keep one measurement."""
    blocks = [{**asdict(one), "value": one.value, "version": version, "at": at.isoformat()} for one in worths]
    tx.marks.add(_key(agent, len(_measurements(tx, agent))), {"blocks": blocks}, at)


def bought(tx: Tx, agent: str, genome: Genome) -> dict[str, dict[str, Any]]:
    """Give by block id what each block of a genome was last measured to buy (JSON-shaped); unmeasured ones lack."""
    last: dict[str, dict[str, Any]] = {}
    for measurement in _measurements(tx, agent):
        blocks: Any = measurement["blocks"]
        last |= {one["identity"]: one for one in blocks}
    return {block.id: last[identity(block)] for block in genome.blocks if identity(block) in last}


def values(tx: Tx, agent: str, genome: Genome) -> dict[str, float]:
    """Give by block id the number by which a full genome decides what makes room."""
    return {name: float(one["value"]) for name, one in bought(tx, agent, genome).items()}


def _measurements(tx: Tx, agent: str) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    while (one := tx.marks.get(_key(agent, len(found)))) is not None:
        found.append(one)
    return found


def _key(agent: str, count: int) -> str:
    return f"{agent}/worth/{count}"
