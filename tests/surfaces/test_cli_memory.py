"""Memory by command line and over HTTP."""

from __future__ import annotations

import json

import pytest

from surefoot.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "support", "--labels", "a,b"]) == 0
    capsys.readouterr()

    def ran(*words, code=0):
        assert main(["memory", *words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return ran


def test_what_is_set_is_got_with_its_scope(run):
    assert run("set", "support", "limit", '{"usd": 5}', "--session", "s1")["scope"] == "session"
    assert run("get", "support", "limit", "--session", "s1")["value"] == {"usd": 5}
    assert run("get", "support", "limit", "--session", "s2", code=1)["value"] is None
    run("set", "support", "greeting", "hello there", "--scope", "agent")
    assert run("get", "support", "greeting", "--session", "s2")["value"] == "hello there"


def test_a_list_grows_is_listed_searched_and_forgotten(run):
    run("append", "support", "failures", "the parcel never came", "--scope", "agent")
    assert run("append", "support", "failures", "wrong invoice", "--scope", "agent")["value"][-1] == "wrong invoice"
    assert [one["key"] for one in run("list", "support")["entries"]] == ["failures"]
    assert run("search", "support", "parcel", "--limit", "1")["entries"][0]["value"] == "the parcel never came"
    assert run("delete", "support", "failures", "--scope", "agent") == {"deleted": True}
    assert run("delete", "support", "failures", "--scope", "agent", code=1) == {"deleted": False}
    seen = run("changes", "support")
    assert [one["action"] for one in seen["changes"]] == ["set", "append", "delete"]
    assert run("changes", "support", "--after", str(seen["next"]))["changes"] == []


@pytest.mark.parametrize(("words", "what"), [
    (("get", "suport", "k"), "did you mean 'support'"), (("set", "support", "k", "1", "--scope", "team"), "no scope"),
    (("set", "support", "k", "1", "--scope", "session"), "not whose"), (("get", "support", "a*"), "not usable"),
    (("set", "support", "k", "1", "--ttl", "-1"), "time to live"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_hint(run, capsys, words, what):
    assert main(["memory", *words]) == 2
    assert what in capsys.readouterr().err
