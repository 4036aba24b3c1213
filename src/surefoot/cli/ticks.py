"""The report of a tick, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen

TICK_KEYS = (
    "tick outcome reason lever title proposal rationale sentence refusals[] trials[] cost_usd release rollout draft "
    "waits advice"
)
TONES = {
    "accepted": "green",
    "rejected": "yellow",
    "refused": "yellow",
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
}


def tick_document(report: Mapping[str, Any]) -> dict[str, Any]:
    """Give the report of a tick under all documented keys; null where a tick did not come so far."""
    return {key.removesuffix("[]"): report.get(key.removesuffix("[]")) for key in TICK_KEYS.split()}


def show_tick(screen: Screen, agent: str, report: Mapping[str, Any]) -> None:
    """Print the report of a tick."""
    outcome = str(report["outcome"]).replace("_", " ")
    what = f" {report['lever']}, {report['title']}" if "lever" in report else ""
    screen.line(f"tick {report['tick']}: {outcome}{what}", TONES.get(str(report["outcome"]), ""))
    for key in ("reason", "rationale", "sentence", "waits"):
        if report.get(key):
            screen.line(f"  {report[key]}")
    for refusal in report.get("refusals", ()):
        screen.line(f"  refused: {refusal}", "yellow")
    if release := report.get("release"):
        verdict = f"v{release['version']} may go on" if release.get("version") else "not released"
        screen.line(f"  release ({release['reason']}): {verdict}")
        for look in release.get("looks", ()):
            screen.line(f"    {look['verdict']}: {look['sentence']}", TONES.get(str(look["verdict"]), ""))
    if report.get("advice"):
        screen.line(f"  {report['advice']['sentence']}", "yellow")
    if report.get("rollout"):
        screen.line(f"  rollout {report['rollout']}")
        screen.note(f"  next: surefoot rollout show {agent}, surefoot loop {agent}")
    elif report.get("draft"):
        screen.note(f"  the draft holds {report['draft']} lever(s): surefoot diff {agent} draft")
