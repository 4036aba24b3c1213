"""Events, webhooks, shares, settings, proposals, budgets and jobs on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECRET = "a secret of the server, of enough characters"


def test_events_are_shown_by_kind_and_agent_and_go_on_where_one_left_off(cli: Callable[..., Any], scene: Any) -> None:
    scene.agent()
    cli("lessons", "support", "--add", "one", "--by", "ana")
    seen = cli("events", "support", "--kinds", "lesson.*", "--json").json
    assert [one["facts"]["text"] for one in seen["events"]] == ["one"]
    cli("lessons", "support", "--add", "two", "--by", "ana")
    more = cli("events", "--after", str(seen["next"]), "--json").json["events"]
    assert [(one["kind"], one["agent"]) for one in more] == [("lesson.added", "support")]
    assert "lesson.added" in cli("events").out
    assert len(cli("events", "--limit", "1", "--json").json["events"]) == 1
    assert cli("events", "--kinds", "NO", "--json", code=2).error["code"] == "invalid"


def test_events_are_followed_one_a_line(scene: Any, desk: Path, environment: dict[str, str]) -> None:
    scene.agent()
    words = [sys.executable, "-m", "surefoot", "--json", "events", "-f", "--kinds", "lesson.*"]
    following = subprocess.Popen(words, cwd=desk, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None

        async def teach(app: Any) -> None:
            from surefoot.engine.shelve import taught

            await taught(app.ports, "support", "heard", by="ana")

        scene.do(teach)
        assert json.loads(following.stdout.readline())["facts"]["text"] == "heard"
    finally:
        following.terminate()
        following.wait()
        following.stdout.close()


def test_a_share_is_set_by_hand_and_taken_from_the_incumbent(cli: Callable[..., Any], scene: Any) -> None:
    scene.candidate(scene.agent())
    cli("rollout", "start", "support", "2", "--by", "bob", "--force")
    seen = cli("weight", "support", "2", "12", "--by", "olga", "--json").json
    assert seen["weights"] == [{"version": 1, "weight": 88}, {"version": 2, "weight": 12}]
    assert (seen["previous_weight"], "olga gave" in seen["sentence"]) == (5, True)
    assert "v1: 88 % of traffic" in cli("weight", "support").out
    assert cli("weight", "support", "2", "60", "--by", "olga", "--json", code=1).error["code"] == "conflict"
    assert cli("weight", "support", "2", "7", "--json", code=2).error["code"] == "invalid"
    assert cli("weight", "support", "2", "--by", "olga", "--json", code=2).error["code"] == "invalid"


def test_settings_are_shown_and_set_one_by_one(cli: Callable[..., Any], scene: Any) -> None:
    scene.agent()
    after = cli(
        "settings", "support", "--set", "arms=2", "--set", "rollout.hard_guard=2e6", "--by", "ana", "--json"
    ).json
    assert (after["changed"], after["settings"]["arms"], after["settings"]["rollout"]["hard_guard"]) == (
        ["arms", "rollout"], 2, 2e6)  # fmt: skip
    assert "hard_guard" in cli("settings", "support").out
    for wrong in ("arms", "nothing=1", "rollout.nothing=1"):
        assert cli("settings", "support", "--set", wrong, "--by", "ana", "--json", code=2).error["code"] == "invalid"
    assert cli("settings", "support", "--set", "arms=2", "--json", code=2).error["code"] == "invalid"


def test_webhooks_are_added_tested_shown_and_removed(cli: Callable[..., Any], scene: Any, monkeypatch: Any) -> None:
    scene.agent()
    monkeypatch.setenv("SUREFOOT_WEBHOOK_SECRET", SECRET)
    made = cli(
        "webhooks", "--add", "https://hooks.example.com/x", "--events", "rollout.*", "--by", "ana", "--json"
    ).json
    (one,) = made["webhooks"]
    assert made["signing_key"].startswith("whsec_")
    cli("webhooks", "--test", one["id"], "--by", "ana")
    assert [row["event"] for row in cli("webhooks", one["id"], "--json").json["deliveries"]] == ["webhook.test"]
    assert "hooks.example.com" in cli("webhooks").out
    assert cli("webhooks", "--remove", one["id"], "--by", "ana", "--json").json["webhooks"] == []
    assert cli("webhooks", "--add", "http://10.0.0.1/", "--by", "ana", "--json", code=1).error["code"] == "forbidden"
    assert cli("webhooks", "--add", "https://x.example/", "--json", code=2).error["code"] == "invalid"


def test_what_was_proposed_spent_and_asked_for_is_listed(cli: Callable[..., Any], scene: Any) -> None:
    scene.agent()
    assert cli("proposals", "support", "--json").json["proposals"] == []
    assert cli("budget", "support", "--json").json["usd"] == 0
    assert cli("jobs", "--json").json["jobs"] == []
    assert "nothing long" in cli("jobs").out
    assert cli("jobs", "none", "--json", code=2).error["code"] == "not_found"
