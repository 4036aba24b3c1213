"""`shadow` and `sentinel`: what is asked out of users' sight, for people and for programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from surefoot.core.case import Case
from surefoot.core.genome import Block, Genome
from surefoot.engine.register import add_cases

GOOD = Block(id="good", kind="rule", text="GOOD: answer what stands after label:")


@pytest.fixture
def offered(cli, scene):
    """An agent with recorded requests, and a candidate that knows the answers."""

    def offer(word: str = "GOOD") -> None:
        genome = scene.agent()
        scene.candidate(genome, word=word)
        scene.traffic(60)
        started = cli("rollout", "start", "support", "2", "--by", "bob", "--force", "--road", "paired", "--json").json
        assert started["weight_after"] in (0, 5)

    return offer


def test_a_paired_rollout_wins_on_recorded_requests_before_any_user_sees_it(cli, offered, scene):
    offered()
    show = cli("rollout", "show", "support", "--json").json
    assert [row["reason"] for row in show["history"]] == ["started", "shadow_won"]
    assert show["settings"]["road"] == "paired"
    seen = cli("shadow", "support", "--json").json
    assert (seen["verdict"], seen["state"], seen["lost"]) == ("win", "canary", 0)
    assert seen["e_win"] >= seen["win"] == 20
    assert seen["gained"] * 2 == seen["cases"] <= 60
    pair = seen["pairs"][1]
    assert (pair["incumbent"]["text"], pair["challenger"]["text"], pair["difference"]) == ("billing", "refund", 1.0)
    text = cli("shadow", "support").out
    assert "gained" in text
    assert "support v2 against v1: win" in text


def test_a_worse_candidate_never_leaves_its_shadow(cli, offered, scene):
    offered("BAD")
    cli("rollout", "show", "support")
    seen = cli("shadow", "support", "--json").json
    assert seen["verdict"] in ("harm", "collecting")
    assert seen["state"] in ("shadow", "rolled_back")
    assert all(row["weight_after"] == 0 for row in cli("rollout", "show", "support", "--json").json["history"])
    assert "lost" in cli("shadow", "support", "--rollout", seen["rollout"]).out


def test_more_requests_are_asked_by_hand_and_the_reason_to_wait_is_said(cli, scene):
    genome = scene.agent()
    scene.candidate(genome)
    cli("rollout", "start", "support", "2", "--by", "bob", "--force", "--road", "paired")
    assert "surefoot shadow support --ask" in cli("shadow", "support").out
    seen = cli("shadow", "support", "--ask", "5", "--json").json
    assert (seen["added"], seen["waits"], seen["cost_usd"]) == (
        0,
        "no_requests",
        {"incumbent": None, "challenger": None},
    )
    scene.traffic(8)
    assert cli("shadow", "support", "--ask", "5", "--json").json["added"] == 5
    assert "no recorded request is left" in cli("shadow", "support", "--ask", "50").out


def test_the_canary_road_shares_no_requests(cli, scene):
    genome = scene.agent()
    scene.candidate(genome)
    cli("rollout", "start", "support", "2", "--by", "bob", "--force")
    assert "canary road" in cli("shadow", "support").out
    assert cli("shadow", "support", "--ask", "1", "--json", code=1).error["code"] == "conflict"


def test_hostile_requests_are_shown_as_text(cli, scene):
    genome = scene.agent()
    scene.candidate(genome)
    cli("rollout", "start", "support", "2", "--by", "bob", "--force", "--road", "paired")

    async def attack(app: Any) -> None:
        await add_cases(app.ports, [Case(
            id="x", agent="support", group="x", input="\x1b[2J[red]boo[/red] label:refund", expected="refund",
            split="later",
        )], by="mallory")  # fmt: skip

    scene.do(attack)
    out = cli("shadow", "support", "--ask", "1").out
    assert "<U+001B>" in out
    assert "[red]boo[/red]" in out


@pytest.fixture
def banked(scene):
    """An agent that is always right, with cases to bank."""
    genome = scene.agent()

    async def cases(app: Any) -> None:
        made = [
            Case(id=f"c{number}", agent="support", group=f"c{number}", input=f"case {number} label:refund",
                 expected="refund", split="val")
            for number in range(60)
        ]  # fmt: skip
        await add_cases(app.ports, made, by="founder")
        better = Genome((*genome.blocks, GOOD))

        def live(tx: Any) -> None:
            agent = tx.agents.get("support")
            version = replace(tx.versions.get("support", 1), number=2, genome=better.digest, state="live")
            tx.versions.add(version, better)
            tx.agents.swap(replace(agent, live=2))

        await app.store.write(live)

    scene.do(cases)


def moved_on(scene) -> None:
    """The nights before, as a model that was right on everything would have left them."""
    from surefoot.core.sentinel import Banked

    async def nights(app: Any) -> None:
        now = app.ports.clock()
        await app.store.write(lambda tx: tx.banked.add(
            Banked(agent="support", window=f"2026-01-{night:02}", case=f"c{number}", version=2, model="scripted",
                   at=now, answer="other", score=0.0, slices={"label": "refund"})
            for night in (1, 2) for number in range(60)
        ))  # fmt: skip

    scene.do(nights)


def test_the_first_night_only_banks_and_a_second_run_asks_nothing(cli, banked):
    first = cli("sentinel", "support", "--json").json
    assert (first["asked"], first["banked"], first["compared"], first["alarm"]) == (50, 50, 0, "")
    assert cli("sentinel", "support", "--json").json["asked"] == 0
    assert "no history yet" in cli("sentinel", "support").out


def test_an_alarm_names_what_moved_until_a_person_has_looked(cli, banked, scene):
    moved_on(scene)
    night = cli("sentinel", "support", "--json").json
    assert night["evidence"] >= night["limit"]
    assert night["moved"]["slices"][0]["name"] == "label=refund"
    out = cli("sentinel", "support").out
    assert "label=refund 0 % → 100 %" in out
    assert "other → refund" in out
    assert cli("sentinel", "support", "--seen", "--json", code=2).error["code"] == "invalid"
    closed = cli("sentinel", "support", "--seen", "--by", "ann", "--json").json
    assert (closed["alarm"], closed["looked_at_by"]) == ("", "ann")
    assert cli("sentinel", "support", "--json").json["alarm"] == ""
    assert cli("sentinel", "support", "--seen", "--by", "ann", "--json", code=1).error["code"] == "conflict"


def test_an_agent_without_cases_is_told_what_to_do(cli, scene):
    scene.agent()
    assert "import" in cli("sentinel", "support", "--json", code=2).error["hint"]


def test_the_loop_runs_the_sentinel_once_a_day(cli, banked, scene):
    for _ in range(2):
        cli("loop", "support", "--until-idle")
    rows = scene.see(lambda tx: tx.banked.of("support", 2))
    assert len(rows) == 50
    assert len({row.window for row in rows}) <= 2
