"""What may be asked before a rollout starts, and which metrics it may watch."""

from __future__ import annotations

import pytest


def test_a_plan_names_what_the_traffic_can_prove(cli, scene):
    scene.agent()
    scene.traffic(60)
    found = cli("rollout", "plan", "support", "--daily", "300", "--json").json
    assert found["labels_a_day"] == 300
    assert [one["relative_risk"] for one in found["plans"]] == [0.5, 0.67, 0.8, 0.9]
    assert "300 labelled requests a day" in cli("rollout", "plan", "support", "--daily", "300").out
    assert "cannot decide" in cli("rollout", "plan", "support", "--daily", "0.1").out


def test_a_plan_for_impossible_traffic_is_refused(cli, scene):
    scene.agent()
    assert "labels a day" in cli("rollout", "plan", "support", "--daily", "-3", code=2).err


def test_a_watched_metric_has_terms_that_are_frozen_at_the_start(cli, scene):
    scene.candidate(scene.agent())
    cli("rollout", "start", "support", "2", "--by", "bob", "--force", "--watch", "latency_s=0.5:30", "--watch",
        "score=0.05")  # fmt: skip
    terms = cli("rollout", "show", "support", "--json").json["settings"]["metrics"]
    assert [(one["name"], one["worse"], one["margin"], one["clip"]) for one in terms] == [
        ("latency_s", "higher", 0.5, 30), ("score", "lower", 0.05, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("asked", ["latency_s", "mood=1", "latency_s=-1", "latency_s=0.5:0.1", "score=0.1 score=0.2"])
def test_what_cannot_be_watched_is_refused_before_anything_starts(cli, scene, asked):
    scene.candidate(scene.agent())
    watch = [word for one in asked.split() for word in ("--watch", one)]
    cli("rollout", "start", "support", "2", "--by", "bob", "--force", *watch, code=2)
    assert cli("rollout", "list", "support", "--json").json["rollouts"] == []
