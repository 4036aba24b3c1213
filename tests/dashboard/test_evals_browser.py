"""Evals and runs in a real browser: by keyboard, live, inert, readable by a screen reader, in both colours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENS, Window, browsing
from dashboard_house import Place, serving
from examined import AGENT, a_suite, begun
from hostile import MARK, PAYLOADS, clean, probes

from surefoot.core.exam.observed import Observed, Taken, ToolCall
from surefoot.core.exam.suite import Suite
from surefoot.core.exam.verdict import Verdict


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as one:
        yield one


@pytest.fixture
def desk(examined_store: Path, copied) -> Iterator[Place]:
    with serving(copied(examined_store)) as place:
        yield place


@pytest.fixture
def window(browser: Any, desk: Place) -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def open_one(name: str = "", **options: Any) -> Window:
        opened.append(Window(browser, desk, name, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def newest(place: Place) -> str:
    return next(one.id for one in place.see(lambda tx: tx.evals.runs()) if one.state == "done")


def test_a_person_walks_to_a_case_reads_it_and_says_which_is_right_by_keyboard_only(
    window: Callable[..., Window], desk: Place
) -> None:
    run, bob = newest(desk), window("bob")
    page, press = bob.look(f"/evals/{run}?change=regressed"), bob.page.keyboard.press
    bob.until("document.querySelectorAll('.cases tr[data-walk]').length > 2")
    press("j")
    press("j")
    wanted = page.evaluate("document.activeElement.querySelector('.row-link').textContent")
    press("Enter")
    bob.until("!document.getElementById('slide').hidden")
    assert page.text_content("#slide h2") == wanted
    assert "change=regressed" in page.url
    assert "case=" in page.url
    press("d")  # to the question of the page: the first button is the older side
    assert page.evaluate("document.activeElement.value") in ("before", "")
    for _ in range(4):
        if page.evaluate("document.activeElement.value") == "before":
            break
        press("Tab")
    press("Enter")
    bob.until("document.body.textContent.includes('Kept, with your name.')")
    kept = {(one.run == run, one.passed) for one in desk.see(lambda tx: tx.evals.labels())
            if one.by == "bob" and one.case == wanted}  # fmt: skip
    assert kept == {(True, False), (False, True)}
    press("Escape")
    bob.until("document.getElementById('slide').hidden")
    assert "case=" not in page.url
    assert "change=regressed" in page.url
    assert not bob.wrong


def test_an_operator_cancels_a_run_by_keyboard_only_with_a_reason(window: Callable[..., Window], desk: Place) -> None:
    olga = window("olga")
    page, press = olga.look("/"), olga.page.keyboard.press
    press("g")
    press("r")
    page.wait_for_url("**/runs")
    olga.until("window.htmx !== undefined")
    for _ in range(12):
        press("j")
        if "run-going" in (page.evaluate("document.activeElement.id") or ""):
            break
    press("Enter")
    olga.until("!document.getElementById('slide').hidden")
    press("d")
    assert "Cancel" in page.evaluate("document.activeElement.textContent")
    press("Enter")
    olga.until("document.querySelector('#cancel-open:popover-open')")
    page.keyboard.type("the wrong model")
    press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Cancel it"
    press("Enter")
    olga.until("document.body.textContent.includes('Cancelled. What finished is kept.')")
    assert desk.see(lambda tx: tx.evals.run("run-going")).state == "cancelling"
    assert not olga.wrong


def test_a_run_moves_on_without_a_reload_and_no_row_jumps(window: Callable[..., Window], desk: Place) -> None:
    vera = window("vera")
    page = vera.look("/runs")
    page.evaluate("window.sameWindow = true")
    order = "[...document.querySelectorAll('.runs tbody tr')].map((one) => one.id)"
    before = page.evaluate(order)
    page.wait_for_timeout(1500)  # the first beat has come
    suite, cost = a_suite(), desk.see(lambda tx: tx.evals.spent("run-going")).answers
    answers = [Taken(case.id, 2, Observed(output="x")) for case in suite.cases[30:50]]
    run = replace(desk.see(lambda tx: tx.evals.run("run-going")), id="later", revision=0,
                  started_at=desk.app.ports.clock() + timedelta(seconds=1))  # fmt: skip
    desk.change(lambda tx: (tx.evals.record("run-going", answers, []), begun(tx, run, suite, 2)))
    vera.until(f"document.querySelector('.runs').textContent.includes('{cost + 20}')")
    vera.until("document.querySelector('.chip.fresh')?.textContent.trim() === '1 new'")
    assert page.evaluate(order) == before
    assert page.evaluate("window.sameWindow")
    page.click(".chip.fresh")
    vera.until("document.querySelector('.runs tbody tr').id.includes('later')")
    assert not vera.wrong


def test_a_deep_link_opens_the_same_view_again(window: Callable[..., Window], desk: Place) -> None:
    vera, run = window("vera"), newest(desk)
    page = vera.look(f"/evals/{run}?change=flaky")
    vera.until("document.querySelector('.cases tr[data-walk]')")
    page.click(".cases tr[data-walk] .row-link")
    vera.until("!document.getElementById('slide').hidden")
    page.click("#slide nav a:nth-child(2)")
    vera.until("location.search.includes('epoch=2')")
    page.wait_for_timeout(300)
    seen = page.text_content("#slide")
    page.reload()
    vera.until("document.querySelector('#slide .answered')")
    assert page.text_content("#slide").split() == seen.split()
    page.go_back()
    vera.until("!location.search.includes('epoch=2')")
    assert not vera.wrong


def test_no_text_of_an_eval_runs_or_breaks_the_layout(browser: Any, desk: Place) -> None:
    texts = [one for one in map(clean, (*PAYLOADS, *probes(4))) if one.strip()][:60]
    run, base = desk.see(lambda tx: tx.evals.run(newest(desk))), a_suite().cases[0]
    cases = tuple(replace(base, id=f"c{at}", input=(replace(base.input[0], content=text),), expected=text,
                          criteria=(text,), slice={"a": text[:80]}) for at, text in enumerate(texts))  # fmt: skip

    def work(tx: object) -> None:
        suite = Suite(name=texts[1], cases=cases, origin="file")
        for n in range(2):
            one = replace(run, id=f"hostile-{n}", suite=texts[1], suite_digest="hostile", subject=texts[n],
                          judge=texts[2], baseline="", revision=0)  # fmt: skip
            tx.evals.begin(one, suite)
            tx.evals.record(
                one.id,
                [Taken(case.id, 0, Observed(output=f"{text} {n}", problem=text, calls=(
                    ToolCall(name=text[:400], args={text[:40]: text[:2000]}, result=text),)))
                 for case, text in zip(cases, texts, strict=True)],
                [Verdict(case.id, 0, name, "failed" if n else "passed", None, text)
                 for case, text in zip(cases, texts, strict=True) for name in case.scorers],
            )  # fmt: skip

    desk.change(work)
    window = Window(browser, desk, "ana")
    try:
        for path in ("/evals/hostile-1?before=hostile-0", "/runs", f"/agents/{AGENT}/evals",
                     *(f"/evals/hostile-1?before=hostile-0&case=c{at}" for at in (*range(20), 30, 45))):  # fmt: skip
            page = window.look(path)
            page.wait_for_timeout(40)
            assert page.evaluate(f"window.{MARK}") is None, path
            assert window.fits(), path
        assert not window.wrong
    finally:
        window.close()


def views(place: Place) -> dict[str, str]:
    run = newest(place)
    spots = place.reader("ana").look("/runs.json").json["rows"]
    stale = next(one["cursor"] for one in spots if one["work"]["state"] == "stale")
    case = place.reader("ana").look(f"/evals/{run}.json?change=regressed").json["rows"]
    tools = {one.id for one in a_suite().cases if one.expected_tool_calls}
    chosen = next(one["case"] for one in case if one["case"] in tools and not one["held"])
    held = next(one["case"] for one in place.reader("ana").look(f"/evals/{run}.json").json["rows"] if one["held"])
    return {
        "evals": f"/agents/{AGENT}/evals", "compare": f"/evals/{run}", "compare-fixed": f"/evals/{run}?change=fixed",
        "compare-alone": f"/evals/{run}?before=none", "compare-case": f"/evals/{run}?case={chosen}",
        "compare-case-said": f"/evals/{run}?case=gift-1", "compare-held": f"/evals/{run}?case={held}",
        "compare-going": "/evals/run-going", "compare-nothing-matches": f"/evals/{run}?change=unknown",
        "evals-nothing": "/agents/intake/evals", "runs": "/runs", "runs-stale": f"/runs?run={stale}",
        "runs-nothing-matches": "/runs?kind=tick&after=1.tick.x",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "theme"), [("ana", "light"), ("ana", "dark"), ("vera", "light")])
def test_axe_finds_nothing_on_evals_and_runs_and_pictures_are_kept(
    browser: Any, desk: Place, axe: str, name: str, theme: str
) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    window = Window(browser, desk, name, color_scheme=theme)
    try:
        for view, path in views(desk).items():
            if name == "vera" and view not in ("compare-case", "compare-held", "runs-stale"):
                continue  # who only looks sees less of the same
            page = window.look(path)
            page.wait_for_timeout(250)
            if name == "ana":
                page.screenshot(path=SCREENS / f"{view}-{theme}.png")
            assert window.fits(), view
            page.evaluate(axe)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            told = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found]
            assert not told, (view, json.dumps(told, indent=1))
            assert not window.wrong, (view, window.wrong)
    finally:
        window.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [768, 1024])
def test_evals_and_runs_fit_on_a_tablet(browser: Any, desk: Place, width: int) -> None:
    window = Window(browser, desk, "ana")
    window.page.set_viewport_size({"width": width, "height": 1024})
    try:
        for view, path in views(desk).items():
            page = window.look(path)
            if width == 768:
                page.screenshot(path=SCREENS / f"{view}-tablet.png")
            assert window.fits(), view
    finally:
        window.close()
