"""Every screen in both colours: kept as pictures, complete for a screen reader, readable, within the window, silent."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENS, Window, browsing
from dashboard_house import Place, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def town(town_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(Path(shutil.copy(town_store, tmp_path_factory.mktemp("shown") / "store.db"))) as place:
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as one:
        yield one


def screens(place: Place) -> dict[str, str]:
    """Every screen by a name for its picture."""
    rollouts = place.see(lambda tx: [one for agent in tx.agents.all() for one in tx.rollouts.all(agent.name)])
    shown = {
        "agents": "/",
        "versions": "/agents/support/versions",
        "versions-any-two": "/agents/support/versions?base=1&head=4",
        "rollouts": "/agents/support/rollouts",
        "failures": "/agents/support/failures",
        "levers": "/agents/support/levers",
        "failure": "/agents/support/failures?cluster=missed%3Arefund",
        "lever": "/agents/support/levers?lever=L-refund",
        "lessons": "/agents/support/lessons",
        "approvals": "/approvals",
        "approval-of-two": "/approvals/promote-router-v2-1",
        "approval-decided": "/approvals/promote-support-v2-1",
        "audit": "/audit",
        "audit-entry": "/audit?entry=20",
        "login": "/login",
        "nothing-first": "/agents/greeter/rollouts",
        "nothing-matches": "/audit?actor=nobody",
        "missing": "/agents/nobody/versions",
    }
    return shown | {f"rollout-{one.agent}-{one.state}": f"/rollouts/{one.id}" for one in rollouts}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_is_kept_as_a_picture_and_fits_and_is_silent(browser: Any, town: Place, theme: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    window = Window(browser, town, "ana", color_scheme=theme)
    try:
        for name, path in screens(town).items():
            page = window.look(path)
            page.wait_for_timeout(250)
            page.screenshot(
                path=SCREENS / f"{name}-{theme}.png", full_page=name not in ("audit", "audit-entry", "lever", "failure")
            )
            assert window.fits(), name
            expected = 1 if name == "missing" else 0
            assert len(window.wrong) == expected, (name, window.wrong)
            window.wrong.clear()
    finally:
        window.close()


@pytest.mark.parametrize("width", [768, 1024])
def test_every_screen_fits_on_a_tablet(browser: Any, town: Place, width: int) -> None:
    window = Window(browser, town, "ana")
    window.page.set_viewport_size({"width": width, "height": 1024})
    try:
        for name, path in screens(town).items():
            page = window.look(path)
            if width == 768 and name in ("agents", "approvals", "versions", "rollout-support-canary"):
                page.screenshot(path=SCREENS / f"{name}-tablet.png", full_page=True)
            assert window.fits(), name
    finally:
        window.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_screen(browser: Any, town: Place, axe: str, theme: str) -> None:
    window = Window(browser, town, "ana", color_scheme=theme)
    try:
        for name, path in screens(town).items():
            page = window.look(path)
            page.wait_for_timeout(200)
            page.evaluate(axe)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            told = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found]
            assert not told, (name, json.dumps(told, indent=1))
    finally:
        window.close()


def test_no_page_of_the_town_goes_through_all_that_is_stored(town: Place) -> None:
    reader, slow = town.reader("vera"), dict[str, float]()
    for name, path in screens(town).items():
        reader.look(path)
        best = min(_timed(reader, path) for _ in range(5))
        if best > 1.0:  # a guard against a scan of everything; figures come from a quiet machine
            slow[name] = round(best, 3)
    assert not slow


def _timed(reader: Any, path: str) -> float:
    began = time.perf_counter()
    reader.look(path)
    return time.perf_counter() - began
