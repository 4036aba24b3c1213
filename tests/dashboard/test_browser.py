"""In a real browser: decisions by keyboard, pages that move by themselves, nothing that runs or breaks the layout."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import Window, browsing
from dashboard_house import Place, serving
from hostile import MARK, PAYLOADS, poison, probes
from town import goes_on

from surefoot.core.token import hashed

SOURCE = Path(__file__).parents[2] / "src"


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


def rollout(place: Place, agent: str) -> str:
    return place.see(lambda tx: tx.rollouts.all(agent)[-1].id)


def test_a_person_approves_a_canary_by_keyboard_only(window: Callable[..., Window], hamlet: Place) -> None:
    bob = window("bob")
    page, press = bob.look("/"), bob.page.keyboard.press
    press("g")
    press("p")
    page.wait_for_url("**/approvals")
    bob.until("window.htmx !== undefined")
    for _ in range(6):  # walk to the request, wherever it stands
        press("j")
        if "/approvals/promote-refunds-v2-1" in (page.evaluate("document.activeElement.dataset.href") or ""):
            break
    press("Enter")
    page.wait_for_url("**/approvals/promote-refunds-v2-1")
    bob.until("window.htmx !== undefined")
    press("d")
    assert page.evaluate("document.activeElement.id") == "feedback"
    page.keyboard.type("the rules read right")
    press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Approve"
    press("Enter")
    page.wait_for_url("**/approvals/promote-refunds-v2-1")
    bob.until("document.body.textContent.includes('Approved.')")
    assert hamlet.see(lambda tx: tx.agents.get("refunds").live) == 2
    asked = hamlet.see(lambda tx: tx.approvals.get("promote-refunds-v2-1"))
    assert (asked.decided_by, asked.feedback) == ("bob", "the rules read right")
    assert not bob.wrong


def test_a_live_rollout_moves_without_a_reload(window: Callable[..., Window], hamlet: Place) -> None:
    vera, one = window("vera"), rollout(hamlet, "intake")
    page = vera.look(f"/rollouts/{one}")
    page.evaluate("window.sameWindow = true")
    vera.until("document.querySelector('#chart canvas')")
    before = page.text_content("main")
    hamlet.do(lambda app: goes_on(app.ports, "intake", one, 40))
    steps = hamlet.see(lambda tx: tx.rollouts.get(one).steps)
    vera.until(f"document.querySelector('.events summary').textContent.includes('of {steps}')")
    assert page.text_content("main") != before
    assert page.evaluate("window.sameWindow")
    assert page.locator("#chart canvas").count() == 1
    assert not vera.wrong


def test_a_page_does_not_change_under_somebody_who_is_writing(window: Callable[..., Window], hamlet: Place) -> None:
    bob = window("bob")
    page = bob.look("/approvals/promote-refunds-v2-1")
    page.fill("#feedback", "half a thou")
    asked = hamlet.see(lambda tx: tx.approvals.get("promote-refunds-v2-1"))
    hamlet.change(
        lambda tx: (
            tx.approvals.swap(asked, replace(asked, evidence_digest="e" * 64)),
            tx.audit.append(at=asked.requested_at, actor="x", action="y", subject="refunds", payload={}),
        )
    )
    bob.until("!document.getElementById('chip').hidden")
    assert page.input_value("#feedback") == "half a thou"
    page.click("button[value=approved]")
    bob.until("document.querySelector('[role=alert]')")
    assert "has changed since you looked at it" in page.text_content("[role=alert]")
    assert page.input_value("#feedback") == "half a thou"
    assert hamlet.see(lambda tx: tx.agents.get("refunds").live) == 1


def test_new_entries_wait_behind_a_chip_and_move_no_row(window: Callable[..., Window], hamlet: Place) -> None:
    vera = window("vera")
    page = vera.look("/audit")
    first = page.text_content(".audit tbody tr:first-child")
    at = hamlet.see(lambda tx: tx.audit.all()[-1].at)
    hamlet.change(
        lambda tx: [tx.audit.append(at=at, actor="x", action="y", subject="z", payload={}) for _ in range(12)]
    )
    vera.until("document.getElementById('chip').textContent === '12 new'")
    assert page.text_content(".audit tbody tr:first-child") == first
    page.click("#chip")
    vera.until("!document.querySelector('.audit tbody tr:first-child').textContent.includes('agent created')")
    assert "z" in page.text_content(".audit tbody tr:first-child")


def test_a_viewer_is_shown_no_button_and_no_way_to_press_one(window: Callable[..., Window], hamlet: Place) -> None:
    vera = window("vera")
    for path in ("/", "/approvals/promote-refunds-v2-1", f"/rollouts/{rollout(hamlet, 'intake')}"):
        page = vera.look(path)
        assert page.locator("main form[method=post]").count() == 0, path
        assert page.locator("main [popovertarget]").count() == 0, path


@pytest.mark.parametrize(
    "path",
    [
        "/audit?entry=5&agent=refunds",
        "/agents/refunds/levers?lever=L-refund",
        "/agents/refunds/versions?base=2&head=1",
        "/agents/refunds/lessons?q=verify",
    ],
)
def test_an_address_reloads_to_the_same_view(window: Callable[..., Window], path: str) -> None:
    vera = window("vera")
    page = vera.look(path)
    before = page.inner_text("main")
    page.reload()
    vera.until("window.htmx !== undefined")
    page.wait_for_timeout(400)  # the chain is walked beside
    assert page.inner_text("main").split("walking the chain")[0][:200] == before.split("walking the chain")[0][:200]
    assert page.url.endswith(path)


def test_details_slide_over_the_list_and_the_address_knows_them(window: Callable[..., Window]) -> None:
    vera = window("vera")
    page = vera.look("/agents/refunds/levers")
    page.evaluate("window.sameWindow = true")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    vera.until("!document.getElementById('slide').hidden")
    assert "lever=L-" in page.url
    assert page.evaluate("document.activeElement.closest('#slide') !== null")
    page.keyboard.press("Escape")
    vera.until("document.getElementById('slide').hidden")
    assert "lever=" not in page.url
    page.go_back()
    vera.until("!document.getElementById('slide').hidden")
    assert page.evaluate("window.sameWindow")
    assert not vera.wrong


def test_the_palette_goes_anywhere_by_a_few_letters(window: Callable[..., Window]) -> None:
    vera = window("vera")
    page = vera.look("/audit")
    page.keyboard.press("Control+k")
    vera.until("document.querySelectorAll('#palette-list li').length > 5")
    page.keyboard.type("router lev")
    assert page.text_content("#palette-list [aria-selected=true]").startswith("router: levers")
    page.keyboard.press("Enter")
    page.wait_for_url("**/agents/router/levers")
    vera.until("window.htmx !== undefined")
    page.keyboard.press("?")
    assert page.evaluate("document.getElementById('help').open")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('help').open")


def test_a_deed_is_asked_about_with_its_reason_before_it_is_done(window: Callable[..., Window], hamlet: Place) -> None:
    olga, one = window("olga"), rollout(hamlet, "intake")
    page = olga.look(f"/rollouts/{one}")
    page.keyboard.press("d")
    assert page.evaluate("document.activeElement.textContent") == "Hold"
    page.keyboard.press("Enter")
    olga.until("document.activeElement.id === 'why-hold'")
    page.keyboard.type("looking at the replies")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/rollouts/*")
    olga.until("document.body.textContent.includes('Held.')")
    assert hamlet.see(lambda tx: tx.rollouts.get(one).state) == "frozen"
    assert not olga.wrong


def test_the_colours_follow_the_system_until_somebody_chooses(window: Callable[..., Window]) -> None:
    vera = window("vera", color_scheme="dark")
    page = vera.look("/")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("[data-theme-next]")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_without_scripts_a_person_can_still_decide(window: Callable[..., Window], hamlet: Place) -> None:
    bob = window("bob", java_script_enabled=False)
    bob.page.goto("/approvals/promote-refunds-v2-1")
    bob.page.click("button[value=approved]")
    assert "Approved." in bob.page.text_content("main")
    assert hamlet.see(lambda tx: tx.agents.get("refunds").live) == 2


def test_no_text_of_a_stranger_runs_or_breaks_the_layout(browser: Any, hamlet: Place) -> None:
    texts = (*PAYLOADS, *probes(8))
    hamlet.change(lambda tx: poison(tx, "refunds", texts))
    window = Window(browser, hamlet, "ana")
    last = hamlet.see(lambda tx: tx.audit.last())
    one = rollout(hamlet, "refunds")
    paths = [
        "/",
        "/agents/refunds/versions",
        "/agents/refunds/versions?base=1&head=3",
        "/agents/refunds/levers",
        "/agents/refunds/levers?lever=L-x10",
        "/agents/refunds/lessons",
        "/approvals/promote-refunds-v2-1",
        f"/rollouts/{one}",
        "/agents/refunds/rollouts",
        "/audit",
        f"/audit?entry={last - 3}",
        f"/audit?entry={last - len(texts) + 11}",
    ]
    try:
        for path in paths:
            page = window.look(path)
            page.wait_for_timeout(60)
            assert page.evaluate(f"window.{MARK}") is None, path
            assert window.fits(), path
        assert not window.wrong
    finally:
        window.close()


@pytest.mark.slow
def test_the_stream_survives_a_restart_of_the_real_server(
    browser: Any, hamlet_store: Path, copied: Callable[[Path], Path], tmp_path: Path
) -> None:
    """`surefoot serve` is killed with SIGKILL under an open page and started again; the page notices and catches up."""
    store = copied(hamlet_store)
    (tmp_path / "surefoot.toml").write_text(
        f'store = "{store}"\n[tokens.vera]\nsha256 = "{hashed("sf_vera")}"\nrole = "viewer"\n', encoding="utf-8"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(copied(hamlet_store).parent / "store.db") as beside:  # the same store, for what happens meanwhile
        place = replace(beside, port=port)
        server = _served(tmp_path, port)
        window = None
        try:
            window = Window(browser, place, "vera")
            page = window.look("/audit")
            page.evaluate("window.sameWindow = true")
            server.send_signal(signal.SIGKILL)
            server.wait(10)
            window.until("document.getElementById('connection').textContent.includes('connection lost')")
            at = beside.see(lambda tx: tx.audit.all()[-1].at)
            beside.change(
                lambda tx: [tx.audit.append(at=at, actor="x", action="y", subject="z", payload={}) for _ in range(3)]
            )
            server = _served(tmp_path, port)
            window.until("document.getElementById('chip').textContent === '3 new'", within_s=20)
            assert "lost" not in page.text_content("#connection")
            assert page.evaluate("window.sameWindow")
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            server.wait(15)  # an open stream does not keep the server from leaving
            assert time.monotonic() - began < 10
        finally:
            if window is not None:
                window.close()
            server.kill()
            server.wait(10)


def _served(folder: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    server = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.1)
    server.kill()
    raise AssertionError("the server did not come up")
