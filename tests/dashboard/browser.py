"""A real Chromium: where it is, how it is started, and what a page may not do while somebody looks."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dashboard_house import Place

SCREENS = Path(__file__).parents[2] / ".bench" / "screens"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """Where a Chromium is; skips the test where there is none."""
    found = os.environ.get("SUREFOOT_CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium here (Debian: apt-get install -y chromium; or set SUREFOOT_CHROMIUM)")
    return found


@contextmanager
def browsing() -> Iterator[Any]:
    """Start a browser; the sandbox of Chromium does not work for root."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    where = chromium()
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=where, args=[*sandbox, "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """One window in which somebody is logged in, and everything that went wrong in it."""

    def __init__(self, browser: Any, place: Place, name: str = "", **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=place.url, **options)
        self.page = self.context.new_page()
        self.place, self.wrong = place, list[str]()
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog: " + dialog.message), dialog.dismiss()))
        if name:
            self.page.goto("/login")
            self.page.fill("#token", f"sf_{name}")
            self.page.keyboard.press("Enter")
            self.page.wait_for_url("**/")

    def look(self, path: str) -> Any:
        self.page.goto(path)
        self.until("window.htmx !== undefined")
        return self.page

    def until(self, script: str, *, within_s: float = 15) -> None:
        """Wait for something; the page's own policy forbids Playwright's way, which evaluates texts in the page."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            with contextlib.suppress(Exception):  # the page may be on its way to the next one
                if self.page.evaluate(f"!!({script})"):
                    return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{script} did not come true; wrong: {self.wrong}")

    def fits(self) -> bool:
        """Whether nothing sticks out of the page sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")

    def close(self) -> None:
        self.context.close()
