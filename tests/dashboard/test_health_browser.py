"""Health and the deeds on failures in a real browser: by keyboard, live, readable, in both colours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENS, Window, browsing
from dashboard_house import Place
from ward import fall_ill, spans, whole_server

from surefoot.engine.incident import close

pytestmark = pytest.mark.timeout(300)
AXE_RUN = "axe.run(document, {resultTypes: ['violations']})"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as one:
        yield one


@pytest.fixture
def ill(hamlet_store: Path, tmp_path: Path) -> Iterator[Place]:
    with whole_server(Path(shutil.copy(hamlet_store, tmp_path / "store.db"))) as place:
        fall_ill(place)
        yield place


def test_health_is_readable_in_both_colours_on_a_desk_and_on_a_tablet(browser: Any, ill: Place, axe: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        window = Window(browser, ill, "ana", color_scheme=theme, bypass_csp=True)
        try:
            page = window.look("/status")
            page.screenshot(path=SCREENS / f"health-ill-{theme}.png", full_page=True)
            page.add_script_tag(content=axe)
            found = page.evaluate(AXE_RUN)["violations"]
            assert not found, json.dumps([(one["id"], one["nodes"][0]["html"]) for one in found])
            assert window.fits()
            page.set_viewport_size({"width": 768, "height": 1024})
            assert window.fits()
            assert not window.wrong
        finally:
            window.close()


def test_a_line_that_is_mended_turns_good_by_itself(browser: Any, ill: Place) -> None:
    window = Window(browser, ill, "ana")
    try:
        page = window.look("/status")
        assert page.locator("#people-incidents .pill").inner_text().strip() == "bad"
        for one in ill.see(lambda tx: [alarm.id for alarm in tx.incidents.all(state="open")]):
            ill.do(lambda app, one=one: close(app.ports, one, by="ana", note="seen"))
        window.until("document.querySelector('#people-incidents .pill').textContent.trim() === 'good'", within_s=40)
        spans(ill.reader(), "again")
        assert not window.wrong
    finally:
        window.close()


def test_by_keyboard_one_comes_to_health_and_walks_its_lines(browser: Any, ill: Place) -> None:
    window = Window(browser, ill, "vera")
    try:
        page, press = window.look("/"), window.page.keyboard.press
        press("g")
        press("h")
        page.wait_for_url("**/status")
        window.until("window.htmx !== undefined")
        press("j")
        assert page.evaluate("document.activeElement.classList.contains('health-line')")
        page.click("text=Webhooks >> nth=0")
        assert page.url.endswith("#outside-webhooks")
        assert not window.wrong
    finally:
        window.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_lever_and_a_case_are_made_by_keyboard_and_their_questions_are_readable(
    browser: Any, ill: Place, axe: str, theme: str
) -> None:
    window = Window(browser, ill, "ana", color_scheme=theme, bypass_csp=True)
    try:
        page = window.look("/agents/refunds/failures?cluster=missed:technical")
        page.focus("[popovertarget=make-lever]")
        page.keyboard.press("Enter")
        page.add_script_tag(content=axe)
        found = page.evaluate(AXE_RUN)["violations"]
        assert not found, json.dumps([(one["id"], one["nodes"][0]["html"]) for one in found])
        page.screenshot(path=SCREENS / f"make-lever-{theme}.png")
        page.keyboard.type("three people called")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/agents/refunds/levers?lever=*")
        window.until("document.body.textContent.includes('The lever is in the backlog.')")
        page = window.look("/agents/refunds/failures?cluster=missed:technical")
        page.focus("[popovertarget=case-1]")
        page.keyboard.press("Enter")
        page.screenshot(path=SCREENS / f"add-case-{theme}.png")
        page.click("#case-1 button.primary")
        window.until("document.body.textContent.includes('It is a case now.')")
        assert [one.actor for one in ill.see(lambda tx: tx.audit.all()) if one.action == "case-added"] == ["ana"]
        assert not window.wrong
    finally:
        window.close()
