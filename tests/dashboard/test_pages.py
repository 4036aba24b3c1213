"""What pages show: the same in HTML and JSON, every stranger's text inert, small, quick, and with a way on."""

from __future__ import annotations

import gzip
import html
import re
import shlex
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from dashboard_house import Place, serving
from hostile import PAYLOADS, inert, poison, probes

from surefoot.app import build
from surefoot.cli.commands import app
from surefoot.config import Settings
from surefoot.core.lesson import Lesson
from surefoot.dashboard.statics import files
from surefoot.dashboard.words import defused, relative


def pages_of(place: Place, agent: str) -> list[str]:
    rollout = place.see(lambda tx: tx.rollouts.all(agent)[-1].id)
    return [
        "/",
        f"/agents/{agent}/versions",
        f"/agents/{agent}/rollouts",
        f"/agents/{agent}/failures",
        f"/agents/{agent}/levers",
        f"/agents/{agent}/lessons",
        f"/rollouts/{rollout}",
        "/approvals",
        f"/approvals/promote-{agent}-v2-1",
        "/audit",
        "/audit?entry=3",
        "/audit/chain",
    ]


def shape(value: object) -> object:
    """A document without its measured numbers, which move with the time."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items() if name != "at"}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return 0.0 if isinstance(value, float) else value


# Twins ----------------------------------------------------------------------------------------------------------------


def test_every_page_has_a_twin_in_json_by_its_address_and_by_what_is_accepted(looked_at: Place) -> None:
    reader = looked_at.reader("vera")
    for path in pages_of(looked_at, "refunds"):
        plain, _, query = path.partition("?")
        twin = reader.look(f"{'/agents' if plain == '/' else plain}.json{'?' + query if query else ''}")
        asked = reader.look(path, Accept="application/json")
        assert twin.status == asked.status == 200
        assert "application/json" in twin.headers["content-type"]
        assert shape(asked.json) == shape(twin.json)
        assert twin.json["page"]
        assert "<svg" not in twin.text


def test_the_address_of_an_agent_leads_to_its_versions_and_its_twin_to_theirs(looked_at: Place) -> None:
    reader = looked_at.reader("vera")
    for end in ("", ".json"):
        assert reader.look(f"/agents/refunds{end}").headers["location"] == f"/agents/refunds/versions{end}"


def test_the_twin_of_a_request_says_what_the_page_says(looked_at: Place) -> None:
    reader = looked_at.reader("vera")
    page, twin = (reader.look(f"/approvals/promote-refunds-v2-1{end}") for end in ("", ".json"))
    reading = twin.json["reading"]
    assert reading["approval"]["version_digest"][:10] in page.text
    rate = reading["dossier"]["challenger"]
    assert f"{100 * rate['rate']:.1f}" in page.words
    assert f"n {rate['labels']}" in page.words
    assert reading["dossier"]["undo"] in page.words
    for hunk in reading["difference"]["hunks"]:
        assert hunk["id"] in page.words


def test_every_command_that_a_page_offers_to_copy_is_one_that_there_is(looked_at: Place) -> None:
    reader, offered = looked_at.reader("ana"), set[str]()
    for path in (*pages_of(looked_at, "refunds"), "/agents/refunds/traces", "/agents/refunds/evals", "/runs"):
        copied = re.findall(r'data-copy=(["\'])(surefoot .*?)\1', reader.look(path).text)
        offered |= {html.unescape(command) for _, command in copied}
    assert len(offered) > 10
    for command in offered:
        parse(shlex.split(command)[1:])


def parse(words: list[str]) -> None:
    """Read the words of a command as the command line does, without carrying it out."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "get_command"):
        name, words = words[0], words[1:]
        command = command.get_command(click.Context(command), name)
        assert command is not None, name
    command.make_context(command.name, words)


def test_every_rate_stands_with_its_number_of_labels(looked_at: Place) -> None:
    reader = looked_at.reader("vera")
    for path in ("/", "/approvals/promote-refunds-v2-1", "/agents/refunds/versions"):
        shown = re.findall(r'<span class="rate">(.*?)</span></span>', reader.look(path).text, re.S)
        assert shown, path
        assert all("no labels" in one or re.search(r'class="n">n \d', one) for one in shown)


def test_the_address_holds_which_two_versions_are_compared(looked_at: Place) -> None:
    reader = looked_at.reader("vera")
    forward = reader.look("/agents/refunds/versions.json?base=1&head=2").json
    back = reader.look("/agents/refunds/versions.json?base=2&head=1").json
    assert {one["kind"] for one in forward["difference"]["hunks"]} == {"added"}
    assert {one["kind"] for one in back["difference"]["hunks"]} == {"removed"}
    assert [one["id"] for one in forward["difference"]["hunks"]] == [one["id"] for one in back["difference"]["hunks"]]


def test_each_change_names_its_lever_and_its_evidence(looked_at: Place) -> None:
    page = looked_at.reader("vera").look("/agents/refunds/versions?base=1&head=2")
    assert 'href="/agents/refunds/levers?lever=L-refund"' in page.text
    assert "cites 9 cases" in page.words
    assert "The edit helps" in page.words
    assert "1 locked block untouched: role" in page.words


@pytest.mark.parametrize("query", ["base=x", "head=-1", "before=9999999999999999", "base=%C2%B2", "head=1e3"])
def test_an_address_that_makes_no_sense_is_told_so(looked_at: Place, query: str) -> None:
    assert looked_at.reader("vera").look(f"/agents/refunds/versions?{query}").status == 422


@pytest.mark.parametrize(
    "path",
    [
        "/agents/nobody/versions",
        "/rollouts/none",
        "/approvals/none",
        "/agents/refunds/versions?base=77&head=1",
        "/agents/%3Cscript%3E/versions",
        "/static/x/../../application.py",
        "/static/x/nothing.js",
    ],
)
def test_what_is_not_there_says_so_and_shows_a_way_on(looked_at: Place, path: str) -> None:
    page = looked_at.reader("vera").look(path)
    assert page.status == 404
    assert "<script>" not in page.text
    assert "def " not in page.text


def test_failures_are_clustered_as_the_next_tick_would_and_each_says_what_became_of_it(hamlet: Place) -> None:
    reader = hamlet.reader("bob")
    found = reader.look("/agents/refunds/failures.json").json
    assert found["window"] == found["failed"]
    assert [one["impact"] for one in found["rows"]] == sorted((one["impact"] for one in found["rows"]), reverse=True)
    assert sum(one["failures"] for one in found["rows"]) + found["single"] == found["window"]
    known = {one["key"]: one["status"] for one in found["rows"]}
    levers = {one.gap: one.state for one in hamlet.see(lambda tx: tx.levers.all("refunds"))}
    told = {"open": "known", "doing": "being mended", "shipped": "fixed", "failed": "known"}
    live = hamlet.see(lambda tx: tx.agents.get("refunds").live)
    back = {one["key"] for one in found["rows"] if live in one["versions"]}
    expected = {key: told[levers[key]] if key in levers else "new" for key in known}
    assert known == {key: "regressed" if word == "fixed" and key in back else word for key, word in expected.items()}
    first = found["rows"][0]
    page = reader.look(f"/agents/refunds/failures?cluster={first['key'].replace(':', '%3A')}")
    assert all(one["failure"]["input"][:80] in page.words for one in first["examples"])
    assert len(first["examples"]) == 3


# Empty in three ways --------------------------------------------------------------------------------------------------


def test_a_new_store_shows_the_command_that_makes_the_first_of_each(tmp_path: Path) -> None:
    build(Settings(store=tmp_path / "s.db"), environ={}).close()
    with serving(tmp_path / "s.db") as place:
        reader = place.reader("vera")
        assert "surefoot init my-agent" in reader.look("/").words
        assert "Nobody was ever asked" in reader.look("/approvals").words
        assert "Nothing has happened yet" in reader.look("/audit").words


def test_nothing_that_matches_shows_how_to_clear_the_filter(looked_at: Place) -> None:
    reader = looked_at.reader("vera")
    for path, clear in (
        ("/audit?actor=nobody", "/audit"),
        ("/agents/refunds/lessons?q=zzzz", "/agents/refunds/lessons"),
        ("/agents/refunds/levers?state=closed", "/agents/refunds/levers"),
    ):
        page = reader.look(path)
        assert "Nothing matches" in page.words
        assert f'href="{clear}">Clear' in page.text


def test_nothing_left_to_do_says_so(hamlet: Place) -> None:
    hamlet.change(lambda tx: [tx.approvals.swap(one, replace(one, state="rejected")) for one in tx.approvals.all()])
    assert "Nothing left to decide" in hamlet.reader("bob").look("/approvals").words


# Inert ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poisoned(hamlet_store: Path, tmp_path_factory: pytest.TempPathFactory):
    import shutil

    store = Path(shutil.copy(hamlet_store, tmp_path_factory.mktemp("poisoned") / "store.db"))
    with serving(store) as place:
        place.change(lambda tx: [poison(tx, agent, (*PAYLOADS, *probes(6))) for agent in ("refunds", "intake")])
        yield place


def test_every_text_of_a_stranger_is_text_on_every_page(poisoned: Place) -> None:
    reader = poisoned.reader("ana")
    extra = ["/agents/refunds/versions?base=1&head=3", "/agents/intake/versions?base=3&head=1"]
    extra += [f"/agents/intake/levers?lever=L-x{at}" for at in range(len(PAYLOADS))]
    last = poisoned.see(lambda tx: tx.audit.last())
    extra += [f"/audit?entry={seq}" for seq in range(last - len(PAYLOADS), last + 1)]
    for path in [*pages_of(poisoned, "refunds"), *pages_of(poisoned, "intake")[:-4], *extra]:
        page = reader.look(path)
        assert page.status == 200, (path, page.words[:300])
        assert inert(page.text) == [], path
        assert "49<b>" not in page.text
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\x00\x07\x1b]", page.text), path


def test_hostile_texts_on_the_address_line_are_text_too(looked_at: Place) -> None:
    from urllib.parse import quote

    reader = looked_at.reader("ana")
    for text in PAYLOADS[:10]:
        told = quote(text[:200])
        for path in (
            f"/audit?actor={told}&action={told}",
            f"/agents/refunds/lessons?q={told}",
            f"/agents/refunds/levers?state={told}",
            f"/?done={told}",
            f"/approvals/{quote(text[:60], safe='')}",
            f"/login?to=/{told}",
            f"/{quote(text[:60])}",
        ):
            page = reader.look(path)
            assert page.status in (200, 404, 422), path
            assert inert(page.text) == [], path


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\x00", "\x1b", "\u2028"])
def test_a_character_that_steers_the_text_around_it_is_written_out(char: str) -> None:
    assert defused(f"a{char}b") == f"a⟨U+{ord(char):04X}⟩b"


def test_ordinary_texts_of_any_script_stay_as_they_are() -> None:
    for text in ("שלום", "naïve café", "日本語", "👩‍🔬", "a\nb\tc", "مرحبا"):
        assert defused(text) == text


# Small and quick ------------------------------------------------------------------------------------------------------


def test_the_first_load_of_each_page_is_at_most_120_kb_packed(looked_at: Place) -> None:
    reader = looked_at.reader("vera")
    rollout = looked_at.see(lambda tx: tx.rollouts.all("intake")[-1].id)
    for path in ("/", f"/rollouts/{rollout}", "/approvals/promote-refunds-v2-1"):
        page = reader.look(path)
        asked = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
        if any("main.js" in one for one in asked):  # what the first module brings along
            folder = next(one for one in asked if "main.js" in one).rpartition("/")[0]
            asked |= {f"{folder}/{name.rpartition('/')[2]}" for name in files() if name.startswith("js/")}
        total = len(gzip.compress(page.text.encode(), 5))
        for one in asked:
            got = reader.look(one, Accept_Encoding="gzip")
            assert got.status == 200, one
            assert got.headers["content-encoding"] == "gzip"
            assert "immutable" in got.headers["cache-control"]
            total += int(got.headers["content-length"])
        assert total <= 120_000, (path, total)


def test_an_old_edition_of_a_file_is_served_but_not_kept(looked_at: Place) -> None:
    assert looked_at.reader().look("/static/0123/app.css").headers["cache-control"] == "no-store"


def test_what_is_vendored_brings_its_licence() -> None:
    names = files()
    for name in ("htmx", "uplot"):
        assert any(one.startswith(f"vendor/{name}-") and one.endswith(".js") for one in names)
        assert any(one.startswith(f"vendor/{name}-LICENSE") for one in names)


def test_a_list_of_ten_thousand_rows_is_paged_by_a_cursor_and_no_row_is_lost(hamlet: Place) -> None:
    now = datetime.now(UTC)

    def many(tx):
        for at in range(10_000):
            tx.audit.append(at=now, actor=f"actor-{at % 7}", action="counted", subject="refunds", payload={"n": at})

    hamlet.change(many)
    reader, seen, path, slowest = hamlet.reader("vera"), [], "/audit", 0.0
    while path:
        began = time.perf_counter()
        page = reader.look(path)
        slowest = max(slowest, time.perf_counter() - began)
        seen += [int(one) for one in re.findall(r'<td class="right num"><a[^>]*>(\d+)</a>', page.text)]
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == list(range(hamlet.see(lambda tx: tx.audit.last()), 0, -1))
    assert slowest < 1.0
    kept = reader.look("/audit.json?actor=actor-3&before=500").json["lines"]
    assert len(kept) > 50
    assert {one["entry"]["actor"] for one in kept} == {"actor-3"}


def test_a_growing_list_never_shifts_under_a_reader_who_pages(hamlet: Place) -> None:
    now = datetime.now(UTC)
    hamlet.change(
        lambda tx: [tx.audit.append(at=now, actor="a", action="b", subject="c", payload={}) for _ in range(250)]
    )
    reader = hamlet.reader("vera")
    first = reader.look("/audit.json").json
    hamlet.change(
        lambda tx: [tx.audit.append(at=now, actor="a", action="b", subject="c", payload={}) for _ in range(30)]
    )
    second = reader.look(f"/audit.json?before={first['older']}").json
    assert second["lines"][0]["entry"]["seq"] == first["lines"][-1]["entry"]["seq"] - 1


def test_lessons_are_paged_and_found_by_their_words(hamlet: Place) -> None:
    now = datetime.now(UTC)
    hamlet.change(
        lambda tx: [
            tx.lessons.add(Lesson(agent="refunds", text=f"lesson number {at}", evidence="e", tick=1, at=now))
            for at in range(250)
        ]
    )
    reader = hamlet.reader("vera")
    first = reader.look("/agents/refunds/lessons.json").json
    assert (len(first["rows"]), first["older"]) == (100, 100)
    assert [one["text"] for one in reader.look("/agents/refunds/lessons.json?q=NUMBER+249").json["rows"]] == [
        "lesson number 249"
    ]


def test_relative_times_say_what_people_say() -> None:
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    told = {
        timedelta(seconds=2): "now",
        timedelta(minutes=3): "3 min ago",
        timedelta(hours=5): "5 h ago",
        timedelta(days=2): "2 d ago",
        timedelta(hours=-4): "in 4 h",
        timedelta(days=40): "12 Oct",
        timedelta(days=700): "21 Dec 2024",
    }
    assert {span: relative(now - span, now) for span in told} == told


def test_a_broken_chain_is_told_with_the_place(hamlet: Place) -> None:
    import sqlite3

    assert "chain verified" in hamlet.reader("vera").look("/audit/chain").words
    with sqlite3.connect(hamlet.app.settings.store) as raw:
        raw.execute("UPDATE audit SET actor = 'somebody else' WHERE seq = 4")
    page = hamlet.reader("vera").look("/audit/chain")
    assert "chain broken at 4" in page.words
