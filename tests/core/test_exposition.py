"""Counts of several workers in one text: every sample is there once, beside its family, with its worker's number."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.exposition import BUCKETS, family, histogram, labelled, labels, merged

LINE = re.compile(r'surefoot_[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? [0-9.e+-]+')


def text(n: int) -> str:
    lines = [
        *family("requests_total", "counter", "how many", [(labels(route="/x", status=200), n), (labels(a="b"), 1)]),
        *family("waiting", "gauge", "now", [("", n)]),
    ]
    return "\n".join(lines) + "\n"


def test_the_samples_of_a_family_stand_together_and_are_told_apart_by_worker() -> None:
    whole = merged([labelled(text(3), 1), labelled(text(5), 2)])
    assert whole.splitlines() == [
        "# HELP surefoot_requests_total how many",
        "# TYPE surefoot_requests_total counter",
        'surefoot_requests_total{worker="1",route="/x",status="200"} 3',
        'surefoot_requests_total{worker="1",a="b"} 1',
        'surefoot_requests_total{worker="2",route="/x",status="200"} 5',
        'surefoot_requests_total{worker="2",a="b"} 1',
        "# HELP surefoot_waiting now",
        "# TYPE surefoot_waiting gauge",
        'surefoot_waiting{worker="1"} 3',
        'surefoot_waiting{worker="2"} 5',
    ]


@given(st.text(max_size=30))
def test_no_label_breaks_out_of_its_quotes(value: str) -> None:
    (line,) = family("x", "gauge", "x", [(labels(route=value), 1)])[2:]
    assert LINE.fullmatch(line)
    assert LINE.fullmatch(labelled(line, 7))


def test_a_histogram_counts_up_to_its_count() -> None:
    counts = [1] * (len(BUCKETS) + 1)
    lines = histogram("seconds", "time", {"/x": counts}, {"/x": 2.5})
    values = [int(line.rsplit(" ", 1)[1]) for line in lines if "_bucket" in line]
    assert values == list(range(1, len(BUCKETS) + 2))
    assert lines[-2:] == ['surefoot_seconds_sum{route="/x"} 2.5', f'surefoot_seconds_count{{route="/x"}} {values[-1]}']
