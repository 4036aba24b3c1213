"""What makes the dashboard pleasant, in a real browser: keys, palette, copies, titles, paper, contrast, touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from browser import Window, browsing
from dashboard_house import Place
from town import LABELS

from surefoot.core.agent import Habits
from surefoot.core.policy import Policy
from surefoot.core.starter import starting_genome
from surefoot.engine.register import create_agent
from surefoot.engine.serve import serve

# Everything that can be pressed and is not a word in a running text; of a row that leads somewhere, the row.
PRESSED = """[...document.querySelectorAll('a, button, summary, select, input:not([type=hidden]), textarea, li, tr')]
  .filter((one) => one.checkVisibility() && !one.closest('.sr, .skip'))
  .filter((one) => one.matches('li, tr') ? one.dataset.href : getComputedStyle(one).display !== 'inline')
  .filter((one) => !one.matches('.row-link') || !one.closest('[data-href]'))
  .map((one) => { const box = (one.closest('label') ?? one).getBoundingClientRect();
                  return [one.outerHTML.slice(0, 90), Math.round(box.width), Math.round(box.height)]; })
  .filter(([, wide, high]) => wide < 24 || high < 23)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as one:
        yield one


@pytest.fixture
def window(browser: Any, hamlet: Place) -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def open_one(name: str = "", **options: Any) -> Window:
        opened.append(Window(browser, hamlet, name, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def focused(page: Any, what: str = "textContent") -> str:
    return page.evaluate(f"document.activeElement.{what}") or ""


# A tab that nobody looks at -------------------------------------------------------------------------------------------


def test_the_title_and_the_icon_count_what_waits_and_follow_without_a_reload(
    window: Callable[..., Window], hamlet: Place
) -> None:
    vera, bob = window("vera"), hamlet.reader("bob")
    page = vera.look("/")
    page.evaluate("window.sameWindow = true")
    assert page.title() == "(2) Agents · Surefoot"
    assert "icon-asks" in page.evaluate("document.getElementById('icon').href")
    assert page.inner_text("#asked").startswith("2")
    assert bob.decide("promote-refunds-v2-1", "approved").status == 303
    vera.until("document.title === '(1) Agents · Surefoot'")
    assert page.inner_text("#asked").startswith("1")
    bob.decide("promote-router-v2-1", "rejected", feedback="not now")
    vera.until("document.title === 'Agents · Surefoot'")
    assert "icon-asks" not in page.evaluate("document.getElementById('icon').href")
    assert not page.is_visible("#asked")
    assert page.evaluate("window.sameWindow")
    assert not vera.wrong


def test_the_first_request_of_an_agent_appears_by_itself(window: Callable[..., Window], hamlet: Place) -> None:
    genome = starting_genome(LABELS, task="Name the team.")
    hamlet.do(lambda app: create_agent(
        app.ports, "fresh", genome, by="founder", labels=LABELS, habits=Habits(model="apprentice"), policy=Policy(),
    ))  # fmt: skip
    vera = window("vera")
    page = vera.look("/")
    page.evaluate("window.sameWindow = true")
    row = page.locator("tr", has=page.locator("a[href='/agents/fresh/versions']"))
    assert "waiting for its first request" in row.inner_text()
    hamlet.do(lambda app: serve(app.ports, "fresh", "where is it #delivery", source="user-1"))
    vera.until("!document.body.textContent.includes('waiting for its first request')")
    assert "$" in row.inner_text()
    assert page.evaluate("window.sameWindow")


# The palette ----------------------------------------------------------------------------------------------------------


def test_the_palette_finds_by_letters_that_stand_apart_and_marks_them(window: Callable[..., Window]) -> None:
    vera = window("vera")
    page = vera.look("/")
    page.keyboard.press("Control+k")
    vera.until("document.querySelectorAll('#palette-list [role=option]').length > 5")
    page.keyboard.type("rtrlev")
    assert page.text_content("#palette-list [aria-selected=true] .what") == "router: levers"
    assert (
        "".join(page.locator("#palette-list [aria-selected=true] mark").all_text_contents()) == "rterlev"[:2] + "rlev"
    )
    page.keyboard.type("zzzz")
    assert "Nothing is called so" in page.inner_text("#palette-list")
    assert not vera.wrong


def test_the_palette_remembers_where_somebody_was_until_they_log_out(window: Callable[..., Window]) -> None:
    vera = window("vera")
    vera.look("/agents/router/levers")
    vera.look("/audit")
    page = vera.look("/")
    page.keyboard.press("Control+k")
    vera.until("document.querySelector('#palette-list .sort')")
    assert page.locator("#palette-list .what").all_text_contents()[:2] == ["Audit", "Levers of router"]
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit")
    vera.until("window.htmx !== undefined")
    page.click("form[action='/logout'] button")
    page.wait_for_url("**/login**")
    vera.until("localStorage.getItem('surefoot_visited') === null")


def test_the_palette_does_things_too(window: Callable[..., Window]) -> None:
    vera = window("vera", color_scheme="dark")
    page = vera.look("/")
    page.keyboard.press("Control+k")
    vera.until("document.querySelectorAll('#palette-list [role=option]').length > 5")
    page.keyboard.type("colours")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert not page.evaluate("document.getElementById('palette').open")
    page.keyboard.press("Control+k")
    page.keyboard.type("as json")
    page.keyboard.press("Enter")
    page.wait_for_url("**/agents.json")


# Keys -----------------------------------------------------------------------------------------------------------------


def test_n_and_p_walk_the_changes_and_c_compares_from_the_version_in_focus(window: Callable[..., Window]) -> None:
    vera = window("vera")
    page = vera.look("/agents/refunds/versions?base=1&head=2")
    page.evaluate("window.sameWindow = true")
    page.keyboard.press("n")
    first = focused(page, "id")
    page.keyboard.press("n")
    assert first.startswith("block-")
    assert focused(page, "id").startswith("block-")
    assert focused(page, "id") != first
    page.keyboard.press("p")
    assert focused(page, "id") == first
    page = vera.look("/agents/refunds/versions?base=1&head=1")
    page.evaluate("window.sameWindow = true")
    page.focus(".version-row:has(input[name=base][value='2'])")
    page.keyboard.press("c")
    vera.until("location.search.includes('base=2') && location.search.includes('head=1')")
    vera.until("document.querySelector('.pane-head h2')?.textContent.includes('v2')")
    assert page.evaluate("window.sameWindow")
    assert not vera.wrong


def test_choosing_two_versions_keeps_the_page_and_the_focus(window: Callable[..., Window]) -> None:
    vera = window("vera")
    page = vera.look("/agents/refunds/versions")
    page.evaluate("window.sameWindow = true")
    page.check("input[name=base][value='2']")
    vera.until("location.search.includes('base=2')")
    vera.until("document.body.textContent.includes('The same version twice')")
    assert focused(page, "name") == "base"
    page.go_back()
    vera.until("document.querySelectorAll('.hunk').length > 0")
    assert page.evaluate("window.sameWindow")


def test_details_that_close_give_the_focus_back_to_their_row(window: Callable[..., Window]) -> None:
    vera = window("vera")
    page = vera.look("/agents/refunds/levers")
    page.keyboard.press("j")
    page.keyboard.press("j")
    row = focused(page, "dataset.href")
    page.keyboard.press("Enter")
    vera.until("document.activeElement.closest('#slide') !== null")
    page.keyboard.press("Escape")
    vera.until("document.getElementById('slide').hidden")
    vera.until("document.activeElement.matches('[data-walk]')")
    assert focused(page, "dataset.href") == row


def test_the_first_stop_skips_to_the_content(window: Callable[..., Window]) -> None:
    page = window("vera").look("/audit")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert focused(page, "id") == "main"


# Copies ---------------------------------------------------------------------------------------------------------------


def test_a_copy_says_so_to_the_eye_and_to_a_screen_reader(window: Callable[..., Window]) -> None:
    vera = window("vera", permissions=["clipboard-read", "clipboard-write"])
    page = vera.look("/approvals/promote-refunds-v2-1")
    button = page.locator(".answers [data-copy]").first
    before, wide = button.text_content(), button.bounding_box()["width"]
    button.click()
    vera.until("document.querySelector('.is-copied')?.textContent.includes('copied')")
    vera.until("document.getElementById('said').textContent === 'copied'")
    assert button.bounding_box()["width"] >= wide
    assert page.evaluate("navigator.clipboard.readText()") == button.get_attribute("data-copy")
    vera.until("!document.querySelector('.is-copied')")
    assert button.text_content() == before
    page.keyboard.press("y")
    vera.until("document.getElementById('connection').textContent.includes('address')")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


# Paper, contrast, motion, touch ---------------------------------------------------------------------------------------


def test_a_request_on_paper_is_light_whole_and_says_what_it_is(window: Callable[..., Window]) -> None:
    bob = window("bob", color_scheme="dark")
    page = bob.look("/approvals/promote-refunds-v2-1")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for gone in (".side", ".decision", ".pane-list", ".head-acts button", ".copies"):
        assert not any(one.is_visible() for one in page.locator(gone).all()), gone
    paper = page.inner_text(".on-paper")
    assert "/approvals/promote-refunds-v2-1" in paper
    assert "by bob" in paper
    for kept in ("Is it better?", "Worst slice", "How to go back?", "What changes", "Slices, worst first"):
        assert kept in page.inner_text("main"), kept
    assert page.evaluate("[...document.querySelectorAll('details.fold')].every((one) => one.open)")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")


def test_who_wants_no_motion_gets_none(window: Callable[..., Window]) -> None:
    vera = window("vera", reduced_motion="reduce")
    page = vera.look("/agents/refunds/levers?lever=L-refund")
    page.keyboard.press("?")
    for what in ("#slide", "#help", "body"):
        assert page.evaluate(f"getComputedStyle(document.querySelector('{what}')).animationName") == "none", what


def test_in_forced_colours_signs_have_an_edge_and_the_choice_is_seen(window: Callable[..., Window]) -> None:
    vera = window("vera", forced_colors="active")
    page = vera.look("/approvals/promote-refunds-v2-1")
    assert page.evaluate("getComputedStyle(document.querySelector('.pill')).borderTopStyle") == "solid"
    assert page.evaluate("getComputedStyle(document.querySelector('.requests .picked')).outlineStyle") == "solid"
    drawn = "getComputedStyle(document.querySelector('.interval .point')).stroke"
    assert page.evaluate(drawn) != page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize(
    "path",
    ["/", "/agents/refunds/versions", "/agents/refunds/levers?lever=L-refund", "/approvals", "/audit", "/login"],
)
def test_what_can_be_pressed_is_large_enough_for_a_finger(window: Callable[..., Window], path: str) -> None:
    bob = window("bob")
    bob.page.set_viewport_size({"width": 1024, "height": 768})
    page = bob.look(path)
    assert page.evaluate(PRESSED) == []


def test_a_very_long_text_shows_its_beginning_and_opens(window: Callable[..., Window], hamlet: Place) -> None:
    long = "first words " + "and more of them " * 200 + "the last word"

    def lengthen(tx: Any) -> None:
        lever = tx.levers.get("refunds", "L-refund")
        tx.levers.put(replace(lever, note=long))

    hamlet.change(lengthen)
    bob = window("bob")
    page = bob.look("/agents/refunds/levers?lever=L-refund")
    assert "first words" in page.inner_text("#slide")
    assert "the last word" not in page.inner_text("#slide")
    page.click("#slide .fold summary")
    assert "the last word" in page.inner_text("#slide")
