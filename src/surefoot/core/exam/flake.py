"""Flakes: when a case goes into quarantine, when it comes out, and which flips are tried again before they count.

A case whose epochs disagree while nothing changed (same content, same subject, same judge) is flaky. In quarantine it
is run and shown, but neither blocks nor passes anything. It comes out when its latest trials agree `STEADY` times in
a row. A case that flipped against the baseline is tried again first: one flip of a noisy agent is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from surefoot.core.exam.suite import SuiteCase
from surefoot.core.exam.verdict import CaseResult

STEADY = 10
CONFIRM = 2


def flaky(trials: Sequence[bool]) -> bool:
    """Say whether a case with these known trials (oldest first) belongs into quarantine."""
    return len(set(trials)) > 1 and not steady(trials)


def steady(trials: Sequence[bool]) -> bool:
    """Say whether the latest trials agree often enough for a case to come out."""
    return len(trials) >= STEADY and len(set(trials[-STEADY:])) == 1


def at_odds(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> set[str]:
    """Give the cases whose counts of (passed, failed) epochs leave room for a flip between two runs."""
    return {
        case for case, (passed, failed) in one.items()
        if case in other and ((passed and other[case][1]) or (failed and other[case][0]))
    }  # fmt: skip


def to_confirm(
    cases: Sequence[SuiteCase], found: Mapping[str, CaseResult], baseline: Mapping[str, CaseResult],
    known: Mapping[str, str],
) -> list[str]:  # fmt: skip
    """Give the cases that flipped against the baseline and need more trials; `known` maps ids to digests there."""
    return [
        case.id for case in cases
        if known.get(case.id) == case.digest and case.id in found and case.id in baseline
        and {found[case.id].standing, baseline[case.id].standing} == {"passed", "failed"}
    ]  # fmt: skip
