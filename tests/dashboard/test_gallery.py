"""Every screen that the application has, by its own list: a picture in both colours, and nothing that is wrong with it.

A new screen is in here the moment it is in the list; one that needs a new kind of address fails until it has a sample.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENS as KEPT
from browser import Window, browsing
from dashboard_house import Place, serving
from street import furnish, request, trace_id

from surefoot.dashboard.application import SCREENS

SAMPLES: dict[str, Callable[[Any], str]] = {
    "agent": lambda _: "refunds",
    "rollout": lambda tx: tx.rollouts.all("intake")[-1].id,
    "approval": lambda _: "promote-refunds-v2-1",
    "trace": lambda _: trace_id(4),
    "session": lambda _: request(4).session,
    "eval": lambda tx: next(one.id for one in tx.evals.runs(limit=20, agents=["refunds"]) if one.state == "done"),
}
# What lies over a page: where, and how it comes up.
OVER: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("palette", "/", ("Control+k",)),
    ("help", "/", ("?",)),
    ("slide", "/agents/refunds/levers?lever=L-refund", ()),
    ("entry", "/audit?entry=3", ()),
    ("act", "ROLLOUT", ("d", "Enter")),
    ("copies", "/agents/refunds/versions", ()),
)
AXE_RUN = "axe.run(document, {resultTypes: ['violations']})"


@pytest.fixture(scope="module")
def gallery(examined_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(Path(shutil.copy(examined_store, tmp_path_factory.mktemp("gallery") / "store.db"))) as place:
        furnish(place, steps=60)
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as one:
        yield one


def addresses(place: Place) -> dict[str, str]:
    """The address of every screen by a name for its picture, filled with what the gallery has."""

    def fill(found: re.Match[str]) -> str:
        assert found[1] in SAMPLES, f"give the gallery a sample for {{{found[1]}}}"
        return place.see(SAMPLES[found[1]])

    def name(pattern: str) -> str:
        return re.sub(r"[^a-z]+", "-", re.sub(r":\w+", "", pattern)).strip("-")

    found = {name(pattern): re.sub(r"\{(\w+)(?::\w+)?\}", fill, pattern) for pattern, _ in SCREENS}
    return found | {"agents-agent-traces-fresh": asked_again(place, found["agents-agent-traces"])}


def asked_again(place: Place, path: str) -> str:
    """What the list of requests asks again, from its own address."""
    found = re.search(r'data-fresh="([^"]+)"', place.reader("ana").look(path).text)
    assert found, "the list of requests no longer asks whether there are new ones"
    return unescape(found[1]).replace(".json?", "?")


def checked(window: Window, axe: str, name: str) -> None:
    """Fits, says nothing to the console, and axe finds nothing."""
    assert window.fits(), name
    assert not window.wrong, (name, window.wrong)
    window.page.evaluate(axe)
    found = window.page.evaluate(AXE_RUN)["violations"]
    told = [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]
    assert not told, (name, json.dumps(told, indent=1))


def test_every_screen_of_the_list_answers_for_people_and_for_programs(gallery: Place) -> None:
    reader = gallery.reader("ana")
    for name, path in addresses(gallery).items():
        page = reader.look(path)
        assert page.status == 200, (name, page.words[:200])
        plain, _, query = path.partition("?")
        assert reader.look(f"{plain}.json?{query}").status == 200, name


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_of_the_list_is_kept_as_a_picture_and_is_right(
    browser: Any, gallery: Place, axe: str, theme: str
) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    window = Window(browser, gallery, "ana", color_scheme=theme)
    try:
        for name, path in addresses(gallery).items():
            page = window.look(path)
            page.wait_for_timeout(250)
            picture = KEPT / f"all-{name}-{theme}.png"
            picture.unlink(missing_ok=True)
            page.screenshot(path=picture, full_page=True)
            assert picture.stat().st_size > 5_000, name
            checked(window, axe, name)
    finally:
        window.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("width", [768, 1024])
def test_every_screen_of_the_list_fits_on_a_tablet(browser: Any, gallery: Place, width: int) -> None:
    window = Window(browser, gallery, "ana", color_scheme="light" if width == 768 else "dark")
    window.page.set_viewport_size({"width": width, "height": 1024})
    try:
        for name, path in addresses(gallery).items():
            window.look(path).screenshot(path=KEPT / f"all-{name}-{width}.png", full_page=True)
            assert window.fits(), name
    finally:
        window.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_lies_over_a_page_is_kept_as_a_picture_and_is_right(
    browser: Any, gallery: Place, axe: str, theme: str
) -> None:
    window = Window(browser, gallery, "ana", color_scheme=theme)
    rollout = gallery.see(SAMPLES["rollout"])
    try:
        for name, path, keys in OVER:
            page = window.look(path.replace("ROLLOUT", f"/rollouts/{rollout}"))
            for key in keys:
                page.keyboard.press(key)
            if name == "copies":
                page.locator(".copies summary").first.click()
            page.wait_for_timeout(350)
            page.screenshot(path=KEPT / f"over-{name}-{theme}.png")
            checked(window, axe, name)
    finally:
        window.close()
