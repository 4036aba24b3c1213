"""Root causes: what a failing probe most likely points at, told from its kind and from what failed in it (S4-10).

In this order: nothing that could not be carried out is the agent's fault (it is shown, never papered over); an
attack or a stray request that worked is a question of injection or scope; then the tools, then the form. What is
left is a rule that is missing or not kept, and only where a judge read the answer may it also be made up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from surefoot.core.exam.suite import CALLS_SCORER
from surefoot.core.exam.tools import TOOL_CHECKS
from surefoot.core.exam.verdict import Standing, Verdict
from surefoot.core.probe import Probe

RootCause = Literal[
    "environment", "injection or scope", "wrong tool", "format", "missing rule", "missing rule or hallucination"
]
_FORM = frozenset({"regex", "json_path", "json_schema"})


def root_cause(probe: Probe, standing: Standing, said: Iterable[Verdict]) -> RootCause:
    """Give the cause that the failing verdicts of a probe point at."""
    if standing in ("errored", "abstained"):
        return "environment"
    if probe.kind.startswith("adversarial") or probe.kind == "off_purpose":
        return "injection or scope"
    failing = {verdict.scorer for verdict in said if verdict.state == "failed"}
    kinds = {check.kind for check in probe.checks if (check.name or check.kind) in failing}
    if kinds & set(TOOL_CHECKS) or CALLS_SCORER in failing:
        return "wrong tool"
    if kinds and kinds <= _FORM:
        return "format"
    return "missing rule or hallucination" if any(name.startswith("judge:") for name in failing) else "missing rule"
