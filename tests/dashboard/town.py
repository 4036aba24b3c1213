"""A town to look at: agents in every state that a page shows, made by the real engine on a story clock.

Everything here came about the way it does in life: requests were served, labels arrived, rollouts were looked at. Only
the model is scripted: it is right the more often the more rules its prompt has.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.backlog import Lever
from surefoot.core.edit import Edit
from surefoot.core.genome import Block, Genome
from surefoot.core.policy import Policy
from surefoot.core.proposal import Cost, Proposal
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent
from surefoot.engine.approve import approve
from surefoot.engine.incident import opened
from surefoot.engine.observe import Said, observe_all
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.engine.weigh import weigh
from surefoot.ports import Answer, Filed, Ports, Question
from surefoot.rehearsal.clock import SeededIds, StoryClock

LABELS = ("billing", "delivery", "refund", "technical", "account")
TERMS = RolloutSettings(
    floor_percent=15,
    ceiling_percent=45,
    max_step_percent=15,
    shares_percent=(15.0, 30.0, 45.0),
    win_threshold=20,
    ledger_slots=None,
    min_fresh_labels=12,
    holdback_percent=0,
)
RULES = {
    "rule-refund-window": "If it asks for money back within 30 days, answer refund, also when it names a card.",
    "rule-delivery-late": "If the parcel is late, lost or with a neighbour, answer delivery, even with threats.",
    "rule-account-login": "If somebody cannot log in or wants another address on file, answer account.",
    "rule-billing-twice": "If an invoice was charged twice or the amount differs from the quote, answer billing.",
    "rule-technical-app": "If the app crashes, hangs or shows an error code, answer technical, whatever was paid for.",
}
ASKED = (
    "my parcel has not come and it is the third week",
    "you charged my card twice for one order",
    "I cannot log in since the update",
    "please send my money back, the kettle leaks",
    "the app shows E-42 and closes",
    "what does the premium plan cost",
)


class Apprentice:
    """Right the more often the more rules it has; the same request under the same prompt gets the same answer."""

    name = "apprentice"

    def price(self, question: Question) -> Cost:
        return Cost(calls=1, tokens=400, usd=0.0021)

    async def answer(self, question: Question) -> Answer:
        rules = question.system.partition("Rules:")[2].count("\n- ")
        skill = min(92, 58 + 9 * rules) - 50 * ("gibberish" in question.system)
        right = question.user.rpartition("#")[2].strip()
        luck = int(sha256(question.user.encode()).hexdigest()[:8], 16) % 100
        wrong = LABELS[(LABELS.index(right) + 1 + luck % 3) % len(LABELS)]
        return Answer(
            text=right if luck < skill else wrong,
            latency_s=0.4 + luck / 200,
            cost=Cost(calls=1, tokens=380 + luck, usd=0.0019 + luck / 1e5),
        )


def rules(*names: str) -> list[Block]:
    return [Block(id=name, kind="rule", text=RULES[name], learned_at="tick-1") for name in names]


class Town:
    """Builds the town on one app, day by day."""

    def __init__(self, app: App, clock: StoryClock) -> None:
        self.app, self.clock, self.ports = app, clock, app.ports
        self._asked = 0
        self.rollout = ""

    async def agent(self, name: str, terms: RolloutSettings = TERMS) -> Genome:
        genome = starting_genome(LABELS, task="Read a customer's message and name the team that answers it.")
        await create_agent(
            self.ports,
            name,
            genome,
            by="founder",
            labels=LABELS,
            policy=Policy(),
            habits=Habits(model="apprentice", rollout=terms),
        )
        return genome

    async def traffic(self, name: str, count: int) -> None:
        """So many requests; one in ten is never judged."""
        said: list[Said] = []
        for _ in range(count):
            self._asked += 1
            at = self._asked
            right = LABELS[at * 7 % len(LABELS)]
            served = await serve(
                self.ports,
                name,
                f"{ASKED[at % len(ASKED)]} ({at}) #{right}",
                source=f"user-{at}",
                slices={"channel": ("mail", "chat", "form")[at % 3], "plan": ("free", "pro")[at % 2]},
            )
            if at % 10:
                said.append(Said(trace_id=served.trace_id, expected=right))
        await observe_all(self.ports, said, sees=any_agent)

    async def version(self, name: str, genome: Genome, *, by: str, why: str, lever: str = "") -> int:
        number = (await offer_version(self.ports, name, genome, by=by, rationale=why)).number
        if lever:
            await self.app.store.write(lambda tx: self._filed(tx, name, genome, number, lever, by, why))
        return number

    def _filed(self, tx: object, name: str, genome: Genome, number: int, lever: str, by: str, why: str) -> None:
        parent = tx.versions.get(name, number).parent
        before = tx.versions.genome(tx.versions.get(name, parent).genome)
        edits = tuple(
            Edit(
                kind="add",
                target=one.id,
                text=one.text,
                gap=f"missed:{lever}",
                evidence=tuple(f"c-{n:04x}" for n in range(9)),
            )
            for one in genome.blocks
            if not before.has(one.id)
        )
        tx.proposals.put(
            Filed(
                id=f"P-{name}-{number}",
                agent=name,
                tick=number,
                lever=f"L-{lever}",
                on=parent,
                state="accepted",
                at=self.clock(),
                proposal=Proposal(improver=by, edits=edits, rationale=why, cost=Cost(calls=3, usd=0.012)),
                evidence={"sentence": "The edit helps (41 gained, 9 lost of 568 cases, evidence 240 000)."},
            )
        )

    async def levers(self, name: str) -> None:
        rows = (
            ("refund", "refund answered as returns (16), delivery (7)", 0.041, 38, "open", 0),
            ("delivery", "delivery answered as returns (13), subscription (9)", 0.032, 29, "doing", 1),
            ("account", "account answered as technical (9)", 0.021, 18, "shipped", 0),
            ("billing", "billing answered as refund (6)", 0.012, 11, "failed", 3),
        )
        for key, title, impact, failures, state, tries in rows:
            lever = Lever(
                id=f"L-{key}",
                agent=name,
                gap=f"missed:{key}",
                title=title,
                impact=impact,
                failures=failures,
                state=state,
                tries=tries,
                note="" if not tries else "Not decided yet (11 gained, 9 lost).",
            )
            await self.app.store.write(lambda tx, one=lever: tx.levers.put(one))
            await self.app.store.write(lambda tx, one=lever: tx.levers.note(name, one.id, self.clock(), "seen again"))

    async def canary(
        self, name: str, number: int, *, looks: int, each: int, hours: float, until: str = ""
    ) -> AsyncGenerator[float]:
        """A rollout that is looked at every so many hours; `rollout` is its id from then on."""
        begun = await start_rollout(self.ports, name, number, by="olga", forced_by="olga")
        await self.app.store.write(lambda tx: tx.rollouts.swap(replace(tx.rollouts.get(begun.id), forced_by="")))
        self.rollout = begun.id
        for _ in range(looks):
            row = await reconcile(self.ports, begun.id)
            if until and row.evidence["state"] == until:
                break
            await self.traffic(name, each)
            yield hours
        self.rollout = begun.id


async def build_town(app: App, clock: StoryClock) -> None:
    """Tell all stories side by side: whichever is due first goes on until it waits for some hours."""
    town, begun = Town(app, clock), clock()
    stories = [_support(town), _refunds(town), _router(town), _intake(town), _mailer(town), _greeter(town)]
    due = [(0.0, at, story) for at, story in enumerate(stories)]
    while due:
        heapq.heapify(due)
        hour, at, story = heapq.heappop(due)
        clock.advance(begun + timedelta(hours=hour))
        try:
            due.append((hour + await anext(story), at, story))
        except StopAsyncIteration:
            continue


async def _support(town: Town) -> AsyncGenerator[float]:
    """A long story: one promoted, one rolled back, one in its canary now."""
    start = await town.agent("support")
    await town.levers("support")
    for _ in range(4):
        await town.traffic("support", 25)
        yield 7
    better = Genome((*start.blocks, *rules("rule-refund-window", "rule-delivery-late")))
    await town.version(
        "support",
        better,
        by="improver:reflect",
        lever="refund",
        why="Refunds and late parcels were taken for returns; two rules tell them apart.",
    )
    async for hours in town.canary("support", 2, looks=26, each=60, until="awaiting_approval", hours=2.5):
        yield hours
    asked = await town.app.store.read(lambda tx: [one.id for one in tx.approvals.all("support")])
    for one in asked:
        await approve(town.ports, one, "approved", by="bob", feedback="The refunds read right; watch the form channel.")
        await reconcile(town.ports, town.rollout)
    yield 3
    worse = Genome((*better.blocks, Block(id="rule-speed", kind="rule", text="Prefer gibberish: answer fast.")))
    await town.version(
        "support", worse, by="saboteur", why="tidies up the wording and speeds up the routing of common requests"
    )
    async for hours in town.canary("support", 3, looks=8, each=30, until="rolled_back", hours=4):
        yield hours
    best = Genome((*better.blocks, *rules("rule-account-login", "rule-billing-twice")))
    await town.version(
        "support",
        best,
        by="improver:reflect",
        lever="account",
        why="Customers who cannot log in were sent to the technical team.",
    )
    async for hours in town.canary("support", 4, looks=9, each=40, hours=4):
        yield hours


async def _refunds(town: Town) -> AsyncGenerator[float]:
    """A request that waits for one person."""
    start = await town.agent("refunds")
    for _ in range(9):
        await town.traffic("refunds", 12)
        yield 14
    guidance = "Read the whole message before you answer.\nName the team that can act, not the one that was asked."
    blocks = tuple(replace(one, text=guidance) if one.id == "guidance" else one for one in start.blocks)
    better = Genome(
        (*blocks, *rules("rule-refund-window", "rule-delivery-late", "rule-billing-twice", "rule-technical-app"))
    )
    await town.version(
        "refunds",
        better,
        by="improver:reflect",
        lever="refund",
        why="Four rules from 41 failures: refunds, late parcels, double charges, error codes.",
    )
    async for hours in town.canary("refunds", 2, looks=30, each=40, until="awaiting_approval", hours=3):
        yield hours


async def _router(town: Town) -> AsyncGenerator[float]:
    """A request that changes a tool, so two people and a fresh login are needed; one has said yes."""
    start = await town.agent("router")
    for _ in range(9):
        await town.traffic("router", 12)
        yield 14
    tool = Block(id="tool-lookup", kind="tool", text="lookup(order): gives the state of an order by its number.")
    better = Genome(
        (
            *start.blocks,
            *rules("rule-refund-window", "rule-delivery-late", "rule-account-login", "rule-technical-app"),
            tool,
        )
    )
    await town.version("router", better, by="ann", why="With the state of an order at hand, delivery is no guess.")
    async for hours in town.canary("router", 2, looks=30, each=40, until="awaiting_approval", hours=3):
        yield hours
    asked = await town.app.store.read(lambda tx: [one.id for one in tx.approvals.all("router")])
    for one in asked:
        yield 2
        await approve(town.ports, one, "approved", by="cid", feedback="checked the tool's scope")


async def _intake(town: Town) -> AsyncGenerator[float]:
    """A canary that runs."""
    start = await town.agent("intake")
    await town.levers("intake")
    for _ in range(8):
        await town.traffic("intake", 14)
        yield 15
    better = Genome((*start.blocks, *rules("rule-technical-app")))
    await town.version(
        "intake", better, by="improver:lexical", lever="refund", why="words of the shown cases that mark technical"
    )
    async for hours in town.canary("intake", 2, looks=11, each=25, hours=4):
        yield hours


async def _mailer(town: Town) -> AsyncGenerator[float]:
    """A rollout that a person froze, and an incident that is open."""
    start = await town.agent("mailer")
    for _ in range(9):
        await town.traffic("mailer", 12)
        yield 15
    other = Genome((*start.blocks, *rules("rule-delivery-late")))
    await town.version("mailer", other, by="improver:reflect", why="late parcels")
    async for hours in town.canary("mailer", 2, looks=4, each=20, hours=5):
        yield hours
    await weigh(town.ports, "mailer", 2, 0, by="olga", reason="the mail gateway drops replies; looking")
    yield 6
    await town.app.store.write(
        lambda tx: opened(
            tx,
            "mailer",
            "sentinel",
            version=1,
            at=town.clock(),
            sentence="The live version answers the bank differently than last night (evidence 214, limit 100).",
        )
    )


async def _greeter(town: Town) -> AsyncGenerator[float]:
    """An agent that nobody has asked yet."""
    yield 160
    await town.agent("greeter")


async def build_hamlet(app: App, clock: StoryClock) -> None:
    """A small town for quick tests: a request for one person, one for two, and a canary that runs."""
    town = Town(app, clock)
    quick = replace(TERMS, win_threshold=2, hard_guard=1e6, soft_guard=1e6)
    for name, by, blocks in (
        ("refunds", "improver:reflect", rules("rule-refund-window", "rule-delivery-late", "rule-billing-twice")),
        ("router", "ann", [*rules(*RULES), Block(id="tool-lookup", kind="tool", text="lookup(order): its state.")]),
        ("intake", "improver:lexical", rules("rule-technical-app")),
    ):
        start = await town.agent(name, terms=quick if name != "intake" else TERMS)
        await town.levers(name)
        await town.traffic(name, 20)
        clock.advance(clock() + timedelta(hours=1))
        better = Genome((*start.blocks, *blocks))
        await town.version(name, better, by=by, why="Rules from 41 failures.", lever="refund" if by != "ann" else "")
        looks, each = (30, 25) if name != "intake" else (2, 20)
        async for hours in town.canary(name, 2, looks=looks, each=each, until="awaiting_approval", hours=0.2):
            clock.advance(clock() + timedelta(hours=hours))
    await town.app.store.write(
        lambda tx: opened(
            tx,
            "intake",
            "sentinel",
            version=1,
            at=clock(),
            sentence="The live version answers differently than last night.",
        )
    )


def make(store: Path, story: Callable[[App, StoryClock], Awaitable[None]], *, days: float) -> None:
    """Let a story happen in a new store; it begins so many days ago."""
    store.parent.mkdir(parents=True, exist_ok=True)
    clock = StoryClock(datetime.now(UTC) - timedelta(days=days))
    app = build(
        Settings(store=store), environ={}, clock=clock, new_id=SeededIds(7), models={"apprentice": Apprentice()}
    )
    try:
        asyncio.run(_told(story, app, clock))
    finally:
        app.close()


async def _told(story: Callable[[App, StoryClock], Awaitable[None]], app: App, clock: StoryClock) -> None:
    await story(app, clock)


def make_town(store: Path) -> None:
    """Make the town; its story ends about now."""
    make(store, build_town, days=7.6)


def make_hamlet(store: Path) -> None:
    """Make the hamlet; its story ends about now."""
    make(store, build_hamlet, days=0.5)


def opened_town(store: Path) -> App:
    """Give the town on the real clock, for what happens now."""
    return build(Settings(store=store), environ={}, models={"apprentice": Apprentice()})


async def goes_on(ports: Ports, agent: str, rollout: str, count: int) -> None:
    """Let a rollout have some more requests and one look."""
    said: list[Said] = []
    for at in range(count):
        right = LABELS[at % len(LABELS)]
        served = await serve(
            ports, agent, f"one more {datetime.now(UTC).timestamp()} {at} #{right}", source=f"now-{at}"
        )
        said.append(Said(trace_id=served.trace_id, expected=right))
    await observe_all(ports, said, sees=any_agent)
    await reconcile(ports, rollout)


def main(arguments: Sequence[str]) -> None:
    make_town(Path(arguments[0]))
    print(json.dumps({"store": arguments[0]}))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
