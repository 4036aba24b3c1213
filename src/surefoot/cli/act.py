"""The acts that `demo` and `try` share: improve and canary, ask a person, catch a saboteur, say what to do next."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.cli.narrator import Narrator, evidence_line
from surefoot.cli.screen import visible
from surefoot.core.errors import Invalid
from surefoot.core.figure import percent

if TYPE_CHECKING:
    from surefoot.core.approval import Approval, Decision
    from surefoot.rehearsal.story import Person, Story, Word


def person_or_yes(yes: bool) -> Person:
    """Give who decides: the person at the terminal, or yes in their place; Invalid when there is nobody."""
    if yes:
        return Agreeable()
    if not sys.stdin.isatty():
        raise Invalid("a person must decide before the majority, and there is no terminal", hint="add --yes")
    return AtTheTerminal()


class Agreeable:
    """Says yes in the person's place."""

    name = "operator (--yes)"

    async def decide(self, approval: Approval, evidence: Mapping[str, Any]) -> tuple[Decision, str]:
        """Approve."""
        return "approved", self.name

    async def accepts(self, names: Sequence[str], evidence: Mapping[str, Any]) -> tuple[Word, str]:
        """Accept."""
        return "accept", self.name


class Watchful:
    """Promotes nothing, and leaves it to the guards to end a rollout."""

    name = "operator"

    async def decide(self, approval: Approval, evidence: Mapping[str, Any]) -> tuple[Decision, str]:
        """Reject, whatever is shown."""
        return "rejected", self.name

    async def accepts(self, names: Sequence[str], evidence: Mapping[str, Any]) -> tuple[Word, str]:
        """Look on."""
        return "wait", self.name


class AtTheTerminal:
    """The person who is looking at this terminal."""

    async def decide(self, approval: Approval, evidence: Mapping[str, Any]) -> tuple[Decision, str]:
        """Show what is to be decided and wait for a word."""
        print(f"\n  v{approval.version} of {visible(approval.agent)} asks for all traffic.")
        print(f"  {evidence_line({**evidence, 'sentence': '', 'weight_after': 0})}")
        print(f"  version {approval.version_digest[:12]}  evidence {approval.evidence_digest[:12]}")
        return ("approved" if await _yes("Promote it?") else "rejected"), _person()

    async def accepts(self, names: Sequence[str], evidence: Mapping[str, Any]) -> tuple[Word, str]:
        """Name what got worse and wait for a word."""
        worse = ", ".join(visible(name) for name in names)
        print(f"\n  The average is no worse, but {worse} is.")
        return ("accept" if await _yes("Go on all the same? (no rolls back)") else "reject"), _person()


async def _yes(question: str) -> bool:
    answer = await asyncio.to_thread(input, f"  {question} [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "the person at the terminal"


async def improved(story: Story, narrator: Narrator, person: Person) -> dict[str, Any]:
    """Play from the first request to the promotion, and measure before and after on untouched cases."""
    narrator.chapter("1  An agent with a mediocre prompt")
    await story.begin()
    first = await story.live()
    before = await story.measure(first)
    narrator.say(f"accuracy on untouched cases: {percent(before)}")
    narrator.chapter("2  Live traffic on v1")
    await story.live_traffic()
    narrator.chapter("3  One lever a tick, each tested on cases the improver never saw")
    rollout = await story.improve()
    report: dict[str, Any] = {"accuracy_before": before, "promoted": False, "e_win": 0.0, "weights": []}
    if rollout is not None:
        narrator.chapter("4  The canary: a small share of traffic that no improver saw")
        ended = await story.canary(rollout, person)
        report |= {"promoted": ended.state == "promoted", "e_win": ended.e_win, "weights": list(ended.weights)}
    report["accuracy_after"] = await story.measure(await story.live())
    narrator.chapter("5  What it was worth")
    narrator.say(
        f"accuracy on untouched cases: {percent(before)} before, {percent(report['accuracy_after'])} after"
        f" ({'promoted' if report['promoted'] else 'not promoted: the live version stayed'})", "bold green"
    )  # fmt: skip
    return report


async def sabotage(story: Story, narrator: Narrator, *, promoted: bool) -> dict[str, Any]:
    """Let a bad version be offered, refused, forced, and caught; then step back and forward."""
    narrator.chapter("6  A sabotaged version is offered")
    found = await story.offer_sabotage()
    narrator.say("A person forces it past the gate all the same; from here on there is no guarantee.", "yellow")
    rollout = await story.force(found.version, by="a careless operator")
    ended = await story.canary(rollout, Watchful())
    narrator.chapter("7  Back and forward again")
    if promoted:
        await story.step_back_and_forward(by="operator")
    else:
        narrator.say("Nothing was promoted, so there is no version to step back from.", "dim")
    return {"sabotage_gate": found.verdict, "sabotage_promoted": ended.state == "promoted"}


def next_steps(narrator: Narrator, report: Mapping[str, Any], store: Path) -> None:
    """Say what to do next with one's own agent."""
    narrator.say("")
    narrator.say(
        f"{report['seconds']} s on {report['model']}, seed {report['seed']}. The whole story is in {store}:", "dim"
    )
    run = "surefoot" if sys.prefix == sys.base_prefix else f"{Path(sys.argv[0])}"
    for what in ("versions support", "diff support 1 2", "levers support", "rollout list support", "audit verify"):
        narrator.say(f"  {run} --store {store} {what}")
    narrator.say("Next, with your own agent:", "bold")
    narrator.say(f"  {run} try your-labelled-file.jsonl          # the same loop on your data, in a store of its own")
    narrator.say(
        f"  {run} init my-agent --labels a,b,c          # then: ask, outcome, tick, approve; see docs/tutorial.md"
    )
