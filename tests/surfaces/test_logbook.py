"""The server's log: what an exception saw stays out of it, it is put aside when full, and a full disk stops nobody."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from surefoot.cli.logbook import KEPT, begin, file_of
from surefoot.config import LogSettings
from surefoot.core.errors import Unavailable
from surefoot.core.journal import as_json
from surefoot.gateway.door import REQUEST

SECRET = "sk-" + "a1B2c3D4" * 5


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give logging back as it was."""
    names = ("", "surefoot", "uvicorn")
    kept = [(one := logging.getLogger(name), one.handlers[:], one.level, one.propagate) for name in names]
    yield
    for one, handlers, level, propagate in kept:
        for handler in set(one.handlers) - set(handlers):
            handler.close()
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


def lines(store: Path, **settings: object) -> list[dict[str, object]]:
    path = file_of(LogSettings.model_validate(settings), store, 1)
    assert path is not None
    return [json.loads(line) for line in path.read_text().splitlines()]


def failed(text: str) -> None:
    raise ValueError(f"cannot read {text!r}")


def test_a_mistake_is_told_by_its_place_and_not_by_what_it_saw(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    begin(LogSettings(), store, 1)
    mark = REQUEST.set("req-1")
    try:
        failed("the diary of a user")
    except ValueError:
        logging.getLogger("surefoot.test").exception("it broke for %s", SECRET)
    finally:
        REQUEST.reset(mark)
    (line,) = lines(store)
    assert (line["error"], line["level"], line["request_id"]) == ("ValueError", "error", "req-1")
    assert any("test_logbook.py" in str(place) and "failed" in str(place) for place in line["where"])  # type: ignore[union-attr]
    assert "diary" not in as_json(line)
    assert SECRET not in as_json(line)


def test_an_error_that_is_meant_for_people_keeps_its_words(tmp_path: Path) -> None:
    begin(LogSettings(), tmp_path / "store.db", 1)
    try:
        raise Unavailable("the store is full")
    except Unavailable:
        logging.getLogger("surefoot.test").exception("no turn")
    assert lines(tmp_path / "store.db")[0]["said"] == "the store is full"


def test_a_full_file_is_put_aside_and_old_ones_go(tmp_path: Path) -> None:
    begin(LogSettings(rotate=4096), tmp_path / "store.db", 1)
    for n in range(500):
        logging.getLogger("surefoot.test").info("line %d", n)
    files = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in files] == ["server-1.jsonl", *(f"server-1.jsonl.{n}" for n in range(1, KEPT + 1))]
    assert all(path.stat().st_size <= 4096 for path in files)
    assert lines(tmp_path / "store.db")[-1]["message"] == "line 499"


def test_a_log_that_cannot_be_written_is_said_once_and_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server-1.jsonl").mkdir()
    begin(LogSettings(), tmp_path / "store.db", 1)
    for _ in range(5):
        logging.getLogger("surefoot.test").info("still here")
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_what_is_below_the_level_is_left_out_and_warnings_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    begin(LogSettings(level="warning", format="text"), tmp_path / "store.db", 1)
    logging.getLogger("surefoot.test").info("quiet")
    logging.getLogger("surefoot.test").warning("loud\n\x1b[31m")
    kept = (tmp_path / "logs" / "server-1.jsonl").read_text()
    assert "quiet" not in kept
    assert "loud" in kept
    assert kept.count("\n") == 1
    shown = capsys.readouterr().err
    assert "loud" in shown
    assert "\x1b" not in shown
