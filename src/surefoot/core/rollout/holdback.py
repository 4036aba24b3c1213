"""What a holdback shows: its labels in the order of their arrival, counted by version and watched for a change.

The old version is what the new one is compared with, at one share that does not move, so a drift of both is no
change. The detector (`core.evidence.detector`) depends on the order; the counts beside it are for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from surefoot.core.evidence.detector import Label, Watch
from surefoot.core.rollout.facts import Holdback
from surefoot.core.trace import Arm


def holdback_of(
    labels: Iterable[tuple[Arm, float, bool]], *, percent: float, since: datetime, run: float,
    baseline_rate: float | None,
) -> Holdback:  # fmt: skip
    """Count the labels (arm, the promoted version's share in percent, whether it failed) and weigh them.

    `run` is the mean number of labels between false alarms; `baseline_rate` lets successes speak, None does not.
    """
    stream = [Label(arm=arm, weight_percent=weight, failed=failed) for arm, weight, failed in labels]
    watch = Watch(run=run, baseline_rate=baseline_rate).after_all(stream)
    seen = Counter((one.arm, one.failed) for one in stream)
    return Holdback(
        percent=percent, since=since, evidence=watch.evidence, alarm=watch.alarm,
        new_failures=seen["challenger", True], new_labels=seen["challenger", True] + seen["challenger", False],
        old_failures=seen["incumbent", True], old_labels=seen["incumbent", True] + seen["incumbent", False],
    )  # fmt: skip
