"""Counts of the gateway, and how Prometheus reads them. No count is named after a user, a token or a text.

How many requests there were and how long they took is counted at the door, for all rooms alike (`measures`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from surefoot.core.exposition import family, labels
from surefoot.ports.recorder import Load


@dataclass(slots=True)
class Tally:
    """What happened since the start; `records` are by what became of them: kept, late, lost or left.

    One is `left` to the program that says that it records the whole (`X-Surefoot-Part-Of`); `left` has those by agent.
    """

    records: Counter[str] = field(default_factory=Counter[str])
    finishes: Counter[str] = field(default_factory=Counter[str])
    left: Counter[str] = field(default_factory=Counter[str])
    gone: int = 0

    def text(
        self, load: Load, *, retries: int, fallbacks: int, stale: int, unkept: int, breakers: dict[str, bool]
    ) -> str:
        """Give all counts in the text format of Prometheus."""
        lines = [
            *family("gateway_records_total", "counter", "traces by what became of them", [
                (labels(state=state), self.records[state]) for state in ("kept", "late", "lost", "left")
            ]),
            *family("gateway_left_total", "counter", "requests whose trace was left to the agent's program", [
                (labels(agent=agent), n) for agent, n in sorted(self.left.items())
            ]),
            *family("gateway_answers_total", "counter", "answers by how they ended", [
                (labels(finish=finish), n) for finish, n in sorted(self.finishes.items())
            ]),
            *family("gateway_breaker_open", "gauge", "upstreams that are left alone", [
                (labels(upstream=name), int(is_open)) for name, is_open in sorted(breakers.items())
            ]),
        ]  # fmt: skip
        for name, kind, what, value in (
            ("disconnects_total", "counter", "clients that went away before their answer", self.gone),
            ("retries_total", "counter", "requests that were sent again", retries),
            ("fallbacks_total", "counter", "requests that a stand-in answered", fallbacks),
            ("stale_routes_total", "counter", "requests routed while the store could not be read", stale),
            ("unkept_pins_total", "counter", "assignments that could not be kept before the request", unkept),
            ("recorder_waiting", "gauge", "entries that wait to be written", load.waiting),
            ("recorder_written_total", "counter", "entries written", load.written),
            ("recorder_refused_total", "counter", "entries refused because too many waited", load.refused),
            ("recorder_failed_total", "counter", "entries that the store did not take", load.failed),
            ("recorder_commits_total", "counter", "transactions of the recorder", load.commits),
        ):
            lines += family(f"gateway_{name}", kind, what, [("", value)])
        return "\n".join(lines) + "\n"
