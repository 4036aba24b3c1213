"""`surefoot prune` and what `surefoot show` says of each learned block afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from surefoot.core.case import Case
from surefoot.core.genome import Block, Genome
from surefoot.engine.register import add_cases, offer_version


def grown(scene: Any) -> None:
    """The agent has learned two rules, one of which does something."""

    async def work(app: Any) -> None:
        agent = await app.store.read(lambda tx: tx.agents.get("support"))
        base = await app.store.read(lambda tx: tx.versions.genome(agent.base))
        rules = [Block(id="useful", kind="rule", text="GOOD"), Block(id="idle", kind="rule", text="Mind the tone.")]
        version = await offer_version(
            app.ports, "support", Genome((*base.blocks, *rules)), by="ann", rationale="two rules"
        )
        await app.store.write(lambda tx: tx.agents.swap(replace(tx.agents.get("support"), live=version.number)))
        await add_cases(app.ports, [
            Case(id=f"{split}{n}", agent="support", group=f"{split}{n}", input=f"{split} {n} label: {label}",
                 expected=label, split=split)
            for split in ("hidden", "val") for n in range(30) for label in [("billing", "refund")[n % 2]]
        ], by="ann")  # fmt: skip

    scene.do(work)


def test_what_a_block_bought_is_shown_after_it_was_measured(cli: Any, scene: Any) -> None:
    cli("init", "support", "--labels", "billing,refund", "--model", "scripted", "--json")
    grown(scene)
    assert cli("show", "support", "--json").json["bought"] == {}
    told = cli("prune", "support", "--json").json
    assert {one["block"]: one["verdict"] for one in told["blocks"]} == {"useful": "helps", "idle": "no longer helps"}
    assert (told["proposal"], [edit["target"] for edit in told["edits"]]) == (None, ["idle"])
    bought = cli("show", "support", "--json").json["bought"]
    assert (bought["useful"]["gained"], bought["useful"]["n"], bought["useful"]["version"]) == (30, 30, 2)
    assert bought["useful"]["low"] > 0.7
    shown = cli("show", "support").out
    assert "helps: +93.8 % (" in shown
    assert "no longer helps: +0.0 %" in shown


def test_apply_fills_the_draft_and_says_what_comes_next(cli: Any, scene: Any) -> None:
    cli("init", "support", "--labels", "billing,refund", "--model", "scripted", "--json")
    grown(scene)
    out = cli("prune", "support", "--apply").out
    assert "In the draft, to be retired: idle." in out
    assert "surefoot diff support draft" in out
    assert (
        "retired idle" in cli("diff", "support", "draft").out or "removed idle" in cli("diff", "support", "draft").out
    )
    assert cli("show", "support", "--json").json["live"] == 2


def test_an_agent_that_learned_nothing_has_nothing_to_prune(cli: Any) -> None:
    cli("init", "support", "--labels", "billing,refund", "--model", "scripted", "--json")
    assert "Nothing was learned yet" in cli("prune", "support").out
