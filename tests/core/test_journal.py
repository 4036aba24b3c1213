"""Lines of the log: nothing from outside ends one, begins one or steers a terminal, and none holds a secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.journal import Wanted, as_json, as_text, entry, parsed, request_id
from surefoot.core.redaction import redact

AT = datetime(2026, 1, 5, 8, 30, 0, 123_000, tzinfo=UTC)


def plain(text: str) -> str:
    return text


@given(st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.floats()), max_size=5))
def test_a_line_stays_one_line_of_printable_ascii_and_is_read_back(message: str, fields: dict[str, object]) -> None:
    line = entry(AT, "info", 1, message, fields, redact=plain)
    text = as_json(line)
    assert text.isascii()
    assert text.isprintable()
    back = parsed(text)
    assert back is not None
    assert (back["message"], back["level"], back["worker"]) == (line["message"], "info", 1)
    shown = as_text(line)
    assert shown.isprintable()


def test_a_message_cannot_forge_a_second_line_or_steer_a_terminal() -> None:
    evil = 'ok\n{"at": "2026", "level": "info", "message": "all is well"}\r\x1b[2J\x1b]0;title\x07\u202e\u2028'
    line = entry(AT, "error", 2, evil, {"path": evil}, redact=plain)
    assert len(as_json(line).splitlines()) == 1
    assert not set("\n\r\x1b\x07\u202e\u2028") & set(as_text(line))
    assert parsed(as_json(line)) == json.loads(as_json(line))


def test_what_a_field_is_called_cannot_take_the_place_of_what_we_say() -> None:
    line = entry(AT, "error", 2, "boom", {"level": "debug", "at": "1970", "worker": 9, "message": "fine"}, redact=plain)
    assert (line["level"], line["worker"], line["message"]) == ("error", 2, "boom")


def test_secrets_are_redacted_and_long_texts_cut() -> None:
    secret = "sk-" + "a1B2c3D4" * 5
    line = entry(
        AT, "info", 1, f"asked with {secret}", {"said": f"bob@example.com {'x' * 5000}"},
        redact=lambda text: redact(text, b"key" * 11, mode="typed").text,
    )  # fmt: skip
    text = as_json(line)
    assert secret not in text
    assert "bob@example.com" not in text
    assert len(text) < 3000


def test_text_lines_are_read_back_too() -> None:
    back = parsed(as_text(entry(AT, "warning", 12, "a disk is full", {"path": "x y"}, redact=plain)))
    assert back == {
        "at": "2026-01-05T08:30:00.123Z", "level": "warning", "worker": 12, "message": 'a disk is full path="x y"',
    }  # fmt: skip
    assert parsed("Traceback (most recent call last):") is None
    assert parsed('{"half": ') is None
    assert parsed("[1]") is None


def test_lines_are_chosen_by_level_agent_and_time() -> None:
    line = entry(AT, "warning", 1, "m", {"agent": "support"}, redact=plain)
    assert Wanted().fits(line)
    assert Wanted(level="warning", agent="support", since=AT).fits(line)
    assert not Wanted(level="error").fits(line)
    assert not Wanted(agent="other").fits(line)
    assert not Wanted(since=AT + timedelta(milliseconds=1)).fits(line)


@pytest.mark.parametrize(
    ("told", "kept"),
    [("req-1.a:b", "req-1.a:b"), ("", ""), ("a b", ""), ("x\ny", ""), ("\x1b[1m", ""), ("x" * 129, ""), ("ü", "")],
)
def test_a_request_is_called_by_its_own_name_if_that_can_do_no_harm(told: str, kept: str) -> None:
    assert request_id(told) == kept
