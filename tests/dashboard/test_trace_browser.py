"""Requests in a real browser: walked by keyboard, in both colours, texts that stay hidden, nothing that runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENS, Window, browsing
from dashboard_house import Place, serving
from hostile import MARK, PAYLOADS
from street import AGENT, furnish, request, trace_id
from test_traces import BROKE, LAST, LIST, LOOKUP, SESSION, hostile

MANY = f"/traces/{trace_id(9)}"
SHOWN = {
    "trace": LAST, "trace-step": f"{LAST}?span={BROKE}", "trace-tool": f"{LAST}?span={LOOKUP}",
    "trace-raw": f"{LAST}?as=raw", "trace-hidden": f"{LAST}?texts=hidden", "trace-of-many": MANY,
    "trace-deep": f"{MANY}?span={5_000:016x}", "traces": LIST, "session": SESSION,
    "traces-filtered": f"{LIST}?verdict=failure&since=7d&slice=tenant%3Dnordic", "traces-nothing": f"{LIST}?text=zzz",
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as one:
        yield one


@pytest.fixture(scope="module")
def street(hamlet_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = Path(shutil.copy(hamlet_store, tmp_path_factory.mktemp("street") / "store.db"))
    with serving(store) as place:
        furnish(place, steps=10_000)
        yield place


@pytest.fixture
def window(browser: Any, street: Place) -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def open_one(name: str, **options: Any) -> Window:
        opened.append(Window(browser, street, name, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_from_the_list_to_the_step_that_broke_and_back_by_keyboard_only(window: Callable[..., Window]) -> None:
    bob = window("bob")
    page, press = bob.look(LIST), bob.page.keyboard.press
    press("j")
    press("Enter")
    page.wait_for_url(f"**{LAST}")
    bob.until("window.htmx !== undefined")
    page.evaluate("window.sameWindow = true")
    for _ in range(6):
        press("j")
    assert "execute_tool refund" in page.evaluate("document.activeElement.textContent")
    press("Enter")
    bob.until("!document.getElementById('slide').hidden")
    assert page.url.endswith(f"{LAST}?span={BROKE}")
    assert "the card service answered 503" in page.inner_text("#slide")
    assert page.evaluate("document.activeElement.closest('#slide') !== null")
    press("k")  # from the step that is open to its neighbour
    press("Enter")
    bob.until("document.querySelector('#slide h2')?.textContent === 'search policies'")
    press("Escape")
    bob.until("document.getElementById('slide').hidden")
    assert page.url.endswith(LAST)
    page.go_back()
    bob.until("document.querySelector('#slide h2')?.textContent === 'search policies'")
    assert page.evaluate("window.sameWindow")
    assert not bob.wrong


def test_the_layout_of_texts_is_chosen_beside_the_step_and_a_reload_keeps_both(window: Callable[..., Window]) -> None:
    bob = window("bob")
    page = bob.look(f"{LAST}?span={LOOKUP}")
    assert "\n  " in page.text_content("#slide pre")
    page.click("#slide .segments a:has-text('raw')")
    bob.until("location.search.includes('as=raw')")
    assert "\n" not in page.text_content("#slide pre")
    before = page.inner_text("#slide")
    page.reload()
    bob.until("window.htmx !== undefined")
    assert page.inner_text("#slide") == before
    assert not bob.wrong


def test_new_requests_wait_behind_a_chip_and_move_no_row(window: Callable[..., Window], street: Place) -> None:
    vera = window("vera")
    page = vera.look(LIST)
    first = page.inner_text("table.traces tbody tr:first-child")
    now = datetime.now(UTC)
    street.change(lambda tx: tx.traces.add_all([
        request(700 + n, id=f"c-{n}", at=now, external_id="", agent=AGENT) for n in range(12)
    ]))  # fmt: skip
    vera.until("document.getElementById('chip').textContent === '12 new'")
    assert page.inner_text("table.traces tbody tr:first-child") == first
    page.click("#chip")
    vera.until("document.querySelectorAll('a[href^=\"/traces/c-\"]').length === 12")
    street.change(lambda tx: tx.connection.exec_driver_sql("DELETE FROM traces WHERE id LIKE 'c-%'"))
    assert not vera.wrong


def test_hidden_texts_stay_hidden_from_page_to_page_until_they_are_shown_again(window: Callable[..., Window]) -> None:
    bob = window("bob")
    page = bob.look(LAST)
    assert "What I found" in page.inner_text("main")
    page.click("[data-texts]")
    bob.until("document.querySelector('[data-texts=\"\"]') !== null")
    for path in (LAST, f"{LAST}?span={LOOKUP}", SESSION, LIST):
        words = bob.look(path).inner_text("main")
        assert "What I found" not in words
        assert "Nimbus" not in words
    page.click("[data-texts]")
    bob.until("document.querySelector('[data-texts=hidden]') !== null")
    assert "What I found" in bob.look(LAST).inner_text("main")
    assert not bob.wrong


def test_without_scripts_everything_can_still_be_read_and_hidden(window: Callable[..., Window]) -> None:
    bob = window("bob", java_script_enabled=False)
    bob.page.goto(LIST)
    bob.page.click("table.traces a.row-link >> nth=0")
    bob.page.click("a.row-link:has-text('execute_tool refund')")
    assert "answered 503" in bob.page.inner_text("#slide")
    bob.page.goto(LAST)
    bob.page.click("a:has-text('Hide texts')")
    assert "Hidden by you." in bob.page.inner_text("main")


def test_an_address_that_leads_to_one_step_of_many_shows_its_line(window: Callable[..., Window]) -> None:
    bob = window("bob")
    page = bob.look(f"{MANY}?span={5_000:016x}")
    bob.until("document.querySelector('.steps tr.picked').getBoundingClientRect().bottom < innerHeight")
    assert page.evaluate("document.querySelector('.steps tr.picked').getBoundingClientRect().top > 0")


def test_every_bar_can_be_seen_and_lies_within_its_lane(window: Callable[..., Window]) -> None:
    bob = window("bob")
    for path in (LAST, f"{MANY}?from=5100"):
        page = bob.look(path)
        bars = page.evaluate("""[...document.querySelectorAll('.steps .lane')].map((lane) => {
            const all = lane.getBoundingClientRect(), bar = lane.querySelector('rect').getBoundingClientRect();
            return [bar.width, bar.left - all.left, all.right - bar.right]; })""")
        assert len(bars) > 7
        assert all(width >= 1 and left >= -2 and right >= -2 for width, left, right in bars), path


def test_no_text_of_a_stranger_runs_or_breaks_the_layout(browser: Any, hamlet: Place) -> None:
    furnish(hamlet)
    traces = hostile(hamlet, PAYLOADS)
    paths = [
        f"/traces/{trace}?span={1 + n % 3:016x}&as={('markdown', 'json', 'raw')[n % 3]}"
        for n, trace in enumerate(traces)
    ]  # fmt: skip
    window = Window(browser, hamlet, "ana")
    try:
        for width, shown in ((1440, [*paths, LIST, "/sessions/h1"]), (768, [*paths[10:12], LIST, "/sessions/h11"])):
            window.page.set_viewport_size({"width": width, "height": 900})
            for path in shown:
                window.page.goto(path)
                assert window.page.evaluate(f"window.{MARK}") is None, path
                assert window.fits(), (path, width)
        assert not window.wrong
    finally:
        window.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_is_a_picture_fits_is_silent_and_axe_finds_nothing(
    browser: Any, street: Place, axe: str, theme: str
) -> None:  # fmt: skip
    SCREENS.mkdir(parents=True, exist_ok=True)
    window = Window(browser, street, "ana", color_scheme=theme)
    try:
        for name, path in SHOWN.items():
            page = window.look(path)
            page.wait_for_timeout(150)
            page.screenshot(path=SCREENS / f"{name}-{theme}.png", full_page="step" not in name and "many" not in name)
            assert window.fits(), name
            page.evaluate(axe)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            told = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found]
            assert not told, (name, json.dumps(told, indent=1))
            for width in (1024, 768):
                page.set_viewport_size({"width": width, "height": 900})
                assert window.fits(), (name, width)
            page.set_viewport_size({"width": 1440, "height": 900})
            assert not window.wrong, (name, window.wrong)
    finally:
        window.close()
