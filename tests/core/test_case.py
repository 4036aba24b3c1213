"""Cases: near-duplicates stay together, and a split once drawn never changes."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.case import SPLITS, TRAFFIC_SHARES, Split, case_id, group_key, groups, split_of, words
from surefoot.core.errors import Invalid

VOCABULARY = ["card", "lost", "my", "refund", "where", "is", "the", "parcel", "please", "help", "not", "arrived", "yet"]
SENTENCES = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)
TEXTS = st.lists(SENTENCES | st.text(max_size=15), max_size=12)
LONG = "i ordered a blue lamp two weeks ago and it has still not arrived at my door"


def partition(keys: list[str]) -> set[frozenset[int]]:
    return {frozenset(at for at, other in enumerate(keys) if other == key) for key in keys}


def jaccard(one: str, other: str) -> float:
    a, b = ({" ".join(w[i : i + 3]) for i in range(max(1, len(w) - 2))} for w in (words(one), words(other)))
    return len(a & b) / len(a | b)


# Groups


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LONG, LONG.upper()),
        (LONG, f"  {LONG.replace(' ', '   ')}!!! "),
        (LONG, LONG + " today"),
        (LONG, "hello " + LONG),
        ("my card has not arrived", "my card has not arrived please help"),  # three shingles of five: just 60 %
        ("please help my card has not arrived", "my card has not arrived"),
        (LONG, LONG.replace("blue", "red")),
        ("café", "cafe\u0301"),
        ("ｃａｒｄ", "card"),
        ("!!!", " !!! "),
        ("我的银行卡还没有到，请帮帮我", "我的银行卡还没有到，请帮我"),
    ],
)
def test_near_duplicates_share_a_group(one: str, other: str) -> None:
    assert len(set(groups([one, other]))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LONG, "i ordered a blue lamp and want my money back"),
        ("card lost", "lost card"),
        ("reset password", "reset pin"),
        ("!!!", "???"),
        ("", "a"),
        ("我的银行卡丢了", "我想要退款"),
    ],
)
def test_different_texts_are_different_groups(one: str, other: str) -> None:
    assert len(set(groups([one, other]))) == 2


@given(TEXTS)
def test_groups_are_exactly_what_likeness_passed_on_gives(texts: list[str]) -> None:
    leader = list(range(len(texts)))
    for _ in texts:
        for at, one in enumerate(texts):
            for to, other in enumerate(texts):
                bare = one.strip() == other.strip() or bool(words(one) and words(other))
                if bare and jaccard(one, other) >= 0.6 - 1e-12:
                    leader[at] = leader[to] = min(leader[at], leader[to])
    assert partition(groups(texts)) == partition([str(name) for name in leader])


@given(TEXTS, st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_decide_who_belongs_together(texts: list[str], seed: int) -> None:
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)
    mixed = groups([texts[at] for at in order])
    straight = groups(texts)
    assert partition(straight) == partition([mixed[order.index(at)] for at in range(len(texts))])


@given(TEXTS, TEXTS)
def test_texts_that_come_later_change_a_group_only_by_linking_it_to_an_older_one(
    old: list[str], new: list[str]
) -> None:
    before, after = groups(old), groups(old + new)[: len(old)]
    for was, now in zip(before, after, strict=True):
        assert was == now or before.index(was) > after.index(now)
    for one, two in zip(before, after, strict=True):
        assert {b for a, b in zip(before, after, strict=True) if a == one} == {two}, "no group is ever torn apart"


@given(TEXTS)
def test_the_key_of_a_group_is_that_of_its_first_member(texts: list[str]) -> None:
    keys = groups(texts)
    for at, key in enumerate(keys):
        assert key == group_key(texts[keys.index(key)])
        assert keys.index(key) <= at


def test_likeness_is_found_even_where_everybody_begins_alike() -> None:
    opening = "dear team i would like to know"
    texts = [f"{opening} thing{n} about{n} matter{n} number{n} more{n} words{n}" for n in range(600)]
    twin = texts[599] + " thanks"
    keys = groups([*texts, twin])
    assert keys[-1] == keys[599]
    assert len(set(keys)) == 600


def test_five_thousand_texts_are_grouped_in_seconds() -> None:
    lots = random.Random(1)
    texts = [" ".join(lots.choice(VOCABULARY) + str(lots.randrange(9)) for _ in range(12)) for _ in range(4_000)]
    texts += [LONG + f" order {n}" for n in range(1_000)]
    start = time.process_time()
    keys = groups(texts)
    assert time.process_time() - start < 20
    assert len(set(keys[4_000:])) == 1


# Splits


@given(st.lists(SENTENCES, min_size=1, max_size=8), st.lists(SENTENCES, max_size=8))
def test_a_case_keeps_its_split_whatever_other_cases_come(mine: list[str], others: list[str]) -> None:
    assert [split_of("s", group_key(text)) for text in mine] == [
        split_of("s", group_key(text)) for text in [*mine, *others][: len(mine)]
    ]
    keys = groups(mine)
    for one, key in enumerate(keys):
        for other, its in enumerate(keys):
            if key == its:
                assert split_of("s", keys[one]) == split_of("s", keys[other])


def test_the_shares_come_out_about_right() -> None:
    drawn = [split_of("salt", f"group{n}") for n in range(5_000)]
    for split, share in TRAFFIC_SHARES.items():
        assert drawn.count(split) / 5_000 == pytest.approx(share, abs=0.03)
    assert set(drawn) == {"shown", "hidden", "val", "sealed"} < set(SPLITS)


def test_another_salt_is_another_draw() -> None:
    one, other = ([split_of(salt, f"group{n}") for n in range(300)] for salt in ("a", "b"))
    assert 0.1 < sum(x == y for x, y in zip(one, other, strict=True)) / 300 < 0.5


@given(st.text(max_size=9), st.text(max_size=9), st.lists(st.integers(0, 9), min_size=6, max_size=6).filter(any))
def test_a_share_of_zero_is_never_drawn(salt: str, group: str, parts: list[int]) -> None:
    shares: dict[Split, float] = {split: part / sum(parts) for split, part in zip(SPLITS, parts, strict=True)}
    assert shares[split_of(salt, group, shares)] > 0


@pytest.mark.parametrize("shares", [{"shown": 0.5}, {"shown": 0.6, "val": 0.6}, {"shown": 1.5, "val": -0.5}])
def test_shares_that_are_none_are_refused(shares: dict[Split, float]) -> None:
    with pytest.raises(Invalid, match="are no shares"):
        split_of("s", "g", shares)


def test_no_shares_at_all_are_refused() -> None:
    with pytest.raises(Invalid, match="are no shares"):
        split_of("s", "g", {})


# Names


@given(SENTENCES, SENTENCES, SENTENCES)
def test_a_case_is_named_by_its_content(agent: str, text: str, expected: str) -> None:
    name = case_id(agent, text, expected)
    assert name == case_id(agent, text, expected)
    assert len(name) == 16
    assert name not in {case_id(agent + "x", text, expected), case_id(agent, text + "x", expected)}
    assert name != case_id(agent, text, expected + "x")
    assert case_id("ab", "c", "") != case_id("a", "bc", "")


def test_words_are_found_in_any_script_to_the_very_end() -> None:
    assert words("Don't PAY 3,50€ — ok?") == ("don", "t", "pay", "3", "50", "ok")
    assert words("Карта 丢了 ｃａｒｄ") == ("карта", "丢", "了", "card")
    assert words("a " * 5_000 + "end")[-1] == "end"
    assert words(" \n!") == ()
