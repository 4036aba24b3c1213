"""Counts as Prometheus reads them, and those of several workers put together.

Each worker counts for itself, so a sample gets the worker's number as a label, and the samples of one family stand
together, as the format demands. Nothing is added up: a counter of a worker that was started again begins at 0, which
whoever reads it knows how to deal with, and a sum would hide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
Sample = tuple[str, float]
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
_SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?P<labels>\{.*\})? (?P<value>-?[0-9][0-9.e+-]*)")


def family(name: str, kind: str, what: str, samples: Iterable[Sample]) -> list[str]:
    """Give the lines of one family; a sample is its labels, as `labels` gives them, and its value."""
    full = f"surefoot_{name}"
    return [f"# HELP {full} {what}", f"# TYPE {full} {kind}", *(f"{full}{told} {value}" for told, value in samples)]


def labels(**given: str | int) -> str:
    """Give labels as they stand behind a name."""
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in given.items()) + "}"


def histogram(name: str, what: str, series: Mapping[str, Sequence[int]], sums: Mapping[str, float]) -> list[str]:
    """Give a family of histograms by route; a series holds a count for each of `BUCKETS`, and one for the rest."""
    full, lines = f"surefoot_{name}", list[str]()
    for route, counts in sorted(series.items()):
        so_far = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            so_far += count
            lines.append(f"{full}_bucket{labels(route=route, le=bound)} {so_far}")
        lines += [
            f"{full}_sum{labels(route=route)} {round(sums[route], 6)}",
            f"{full}_count{labels(route=route)} {so_far}",
        ]
    return [f"# HELP {full} {what}", f"# TYPE {full} histogram", *lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One sample as it was read."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float

    def label(self, name: str) -> str:
        """Give a label; empty if the sample has none of this name."""
        return dict(self.labels).get(name, "")


def readings(text: str) -> list[Reading]:
    """Read samples back; a line that is none is left out."""
    found = (_SAMPLE.fullmatch(line) for line in text.split("\n"))
    return [
        Reading(
            name=one["name"], value=float(one["value"]),
            labels=tuple((name, _plain(value)) for name, value in _LABEL.findall(one["labels"] or "")),
        )
        for one in found if one is not None
    ]  # fmt: skip


def labelled(text: str, worker: int) -> str:
    """Give a text of samples with the worker's number in each."""
    return "\n".join(_with(line, worker) for line in text.split("\n"))


def merged(texts: Iterable[str]) -> str:
    """Put the samples of several texts together, family by family, in the order in which families first come."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in texts:
        current = ""
        for line in text.split("\n"):
            if line.startswith(("# HELP ", "# TYPE ")):
                current = line.split(" ", 3)[2]
                told = heads.setdefault(current, [])
                if line not in told and len(told) < 2:
                    told.append(line)
            elif line:
                samples.setdefault(current, []).append(line)
    return "".join(f"{line}\n" for name in heads for line in (*heads[name], *samples.get(name, [])))


def _with(line: str, worker: int) -> str:
    if not line or line.startswith("#"):
        return line
    name, brace, rest = line.partition("{")
    if brace and " " not in name:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = line.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
