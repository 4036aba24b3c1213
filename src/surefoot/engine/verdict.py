"""What the gate said of a version, remembered so that nothing reaches traffic without having been asked about."""

from __future__ import annotations

from datetime import datetime

from surefoot.core.errors import Conflict
from surefoot.core.version import Version
from surefoot.ports import Tx


def remember(tx: Tx, version: Version, verdict: str, at: datetime) -> None:
    """Write down the gate's verdict on a version; the latest counts."""
    tx.marks.add(_key(version, _verdicts(tx, version)), {"verdict": verdict}, at)


def must_be_judged(tx: Tx, version: Version, *, forced_by: str) -> None:
    """Raise Conflict unless the gate was asked about this version, or a person takes the responsibility."""
    if not forced_by and not _verdicts(tx, version):
        raise Conflict(
            f"{version.agent} {version.label} was never put before the gate",
            hint=f"surefoot evaluate {version.agent} {version.number}; or take the responsibility (--force --by NAME)",
        )


def _verdicts(tx: Tx, version: Version) -> int:
    """Count the verdicts there are."""
    count = 0
    while tx.marks.get(_key(version, count)) is not None:
        count += 1
    return count


def _key(version: Version, count: int) -> str:
    return f"{version.agent}/{version.label}/gate/{count}"
