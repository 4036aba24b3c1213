"""What people do after a promotion, with the queue, and with the switch of all agents."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from surefoot.app import build
from surefoot.config import settings
from surefoot.core.incident import Incident
from surefoot.core.starter import starting_genome

LABELS = ("billing", "refund")


def in_store(desk, work):
    """Change the store behind the commands."""
    app = build(settings(desk, {}, store=desk / ".surefoot" / "surefoot.db"), environ={})
    try:
        return asyncio.run(app.store.write(work))
    finally:
        app.close()


def found(name: str = "incident-support-1") -> Incident:
    return Incident(id=name, agent="support", kind="holdback", at=datetime(2026, 1, 5, tzinfo=UTC), version=2,
                    sentence="It fails more often \x1b[31mthan before.")  # fmt: skip


def test_an_incident_is_shown_and_closed_by_name(cli, scene, desk):
    scene.agent()
    assert "no incident is open" in cli("incidents").out
    in_store(desk, lambda tx: tx.incidents.add(found()))
    page = cli("incidents", "support").out
    assert "incident-support-1: holdback, support v2 (open)" in page
    assert "\x1b" not in page
    assert "surefoot bisect support" in page
    assert "closed by a person" in cli("incidents", "--close", "incident-support-1", code=2).err
    done = cli("incidents", "--close", "incident-support-1", "--by", "ana", "--note", "a supplier", "--json").json
    assert [(one["state"], one["closed_by"]) for one in done["incidents"]] == [("closed", "ana")]
    assert cli("incidents", "--json").json["incidents"] == []
    assert len(cli("incidents", "--all", "--json").json["incidents"]) == 1
    assert cli("incidents", "--close", "nothing", "--by", "ana", code=2).err
    assert cli("incidents", "nobody", code=2).err


def test_one_switch_stops_and_resumes_all_agents(cli, scene):
    scene.waiting()
    done = cli("stop", "--all", "--by", "eve", "--reason", "a leak", "--json").json
    assert (done["agent"], done["stopped"]) == (None, True)
    assert cli("rollout", "show", "support", "--json").json["state"] == "frozen"
    assert "all agents are stopped by eve" in cli("tick", "support", code=1).err
    assert "stopped already" in cli("stop", "--all", "--by", "eve", code=1).err
    assert "not only support" in cli("stop", "support", "--all", "--by", "eve", code=2).err
    assert "no agent is named" in cli("stop", "--by", "eve", code=2).err
    cli("resume", "--all", "--by", "eve")
    assert "thaw" in cli("rollout", "--help").out


def test_a_frozen_rollout_is_thawed_by_somebody_else(cli, scene):
    scene.waiting()
    cli("stop", "support", "--by", "eve")
    assert "is stopped" in cli("rollout", "thaw", "support", "--by", "eve", code=1).err
    cli("resume", "support", "--by", "eve")
    assert "cannot thaw" in cli("rollout", "thaw", "support", "--by", "ann", code=1).err
    done = cli("rollout", "thaw", "support", "--by", "eve", "--json").json
    assert (done["action"], done["state"], done["weight_after"]) == ("thaw", "canary", 5)
    assert "not frozen" in cli("rollout", "thaw", "support", "--by", "eve", code=1).err


def test_a_rollout_is_held_until_a_person_lets_it_go_on(cli, scene):
    scene.waiting()
    done = cli("rollout", "hold", "support", "--by", "eve", "--why", "a complaint", "--json").json
    assert (done["state"], done["weight_after"]) == ("frozen", 0)
    assert cli("rollout", "show", "support", "--json").json["state"] == "frozen"
    assert cli("rollout", "thaw", "support", "--by", "eve", "--json").json["weight_after"] == 5
    cli("rollout", "abort", "support", "--by", "eve")
    assert "no rollout in progress" in cli("rollout", "hold", "support", "--by", "eve", code=1).err


def test_a_rollout_waits_in_the_queue_and_can_leave_it(cli, scene):
    scene.waiting()
    scene.candidate(starting_genome(LABELS), word="MORE")
    assert "already has a rollout" in cli("rollout", "start", "support", "3", "--by", "bob", "--force", code=1).err
    done = cli("rollout", "start", "support", "3", "--by", "bob", "--force", "--queue", "--json").json
    assert (done["action"], done["reason"], done["state"]) == ("hold", "queued", "draft")
    listed = cli("rollout", "list", "support", "--json").json["rollouts"]
    assert [one["queued"] for one in listed] == [False, True]
    assert "queued" in cli("rollout", "list", "support").out
    assert cli("rollout", "show", "support", "--json").json["challenger"] == 2
    gone = cli("rollout", "abort", "support", "--by", "bob", "--rollout", done["rollout"], "--json").json
    assert (gone["rollout"], gone["state"]) == (done["rollout"], "aborted")
    assert cli("rollout", "show", "support", "--json").json["state"] == "awaiting_approval"


def test_bisecting_says_which_version_and_edit_or_that_it_cannot_be_told(cli, scene):
    cli("approve", scene.waiting(), "--by", "bob")
    done = cli("bisect", "support", "--json", code=4).json
    assert (done["verdict"], done["good"], done["bad"], done["first_bad"]) == ("inconclusive", 1, 2, None)
    assert "not shown to be worse" in cli("bisect", "support", code=4).out
    scene.candidate(scene.see(lambda tx: tx.versions.genome(tx.versions.get("support", 1).genome)), word="BAD")
    found = cli("bisect", "support", "--bad", "3", "--good", "2", "--json").json
    assert (found["verdict"], found["first_bad"], found["after"]) == ("found", 3, 2)
    assert found["edit"]["target"] == "good"
    assert "edit" in cli("bisect", "support", "--bad", "3", "--good", "2").out
    assert "no ancestor" in cli("bisect", "support", "--good", "9", code=2).err
