"""Health over HTTP: over all processes, only what one may see, and nothing that helps an intruder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_house import Got, Place
from ward import SECRET, TRACE, broken_chain, fall_ill, spans, whole_server

from surefoot.core.exposition import labelled
from surefoot.engine.verify import walk
from surefoot.gateway.panel import Panel


@pytest.fixture
def ward(hamlet_store: Path, tmp_path: Path) -> Iterator[Place]:
    with whole_server(Path(shutil.copy(hamlet_store, tmp_path / "store.db"))) as place:
        yield place


@pytest.fixture(scope="module")
def ill(hamlet_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = Path(shutil.copy(hamlet_store, tmp_path_factory.mktemp("ill") / "store.db"))
    with whole_server(store) as place:
        fall_ill(place)
        yield place


def lines(got: Got) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for part in got.json["health"]["parts"] for one in part["lines"]}


def test_a_server_that_is_well_counts_what_came_and_says_how_long_it_took(ward: Place) -> None:
    spans(ward.reader())
    found = lines(ward.reader("vera").look("/status.json"))
    assert found["Server processes"]["tone"] == "good"
    assert (found["Ingest lag"]["tone"], found["Ingest lag"]["since"] is not None) == ("good", True)
    assert found["Recorder queue"]["figure"].startswith("0 of")
    assert int(found["Group commits"]["figure"]) >= 1
    assert found["Refusals"]["tone"] == "good"


def test_each_ill_is_a_line_that_says_since_when_and_what_to_do(ill: Place) -> None:
    reader = ill.reader("vera")
    page, found = reader.look("/status"), lines(reader.look("/status.json"))
    tones = {name: one["tone"] for name, one in found.items() if one["tone"] not in ("good", "idle")}
    assert tones == {
        "Turned away": "watch", "Process of refunds 1.0": "watch", "Process of refunds 1.1": "bad",
        "Worker 4712": "bad", "Webhooks": "bad", "Letters to people": "watch", "Today, refunds": "bad",
        "Audit chain": "bad", "Incidents": "bad", "Pauses": "watch",
    }  # fmt: skip
    for name, one in found.items():
        assert one["sentence"] in page.words, name
        assert " ".join(one["figure"].split()) in page.words, name
        if one["tone"] in ("bad", "watch"):
            assert one["since"], name
            assert one["command"] in page.words, name
    assert found["Worker 4711"]["tone"] == "good"
    assert "set by olga" in found["Today, refunds"]["sentence"]
    assert found["Redactions"]["figure"] == "2"
    assert found["Size"]["sentence"].startswith("It grew by")
    assert "6 bad" in page.words


def test_no_secret_no_path_no_address_and_no_host_is_on_the_page(ill: Place) -> None:
    for name in ("ana", "olga", "vera"):
        reader = ill.reader(name)
        text = reader.look("/status").text + reader.look("/status.json").text
        hidden = (SECRET, "ann@example.com", str(ill.app.settings.store), ill.app.settings.store.name, "10.0.0.",
                  "127.0.0.1:9/", "secret-host", "w-1", TRACE, "sf_")  # fmt: skip
        assert [one for one in hidden if one in text] == []


def test_a_token_held_to_some_agents_sees_these_and_nothing_of_the_house(ill: Place) -> None:
    reader = ill.reader("lim")
    page, found = reader.look("/status"), reader.look("/status.json").json
    assert {part["name"] for part in found["health"]["parts"]} == {"Work", "Money", "People"}
    assert set(lines(reader.look("/status.json"))) == {
        "Process of refunds 1.0", "Process of refunds 1.1", "Today, refunds", "Incidents", "Pauses",
    }  # fmt: skip
    assert not any(other in json.dumps(found) for other in ("intake", "router"))
    assert "these lines are about them" in page.words
    other = lines(reader.look("/status.json"))["Incidents"]["figure"]
    assert other == "1 open", "the other agent's alarm is not counted"


def test_who_has_no_token_sees_no_page(ill: Place) -> None:
    assert ill.reader().look("/status").status == 303
    assert ill.reader().look("/status.json").status == 401
    assert ill.reader().look("/status.json", Authorization="Bearer sf_app").status == 403


def test_probes_of_the_machine_are_where_they_were(ward: Place) -> None:
    assert ward.reader().look("/health").json["status"] == "ok"
    assert ward.reader().look("/ready").json["status"] == "ready"


def test_the_figures_are_over_all_processes_of_the_server(ward: Place, tmp_path: Path) -> None:
    """Another worker's counts lie on the panel, as they do under `serve --workers`."""
    from surefoot.gateway.application import Gateway

    spans(ward.reader())
    alone = lines(ward.reader("vera").look("/status.json"))
    (gateway,) = [one for one in _living(Gateway) if one.house.ports.store is ward.app.ports.store]
    panel = Panel(folder=tmp_path)
    panel.lay(2, labelled(gateway.counts(), 2))
    gateway.house.presence.panel = panel
    both = lines(ward.reader("vera").look("/status.json"))
    assert (alone["Server processes"]["figure"], both["Server processes"]["figure"]) == ("1", "2")
    assert int(both["Group commits"]["figure"]) == 2 * int(alone["Group commits"]["figure"])
    old = labelled(gateway.counts(), 3).replace("process_laid_seconds", "process_laid_seconds")
    panel.lay(3, "\n".join(_older(line) for line in old.split("\n")))
    silent = lines(ward.reader("vera").look("/status.json"))["Server processes"]
    assert (silent["tone"], silent["figure"]) == ("bad", "2 of 3")


def test_the_chain_is_walked_by_a_button_which_finds_what_a_look_believes(hamlet: Place) -> None:
    ana = hamlet.reader("ana")
    assert "chain verified" in ana.look("/audit/chain").words
    hamlet.do(lambda app: walk(app.ports, by="cid"))
    broken_chain(hamlet, 4)
    assert "chain verified" in ana.look("/audit/chain").words, "it was walked before, and is believed"
    page = ana.look("/audit/chain")
    sent = ana.send("/audit/walk", form_word=page.form_word())
    assert (sent.status, sent.headers["location"]) == (303, "/audit")
    assert "chain broken at 4" in ana.look("/audit/chain").words
    assert lines(ana.look("/status.json"))["Audit chain"]["tone"] == "bad"


def test_a_walk_that_holds_says_who_walked_it(hamlet: Place) -> None:
    vera = hamlet.reader("vera")
    assert "never walked from its first entry" in vera.look("/audit/chain").words
    sent = vera.send("/audit/walk", form_word=vera.look("/audit/chain").form_word())
    assert (sent.status, sent.headers["location"]) == (303, "/audit?done=walked")
    assert "by vera" in vera.look("/audit/chain").words


@pytest.mark.parametrize("word", ["", "0" * 64])
def test_a_walk_takes_the_word_of_the_page_and_a_token_for_all_agents(hamlet: Place, ill: Place, word: str) -> None:
    assert hamlet.reader("ana").send("/audit/walk", form_word=word).status == 403
    lim = ill.reader("lim")
    assert lim.look("/audit/chain").status == 403
    assert lim.ask("POST", "/audit/walk", "", Content_Type="application/x-www-form-urlencoded",
                   Authorization="Bearer sf_lim").status == 403  # fmt: skip


def _living(kind: type) -> list[Any]:
    import gc

    return [one for one in gc.get_objects() if isinstance(one, kind)]


def _older(line: str) -> str:
    name, _, value = line.rpartition(" ")
    return f"{name} {float(value) - 60}" if name.startswith("surefoot_process_laid_seconds") else line
