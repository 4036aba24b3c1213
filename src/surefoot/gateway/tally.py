"""Counts of the gateway, and how Prometheus reads them. No count is named after a user, a token or a text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from surefoot.ports.recorder import Load


@dataclass(slots=True)
class Tally:
    """What happened since the start; `records` are by what became of them: kept, late or lost."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    records: Counter[str] = field(default_factory=Counter[str])
    finishes: Counter[str] = field(default_factory=Counter[str])
    gone: int = 0
    seconds: float = 0.0
    in_flight: int = 0

    def text(
        self, load: Load, *, retries: int, fallbacks: int, stale: int, unkept: int, breakers: dict[str, bool]
    ) -> str:
        """Give all counts in the text format of Prometheus."""
        lines = [
            *_family("requests_total", "counter", "answers by route and status", [
                (f'{{route="{route}",status="{status}"}}', n) for (route, status), n in sorted(self.requests.items())
            ]),
            *_family("records_total", "counter", "traces by what became of them", [
                (f'{{state="{state}"}}', self.records[state]) for state in ("kept", "late", "lost")
            ]),
            *_family("answers_total", "counter", "answers by how they ended", [
                (f'{{finish="{finish}"}}', n) for finish, n in sorted(self.finishes.items())
            ]),
            *_family("breaker_open", "gauge", "upstreams that are left alone", [
                (f'{{upstream="{name}"}}', int(is_open)) for name, is_open in sorted(breakers.items())
            ]),
        ]  # fmt: skip
        for name, kind, what, value in (
            ("disconnects_total", "counter", "clients that went away before their answer", self.gone),
            ("request_seconds_total", "counter", "time spent on requests", round(self.seconds, 6)),
            ("requests_in_flight", "gauge", "requests being answered", self.in_flight),
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
            lines += _family(name, kind, what, [("", value)])
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, what: str, samples: list[tuple[str, float]]) -> list[str]:
    full = f"surefoot_gateway_{name}"
    return [f"# HELP {full} {what}", f"# TYPE {full} {kind}", *(f"{full}{labels} {value}" for labels, value in samples)]
