"""Markdown that does nothing: whatever is written, only our own few tags come out, whole and in time."""

from __future__ import annotations

import time
from html import unescape
from html.parser import HTMLParser

import pytest
from hostile import PAYLOADS, probes
from hypothesis import given
from hypothesis import strategies as st

from surefoot.dashboard.markdown import rendered

OURS = {"p", "b", "i", "code", "pre", "ul", "li", "br", "hr", "blockquote", "span"}
MARKS = st.text(st.sampled_from("ab *_`~#>-+1.)[](!<&\"'\n \\{}|:/\t"), max_size=120)


class Tags(HTMLParser):
    """Every tag and attribute, and whether each is closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert {name for name, _ in attrs} <= {"class"}, attrs
        assert all(value and set(value) <= set("abcdefghijklmnopqrstuvwxyz0123456789- ") for _, value in attrs)
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> str:
    made = str(rendered(text))
    tags = Tags()
    tags.feed(made)
    tags.close()
    assert tags.open == []
    assert tags.seen <= OURS
    return made


@given(MARKS | st.text(max_size=80))
def test_whatever_is_written_no_tag_comes_out_but_ours(text: str) -> None:
    checked(text)


@given(st.text(st.sampled_from("abc"), min_size=1, max_size=12), MARKS)
def test_no_word_is_lost(word: str, around: str) -> None:
    made = checked(f"{around}\n\n{word}\n\n{around}")
    assert word in unescape(made)


@pytest.mark.parametrize("within", ["{}", "# {}", "- {}", "> {}", "```\n{}\n```", "`{}`", "**{}**", "*{}*", "[{}]({})"])
@pytest.mark.parametrize("text", [*PAYLOADS, *probes(2)])
def test_no_payload_is_more_than_text(text: str, within: str) -> None:
    made = checked(within.replace("{}", text))
    for sign in ("<script", "<img", "<svg", "<iframe", "<a", "href", "onerror="):
        assert sign not in made.replace("&lt;", "").replace("onerror=&#34;", ""), sign


def test_what_is_marked_looks_marked() -> None:
    assert checked("# One\n\na **b** *c* `d`") == (
        '<p class="md-h md-h1">One</p><p>a <b>b</b> <i>c</i> <code>d</code></p>'
    )
    assert checked("- a\n  - b\n3. c") == (
        '<ul class="md-list"><li class="md-in0">a</li><li class="md-in1">b</li>'
        '<li class="md-in0 md-numbered"><span class="md-n">3.</span> c</li></ul>'
    )
    assert checked("```py\n<x> **y**\n```\n> q") == (
        "<pre><code>&lt;x&gt; **y**</code></pre><blockquote><p>q</p></blockquote>"
    )


def test_a_link_is_its_words_and_its_address_and_leads_nowhere() -> None:
    assert checked("[here](https://a.example/x)") == "<p>here <code>https://a.example/x</code></p>"
    assert checked("![x](javascript:alert)") == "<p>!x <code>javascript:alert</code></p>"


@pytest.mark.parametrize(
    "piece", ["[", "*", "`", "# ", "[a](", "> ", "- ", "**a", "```\n", "_", "~~~~", "a* ", "[](", "- a\n", "1. \n"]
)
def test_no_text_takes_longer_than_its_length_deserves(piece: str) -> None:
    text = piece * (40_000 // len(piece))
    began = time.process_time()
    checked(text)
    assert time.process_time() - began < 3  # a few milliseconds, and the reading back; the square would be minutes
