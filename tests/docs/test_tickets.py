"""The shipped data set is what its README says: large enough in every split, and no near-copy on the other side."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from surefoot.core.case import NEAR_DUPLICATE, SHINGLE_WORDS, words
from surefoot.rehearsal.rows import SHARES, Row, partition
from surefoot.rehearsal.tickets import DESCRIPTIONS, shipped_tickets

README = (Path(__file__).parents[2] / "src" / "surefoot" / "tickets" / "README.md").read_text(encoding="utf-8")
SEEDS = range(10)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return shipped_tickets()


@pytest.fixture(scope="module")
def sizes(rows: list[Row]) -> list[dict[str, int]]:
    return [{split: len(part) for split, part in partition(rows, f"seed-{seed}").items()} for seed in SEEDS]


def test_there_are_as_many_tickets_labels_and_channels_as_the_readme_says(rows: list[Row]) -> None:
    assert f"# {len(rows):,} support tickets".replace(",", " ") in README
    labels, channels = Counter(row.expected for row in rows), Counter(row.slice for row in rows)
    assert set(labels) == set(DESCRIPTIONS)
    assert len(labels) == 10
    assert f"ten labels ({min(labels.values())} to {max(labels.values())} tickets each)" in README
    for channel, count in channels.items():
        assert f"{channel} {count:,}".replace(",", " ") in README
    for label in labels:
        assert f"| `{label}` |" in README


@pytest.mark.parametrize("split", SHARES)
def test_the_readme_gives_the_sizes_of_every_split(split: str, sizes: list[dict[str, int]]) -> None:
    fewest, most = min(one[split] for one in sizes), max(one[split] for one in sizes)
    assert f"| `{split}` | {fewest:,} | {most:,} |".replace(",", " ") in README


def test_sealed_and_untouched_are_large_enough_for_every_seed(sizes: list[dict[str, int]]) -> None:
    assert min(one["sealed"] for one in sizes) >= 300
    assert min(one["untouched"] for one in sizes) >= 160
    assert all(sum(one.values()) == sum(sizes[0].values()) for one in sizes)


def test_the_shares_are_those_of_the_readme() -> None:
    told = re.search(r"Shares: (.+?)\. Over", README.replace("\n", " "))
    assert told is not None
    assert {name: float(share) for name, share in (one.split() for one in told[1].split(", "))} == SHARES


def test_no_two_tickets_on_different_sides_of_a_split_are_near_duplicates(rows: list[Row]) -> None:
    """Counted afresh here, by every shared triple, not with the code that makes the groups."""
    split_of = {row.input: split for split, part in partition(rows, "seed-7").items() for row in part}
    triples = [_triples(row.input) for row in rows]
    holders: dict[str, list[int]] = {}
    for index, mine in enumerate(triples):
        for triple in mine:
            holders.setdefault(triple, []).append(index)
    for index, mine in enumerate(triples):
        common = Counter(other for triple in mine for other in holders[triple] if other > index)
        for other, count in common.items():
            likeness = count / (len(mine) + len(triples[other]) - count)
            one, two = rows[index].input, rows[other].input
            assert likeness < NEAR_DUPLICATE or split_of[one] == split_of[two], (likeness, one, two)


def _triples(text: str) -> frozenset[str]:
    tokens = words(text)
    if len(tokens) < SHINGLE_WORDS:
        return frozenset([" ".join(tokens)])
    return frozenset(" ".join(tokens[i : i + SHINGLE_WORDS]) for i in range(len(tokens) - SHINGLE_WORDS + 1))


def test_no_ticket_carries_an_address_or_a_link(rows: list[Row]) -> None:
    suspicious = re.compile(r"\S+@\S+\.\w|https?://|www\.|\b\d{13,19}\b")
    assert [row.input for row in rows if suspicious.search(row.input)] == []
