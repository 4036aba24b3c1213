"""`surefoot work`, `cancel` and `health`: the Runs and Health screens on the command line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from surefoot.core.job import Job
from surefoot.engine.once import this_process


def write(scene, work):
    with scene.app() as app:
        app.store.write_now(work)


def test_all_long_work_is_listed_filtered_and_shown(cli, scene):
    scene.agent()
    assert "no such long work" in cli("work").out
    cli("tick", "support")
    (tick,) = cli("work", "--json").json["work"]
    assert (tick["kind"], tick["id"], tick["state"], tick["done"]) == ("tick", "support/tick-1", "done", 3)
    assert cli("work", "support/tick-1", "--json").json["work"] == [tick]
    assert "20 are needed" in cli("work", "support/tick-1").out
    assert cli("work", "--kind", "eval", "--json").json["work"] == []
    assert cli("work", "--state", "done", "--agent", "support", "--json").json["work"] == [tick]
    assert "there are eval, tick, job" in cli("work", "--kind", "loop", code=2).err
    assert "there is no state 'over'" in cli("work", "--state", "over", code=2).err
    assert "there is no work 'nothing'" in cli("work", "nothing", code=2).err
    assert cli("work", "--agent", "nobody", code=2).err


def test_a_tick_and_a_job_are_cancelled_with_a_name_and_a_reason(cli, scene):
    scene.agent()
    cli("tick", "support")
    who = ("--by", "ann", "--why", "the wrong model")
    assert "has ended" in cli("cancel", "support/tick-1", *who, code=1).err
    now = datetime.now(UTC)

    def begun(tx):
        tx.agents.swap(replace(tx.agents.get("support"), tick=2))
        tx.audit.append(at=now, actor="loop", action="tick-started", subject="support/tick-2", payload={})
        tx.jobs.add(Job(id="one", kind="prune", agent="support", words=("prune", "support"), by="ann", at=now,
                        seen_at=now, owner=this_process(), state="running"))  # fmt: skip

    write(scene, begun)
    for which, kind in (("support/tick-2", "tick"), ("one", "job")):
        assert "by a person, with a reason" in cli("cancel", which, code=2).err
        assert cli("cancel", which, *who, "--json").json == {"kind": kind, "id": which, "state": "cancelling"}
    assert "ann cancelled it: the wrong model" in cli("work", "one").out
    assert "there is no work" in cli("cancel", "nothing", *who, code=2).err


def test_health_says_line_by_line_how_it_is_and_fails_when_a_line_is_bad(cli, scene):
    scene.agent()
    seen = cli("health", "--json").json
    assert (seen["worst"], seen["bad"], seen["whole"]) == ("good", 0, True)
    assert {"Audit chain", "Size", "Workers"} <= {one["name"] for one in seen["lines"]}
    assert "surefoot serve --work" in cli("health").out
    now = datetime.now(UTC)
    write(scene, lambda tx: tx.executors.seen("far-2-x", "far", 2, now - timedelta(seconds=61)))
    ran = cli("health", code=1)
    assert "Worker 2: silent" in ran.out
    assert cli("health", "--json", code=1).json["worst"] == "bad"
