"""What people decide, and what the command line refuses to them."""

from __future__ import annotations

import pytest


def test_a_request_shows_the_change_both_failure_rates_and_the_hashes(cli, scene):
    wanted = scene.waiting()
    (seen,) = cli("approvals", "--json").json["approvals"]
    assert (seen["id"], seen["state"], seen["proposers"]) == (wanted, "pending", ["ann"])
    assert seen["changes"][0]["lines"] == ["+GOOD: answer what stands after label:"]
    assert seen["failure_rates"]["challenger"] < seen["failure_rates"]["incumbent"]
    assert seen["e_win"] >= seen["win_at"] == 2
    page = cli("approvals", "support").out
    assert seen["version_hash"] in page
    assert seen["evidence_hash"] in page
    assert f"surefoot approve {wanted} --by NAME --version-hash" in page
    assert "expires" in page


def test_an_approval_promotes_at_once(cli, scene):
    wanted = scene.waiting()
    (seen,) = cli("approvals", "--json").json["approvals"]
    hashes = ("--version-hash", seen["version_hash"], "--evidence-hash", seen["evidence_hash"][:8])
    done = cli("approve", wanted, "--by", "bob", *hashes, "--feedback", "fine", "--json").json
    assert (done["state"], done["rollout_state"], done["live"], done["weight_percent"]) == (
        "approved",
        "promoted",
        2,
        100,
    )
    assert cli("approvals", "--json").json["approvals"] == []
    assert cli("approvals", "--all", "--json").json["approvals"][0]["feedback"] == "fine"
    assert cli("audit", "verify", "--json").json["intact"]


@pytest.mark.parametrize("verb", ["reject", "request-changes"])
def test_a_rejection_takes_the_share_away_at_once(cli, scene, verb):
    wanted = scene.waiting()
    done = cli(verb, wanted, "--by", "bob", "--feedback", "shorter, please", "--json").json
    assert done["state"] == {"reject": "rejected", "request-changes": "changes_requested"}[verb]
    assert (done["rollout_state"], done["weight_percent"], done["live"]) == ("rolled_back", 0, 1)


@pytest.mark.parametrize("name", ["ann", " ANN ", "A\u200bnn"])
def test_nobody_approves_their_own_proposal(cli, scene, name):
    wanted = scene.waiting()
    ran = cli("approve", wanted, "--by", name, code=1)
    assert "proposed support v2 and cannot decide on it" in ran.err
    assert "hint: another person" in ran.err
    assert cli("agents", "--json").json["agents"][0]["live"] == 1


@pytest.mark.parametrize("option", ["--version-hash", "--evidence-hash"])
@pytest.mark.parametrize("quoted", ["0" * 64, "abc"])
def test_an_approval_of_stale_evidence_is_refused(cli, scene, option, quoted):
    wanted = scene.waiting()
    ran = cli("approve", wanted, "--by", "bob", option, quoted, code=1)
    assert f"the evidence of approval {wanted} has changed since you looked at it" in ran.err
    assert "hint: read the current evidence" in ran.err
    assert cli("approve", wanted, "--by", "bob", option, quoted, "--json", code=1).error["code"] == "conflict"


def test_a_request_is_decided_once(cli, scene):
    wanted = scene.waiting()
    cli("approve", wanted, "--by", "bob")
    assert f"approval {wanted} is decided: approved by bob" in cli("reject", wanted, "--by", "eve", code=1).err


def test_an_unknown_request_is_answered_with_the_nearest(cli, scene):
    wanted = scene.waiting()
    assert f"did you mean '{wanted}'?" in cli("approve", "promote-suport-v2", "--by", "bob", code=2).err
    assert "needs a person's name" in cli("approve", wanted, "--by", " ", code=2).err
    assert "missing option '--by'" in cli("approve", wanted, code=2).err


def test_a_rollback_ends_the_rollout_even_while_a_person_is_asked(cli, scene):
    wanted = scene.waiting()
    done = cli("rollback", "support", "--by", "eve", "--why", "odd answers", "--json").json
    assert (done["live"], done["rollout"] is not None) == (1, True)
    assert cli("rollout", "show", "support", "--json").json["state"] == "rolled_back"
    assert "is stale" in cli("approve", wanted, "--by", "bob", code=1).err


def test_a_rollback_of_a_promoted_version_can_itself_be_undone(cli, scene):
    cli("approve", scene.waiting(), "--by", "bob")
    assert cli("rollback", "support", "--by", "eve", "--json").json["live"] == 1
    assert cli("rollback", "support", "--to", "v2", "--by", "eve", "--json").json["live"] == 2
    lineage = cli("versions", "support", "--json").json["lineage"]
    assert [one["version"] for one in lineage] == [1, 2, 1, 2]


def test_there_is_nothing_to_step_back_to_at_first(cli, scene):
    scene.agent()
    assert "no version before it" in cli("rollback", "support", "--by", "eve", code=1).err
    assert "takes a person's name" in cli("rollback", "support", "--by", "", code=2).err
    assert "has no version v7" in cli("rollback", "support", "--to", "7", "--by", "eve", code=2).err


def test_a_stopped_agent_freezes_its_rollout_and_only_its_live_version_serves(cli, scene):
    scene.waiting()
    seen = cli("stop", "support", "--by", "eve", "--json").json
    assert (seen["stopped"], seen["rollout_state"]) == (True, "frozen")
    assert "agent support is stopped" in cli("tick", "support", code=1).err
    assert "is stopped already" in cli("stop", "support", "--by", "eve", code=1).err
    assert not cli("resume", "support", "--by", "eve", "--json").json["stopped"]
    assert cli("rollout", "abort", "support", "--by", "eve", "--json").json["state"] == "aborted"


def test_a_rollout_starts_at_its_floor_and_is_stepped_by_hand(cli, scene):
    genome = scene.agent()
    scene.traffic(40)
    scene.candidate(genome)
    begun = cli("rollout", "start", "support", "2", "--by", "bob", "--force", "--json").json
    assert (begun["action"], begun["weight_after"], begun["state"]) == ("ramp", 5, "canary")
    assert cli("rollout", "step", "support", "--json").json["reason"] == "no_labels"
    shown = cli("rollout", "show", "support", "--json").json
    assert [row["seq"] for row in shown["history"]] == [1, 2]
    lines = [line for line in cli("rollout", "show", "support").out.splitlines() if line.startswith("#")]
    assert len(lines) == 2
    assert "win 1/2" in lines[0]
    assert cli("rollout", "list", "support", "--json").json["rollouts"][0]["challenger"] == 2


def test_a_rejected_version_needs_force_and_everything_says_no_guarantee(cli, scene):
    scene.candidate(scene.agent())
    scene.do(lambda app: app.store.write(lambda tx: tx.versions.move("support", 2, "rejected")))
    ran = cli("rollout", "start", "support", "2", "--by", "bob", code=1)
    assert "v2 is rejected; only a person can offer it again" in ran.err
    assert "--force --by NAME" in ran.err
    assert "no guarantee" in cli("rollout", "start", "support", "2", "--by", "bob", "--force").out
    shown = cli("rollout", "show", "support", "--json").json
    assert (shown["forced_by"], shown["guarantee"]) == ("bob", False)


def test_an_override_promotes_without_guarantee(cli, scene):
    scene.candidate(scene.agent())
    cli("rollout", "start", "support", "2", "--by", "bob", "--force")
    done = cli("rollout", "override", "support", "--by", "eve", "--why", "an emergency", "--json").json
    assert (done["state"], done["guarantee"]) == ("promoted", False)
    assert cli("agents", "--json").json["agents"][0]["live"] == 2


@pytest.mark.parametrize("verb", [("step",), ("override", "--by", "bob"), ("abort", "--by", "bob")])
def test_without_a_rollout_there_is_nothing_to_steer(cli, scene, verb):
    scene.agent()
    ran = cli("rollout", verb[0], "support", *verb[1:], code=1)
    assert "agent 'support' has no rollout in progress" in ran.err
    assert "surefoot rollout start support VERSION" in ran.err


def test_a_rollout_that_never_was_is_named(cli, scene):
    scene.agent()
    assert "had no rollout yet" in cli("rollout", "show", "support", code=2).err
    assert "had no rollout yet" in cli("rollout", "list", "support").out
    assert "v1 is live already" in cli("rollout", "start", "support", "1", "--by", "bob", code=1).err
