import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.words import character_grams, name_text, stem, stems, words


@pytest.mark.parametrize(
    "forms",
    [
        "charge charges charged charging",
        "delivery deliveries",
        "cancel cancelled cancelling",
        "box boxes",
        "stop stopped",
    ],
)
def test_forms_of_one_word_share_a_stem(forms: str) -> None:
    assert len({stem(form) for form in forms.split()}) == 1


@pytest.mark.parametrize("pair", ["business busy", "need news", "thing the", "red ring", "bus bill"])
def test_different_words_keep_different_stems(pair: str) -> None:
    assert len({stem(word) for word in pair.split()}) == 2


def test_apostrophes_neither_hide_nor_break_words() -> None:
    assert words("Where's it? I don’t know; l'argent") == ("where", "it", "i", "dont", "know", "l", "argent")


def test_scripts_without_spaces_become_character_pairs() -> None:
    assert words("返金ください") == ("返金", "金く", "くだ", "ださ", "さい")
    assert set(words("我的退款在哪里")) & set(words("请退款")) == {"退款"}


def test_label_names_are_written_as_words() -> None:
    assert [name_text(name) for name in ("card_arrival", "AddToPlaylist", "lost-or/stolen", "HTTPError")] == [
        "card arrival", "Add To Playlist", "lost or stolen", "HTTP Error",
    ]  # fmt: skip


@given(st.text())
def test_any_text_gives_non_empty_lower_case_words(text: str) -> None:
    assert all(word and word == word.lower() for word in words(text))
    assert all(stems(text))
    assert len(stems(text)) == len(words(text))


@given(st.text(), st.integers(2, 5))
def test_character_runs_stay_within_words(text: str, size: int) -> None:
    assert all(len(gram) == size and " " not in gram[1:-1] for gram in character_grams(text, size))
