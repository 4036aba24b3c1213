"""Cases and their split: which are shown to an improver, and which it never sees.

A case belongs to a *group* (near-duplicates together), and a group belongs to one split for ever, by hash, before
anyone looks at the outcome. `shown` texts go to the improver, `hidden` cases test an edit on its own gap, `val` is a
random sample for search, `sealed` is opened only for a release, `later` serves as traffic that no improver saw, and
`untouched` is for measuring by people. Promise 2 (S3-05, §3-2) rests on this file.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal, get_args

from surefoot.core.digest import digest, unit_interval
from surefoot.core.errors import Invalid

Split = Literal["shown", "hidden", "val", "sealed", "later", "untouched"]
SPLITS: tuple[Split, ...] = get_args(Split)
TRAFFIC_SHARES: Mapping[Split, float] = {"shown": 0.4, "hidden": 0.2, "val": 0.2, "sealed": 0.2}

# An ideograph or a kana counts as a word, since these scripts put no space between words.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
SHINGLE_WORDS = 3
NEAR_DUPLICATE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An input with the answer that is right for it; `origin` says where it came from."""

    id: str
    agent: str
    group: str
    input: str
    expected: str
    split: Split
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    origin: str = "file"
    must_pass: bool = False


def case_id(agent: str, text: str, expected: str) -> str:
    """Name a case by its content, so that the same case arriving twice is one case."""
    return digest([agent, text, expected])[:16]


def split_of(salt: str, group: str, shares: Mapping[Split, float] = TRAFFIC_SHARES) -> Split:
    """Give the split of a group: always the same for the same salt, group and shares (which sum to 1)."""
    if abs(sum(shares.values()) - 1.0) > 1e-9 or min(shares.values()) < 0:
        raise Invalid(f"the split shares {dict(shares)} are no shares", hint="make them sum to 1, none below 0")
    point = unit_interval("split", salt, group)
    edge = 0.0
    for split, share in shares.items():
        edge += share
        if point < edge:
            return split
    return next(split for split in reversed(tuple(shares)) if shares[split] > 0)


def words(text: str) -> tuple[str, ...]:
    """Give the lower-case words of a text, in any script; all of them, so that no leak hides at the end of a text."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).lower()))


def group_key(text: str) -> str:
    """Name the group of a text standing alone: equal but for case, punctuation and white space."""
    return digest(list(words(text)) or [text.strip()])[:16]


def groups(texts: Sequence[str]) -> list[str]:
    """Give each text the key of its group; texts whose word shingles overlap by 60 % or more share one.

    Near-duplicates on both sides of a split would let an improver learn the held-out answers by heart. Likeness is
    passed on (A like B like C is one group), and the key of a group is that of its first member: a text added later
    changes it only by linking two groups. Two texts overlapping by 60 % share one of their rarest shingles, so only
    these are looked up, and of one that hundreds share only the first holders.
    """
    shingles = [_shingles(text) for text in texts]
    spread = Counter(shingle for mine in set(shingles) for shingle in mine)
    holders: dict[str, list[int]] = {}
    first: dict[frozenset[str], int] = {}
    leader = list(range(len(texts)))
    for index, mine in enumerate(shingles):
        if (twin := first.setdefault(mine, index)) != index:
            _join(leader, index, twin)
            continue
        rarest = sorted(mine, key=lambda shingle: (spread[shingle], shingle))
        for shingle in rarest[: len(mine) - ceil(NEAR_DUPLICATE * len(mine)) + 1]:
            known = holders.setdefault(shingle, [])
            for other in known[:_HOLDERS]:
                if _root(leader, other) != _root(leader, index) and _alike(mine, shingles[other]):
                    _join(leader, index, other)
            known.append(index)
    return [group_key(texts[_root(leader, index)]) for index in range(len(texts))]


_HOLDERS = 200


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    common = len(one & other)
    return common >= NEAR_DUPLICATE * (len(one) + len(other) - common)


def _shingles(text: str) -> frozenset[str]:
    tokens = words(text) or (text.strip(),)
    if len(tokens) < SHINGLE_WORDS:
        return frozenset([" ".join(tokens)])
    return frozenset(" ".join(tokens[i : i + SHINGLE_WORDS]) for i in range(len(tokens) - SHINGLE_WORDS + 1))


def _root(leader: list[int], index: int) -> int:
    while leader[index] != index:
        leader[index] = leader[leader[index]]
        index = leader[index]
    return index


def _join(leader: list[int], one: int, other: int) -> None:
    low, high = sorted((_root(leader, one), _root(leader, other)))
    leader[high] = low
