"""Notices: with the request or not at all, at least once, and visibly given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from scripted_house import NAME

from surefoot.core.agent import Habits
from surefoot.core.approval import DEFAULT_EXPIRY, Approval
from surefoot.core.audit import verify
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from surefoot.core.genome import Block, Genome
from surefoot.core.notice import LEASE, Notice, document
from surefoot.core.policy import Policy
from surefoot.core.starter import starting_genome
from surefoot.core.subscription import Subscription
from surefoot.core.token import EVERY_AGENT
from surefoot.engine import notify
from surefoot.engine.approve import approve, ask, waiting
from surefoot.engine.inspect import request, request_document
from surefoot.engine.notify import deliver, delivering, listed, redrive
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.rollback import wish


class Channel:
    """A channel that keeps what it is told, or fails to order."""

    def __init__(self) -> None:
        self.told: list = []
        self.trouble: list = []
        self.entered = asyncio.Event()
        self.heard = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, notice) -> None:
        self.entered.set()
        await self.open.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        self.told.append(notice)
        self.heard.set()


@pytest.fixture
def channel() -> Channel:
    return Channel()


def wired(house, **channels):
    """The ports of a house with these channels."""
    house.app = replace(house.app, ports=replace(house.ports, notifiers=channels))
    return house


async def asked(house, **given):
    """A rollout that has won, and its request."""
    await house.agent(**given)
    rollout = await house.won((await house.rollout()).id)
    return rollout, await house.read(lambda tx: tx.approvals.get(rollout.approval))


async def test_a_request_is_announced_with_its_hashes_and_commands_and_without_the_prompt(house, channel):
    _, approval = await asked(wired(house, webhook=channel))
    done = await deliver(house.ports)
    assert done.count("delivered") == 1
    (notice,) = channel.told
    told = document(notice)
    assert (told["approval"], told["version_hash"], told["evidence_hash"]) == (
        approval.id, approval.version_digest, approval.evidence_digest,
    )  # fmt: skip
    assert told["approve"].startswith(f"surefoot approve {approval.id} --by NAME --version-hash")
    assert told["people"] == "0 of 1"
    assert all(change.startswith("added ") for change in told["changes"])
    assert "KNOW" not in str(told), "the text of the prompt stays here"


async def test_each_channel_has_a_notice_of_its_own(house, channel):
    down = Channel()
    down.trouble = [Unavailable("down")] * 9
    await asked(wired(house, webhook=down, email_command=channel))
    done = await deliver(house.ports)
    assert (done.count("delivered"), done.count("waiting")) == (1, 1)
    house.later(seconds=6)
    await deliver(house.ports)
    assert len(channel.told) == 1, "a webhook that is down sends no mail twice"


async def test_a_request_that_was_not_kept_is_not_announced(house, channel):
    wired(house, webhook=channel)
    await house.agent()
    rollout = await house.rollout()

    approval = Approval(
        id="a1", agent=NAME, rollout=rollout.id, version=2, version_digest="v", evidence_digest="e", proposers=(),
        requested_at=house.clock(), expires_at=house.clock() + DEFAULT_EXPIRY,
    )  # fmt: skip

    def fails(tx):
        ask(tx, house.ports, approval, "it won")
        assert len(tx.notices.listed(agents=EVERY_AGENT)) == 1
        raise Conflict("somebody was faster")

    with pytest.raises(Conflict):
        await house.write(fails)
    assert await listed(house.ports, all_of_them=True, agents=EVERY_AGENT) == []
    assert await waiting(house.ports) == []


async def test_five_tries_then_a_dead_letter_that_is_seen_and_can_be_sent_again(house, channel):
    channel.trouble = [Unavailable(f"down {n}") for n in range(5)]
    await asked(wired(house, webhook=channel))
    pauses = []
    for _ in range(5):
        (notice,) = await listed(house.ports, agents=EVERY_AGENT)
        pauses.append((notice.next_at - house.clock()).total_seconds())
        house.clock.advance(max(house.clock(), notice.next_at))
        await deliver(house.ports)
    assert pauses == pytest.approx([0, 5, 20, 80, 300], abs=2)
    (dead,) = await listed(house.ports, agents=EVERY_AGENT)
    assert (dead.state, dead.tries, dead.error) == ("dead", 5, "down 4")
    assert "notice-dead" in await house.actions()
    house.later(days=1)
    assert (await deliver(house.ports)).notices == ()
    await redrive(house.ports, dead.id, by="ana")
    assert (await deliver(house.ports)).count("delivered") == 1
    assert await listed(house.ports, agents=EVERY_AGENT) == []
    assert (await house.read(lambda tx: verify(tx.audit.all()))).intact


async def test_only_a_person_sends_a_dead_letter_again_and_only_a_dead_one(house, channel):
    channel.trouble = [Forbidden("a private address", hint="allow it")]
    await asked(wired(house, webhook=channel))
    (waits,) = await listed(house.ports, agents=EVERY_AGENT)
    with pytest.raises(Conflict, match="is waiting"):
        await redrive(house.ports, waits.id, by="ana")
    await deliver(house.ports)
    (dead,) = await listed(house.ports, agents=EVERY_AGENT)
    assert (dead.state, dead.tries, dead.error) == ("dead", 1, "a private address (allow it)")
    with pytest.raises(Invalid, match="by a person"):
        await redrive(house.ports, dead.id, by=" ")
    with pytest.raises(NotFound):
        await redrive(house.ports, "n-nowhere", by="ana")


async def test_two_who_deliver_at_once_tell_it_once(house, channel):
    await asked(wired(house, webhook=channel))
    done = await asyncio.gather(*(deliver(house.ports) for _ in range(8)))
    assert sum(one.count("delivered") for one in done) == 1
    assert len(channel.told) == 1


async def test_a_delivery_that_was_killed_is_repeated_after_its_lease_and_not_before(house, channel):
    await asked(wired(house, webhook=channel))
    channel.open.clear()
    cut_short = asyncio.create_task(deliver(house.ports))
    await channel.entered.wait()
    cut_short.cancel()
    await asyncio.gather(cut_short, return_exceptions=True)
    channel.open.set()
    assert (await deliver(house.ports)).notices == ()
    house.clock.advance(house.clock() + LEASE)
    assert (await deliver(house.ports)).count("delivered") == 1
    assert channel.told[0].tries == 2


async def test_notices_outlive_the_process(builder, channel):
    await asked(wired(builder.open(), webhook=channel))
    later = wired(builder.open(), webhook=channel)
    later.later(days=2)
    assert (await deliver(later.ports)).count("delivered") == 1


async def test_a_channel_that_is_not_set_up_here_leaves_the_notice_to_others(house, channel):
    await asked(wired(house, webhook=channel))
    wired(house)
    assert (await deliver(house.ports)).count("waiting") == 1
    wired(house, webhook=channel)
    house.later(minutes=1)
    assert (await deliver(house.ports)).count("delivered") == 1


async def test_a_loop_delivers_until_it_ends(house, channel):
    wired(house, webhook=channel)
    async with delivering(house.ports, every_s=0.01):
        await asked(house)
        async with asyncio.timeout(10):
            await channel.heard.wait()
    await approve(house.ports, channel.told[0].facts["approval"], "approved", by="bob")
    await asyncio.sleep(0.05)
    assert len(channel.told) == 1, "nobody delivers any more"


class Hanging(Channel):
    """A subscriber that takes its whole time and then fails; `notifier` makes it the one of all subscriptions."""

    def __init__(self, hangs_s: float) -> None:
        super().__init__()
        self.hangs_s = hangs_s
        self.tried: list[str] = []

    def notifier(self, _url: str, subscription: str):
        return self if subscription == "slow" else self.others

    async def send(self, notice) -> None:
        self.tried.append(notice.id)
        await asyncio.sleep(self.hangs_s)
        raise Unavailable("no answer")


def waits_for(house, name: str, many: int, url: str = "http://127.0.0.1:9"):
    """A subscription with this many notices, the first of them oldest."""

    def work(tx):
        now = house.clock()
        one = Subscription(id=name, url=url, kinds=(), agents=(), by="ana", at=now, after=10**9)
        tx.subscriptions.add(one)
        for number in range(many):
            at = now - timedelta(seconds=many - number)
            tx.notices.add(Notice(id=f"{name}-{number:03}", channel=one.channel, kind="event", agent=NAME, subject="s",
                                  sentence="e", at=at, next_at=at))  # fmt: skip

    return house.write(work)


async def until(there) -> None:
    while not there():  # noqa: ASYNC110  the channels have no event for it
        await asyncio.sleep(0.01)


async def test_a_subscriber_that_hangs_delays_neither_people_nor_other_subscribers(house, channel, monkeypatch):
    monkeypatch.setattr(notify, "TURN_S", 0.1)
    slow = Hanging(0.3)
    slow.others = Channel()
    wired(house, webhook=channel)
    house.app = replace(house.app, ports=replace(house.ports, hooks=slow))
    await waits_for(house, "slow", 100)
    await waits_for(house, "quick", 3)
    await asked(house)
    async with delivering(house.ports, every_s=0.01):
        async with asyncio.timeout(5):
            await channel.heard.wait()
            await until(lambda: len(slow.others.told) == 3)
    assert len(slow.tried) < 15
    assert slow.tried == [f"slow-{number:03}" for number in range(len(slow.tried))], "oldest first"
    assert [one.id for one in slow.others.told] == ["quick-000", "quick-001", "quick-002"]


async def test_people_hear_of_a_request_while_every_lane_of_programs_hangs(house, channel):
    slow = Hanging(60)
    slow.notifier = lambda _url, _name: slow
    wired(house, webhook=channel)
    house.app = replace(house.app, ports=replace(house.ports, hooks=slow))
    for number in range(2 * notify.LANES):
        await waits_for(house, f"slow-{number}", 1)
    async with delivering(house.ports, every_s=0.01):
        async with asyncio.timeout(5):
            await until(lambda: len(slow.tried) == notify.LANES)
            await asked(house)
            await channel.heard.wait()
        assert len(slow.tried) == notify.LANES, "a few at a time"


async def test_a_decision_is_announced_too(house, channel):
    _, approval = await asked(wired(house, webhook=channel))
    await approve(house.ports, approval.id, "rejected", by="bob", feedback="too long")
    await deliver(house.ports)
    decided = document(channel.told[-1])
    assert (decided["kind"], decided["by"], decided["decision"], decided["feedback"]) == (
        "approval_decided", "bob", "rejected", "too long",
    )  # fmt: skip


# Two people ----------------------------------------------------------------------------------------------------------


async def test_a_rollout_waits_for_the_second_person(house, channel):
    house.app = replace(house.app, ports=replace(house.ports, notifiers={"webhook": channel}, people_needed=2))
    rollout, approval = await asked(house)
    assert approval.people_needed == 2
    first = await approve(house.ports, approval.id, "approved", by="bob")
    assert (first.state, first.signed) == ("pending", 1)
    assert (await reconcile(house.ports, rollout.id)).reason == "awaiting_decision"
    again = await approve(house.ports, approval.id, "approved", by=" BOB ")
    assert again.signed == 1
    assert (await reconcile(house.ports, rollout.id)).reason == "awaiting_decision"
    with pytest.raises(Forbidden):
        await approve(house.ports, approval.id, "approved", by="ann")
    await approve(house.ports, approval.id, "approved", by="cid")
    assert (await reconcile(house.ports, rollout.id)).action == "promote"
    signed = [one for one in await house.actions() if one.startswith("approval-")]
    assert signed == ["approval-signed", "approval-approved"], "a yes that was said before leaves no entry"
    await deliver(house.ports)
    assert [one.kind for one in channel.told] == ["approval_requested", "approval_signed", "approval_decided"]


async def test_two_first_yeses_at_once_are_both_kept(house):
    house.app = replace(house.app, ports=replace(house.ports, people_needed=3))
    _, approval = await asked(house)
    await asyncio.gather(*(approve(house.ports, approval.id, "approved", by=name) for name in ("bob", "cid", "Bob")))
    now = await house.read(lambda tx: tx.approvals.get(approval.id))
    assert (now.state, now.signed) == ("pending", 2)


async def test_the_second_person_may_come_after_a_restart(builder):
    house = builder.open()
    house.app = replace(house.app, ports=replace(house.ports, people_needed=2))
    rollout, approval = await asked(house)
    await approve(house.ports, approval.id, "approved", by="bob")
    later = builder.open()
    later.later(days=2)
    done = await approve(later.ports, approval.id, "approved", by="cid")
    assert done.state == "approved", "what it takes was frozen when it was asked"
    assert (await reconcile(later.ports, rollout.id)).action == "promote"


async def test_a_new_tool_takes_two_people_whatever_is_configured(house):
    await house.agent()
    live = await house.read(lambda tx: tx.versions.genome(tx.versions.get(NAME, 1).genome))
    tool = Block(id="lookup", kind="tool", text="looks an order up")
    better = [Block(id=f"know-{one}", kind="rule", text=f"KNOW {one}") for one in ("billing", "refund")]
    version = await offer_version(
        house.ports, NAME, Genome((*live.blocks, tool, *better)), by="ann", rationale="a tool"
    )
    rollout = await start_rollout(house.ports, NAME, version.number, by="bob", forced_by="bob")
    rollout = await house.won(rollout.id)
    assert (await house.read(lambda tx: tx.approvals.get(rollout.approval))).people_needed == 2


async def test_an_agent_s_policy_may_ask_for_two(house):
    await create_agent(
        house.ports, "careful", starting_genome(("a", "b")), by="founder", labels=("a", "b"),
        policy=Policy(people_needed=2), habits=Habits(model="scripted"),
    )  # fmt: skip
    assert (await house.read(lambda tx: tx.agents.get("careful"))).policy.people_needed == 2


# What is said reaches the writer -------------------------------------------------------------------------------------


async def improved(house):
    """A version that the loop wrote, waiting for a person."""
    await house.agent()
    await house.history(240)
    report = await house.tick()
    return await house.won(report["rollout"])


async def test_a_request_for_changes_opens_the_lever_again_and_stands_in_the_next_brief(house):
    rollout = await improved(house)
    await approve(house.ports, rollout.approval, "changes_requested", by="bob", feedback="name the refund form RF-7")
    (lever, *_) = [one for one in await house.read(lambda tx: tx.levers.all(NAME)) if "RF-7" in one.note]
    assert lever.state == "open"
    log = [text for _, text in await house.read(lambda tx: tx.levers.log(NAME, lever.id))]
    assert log[-1] == "v2: bob asks for changes: name the refund form RF-7"
    await reconcile(house.ports, rollout.id)
    assert (await house.standing(rollout.id)).state == "rolled_back"
    await house.tick()
    assert any("name the refund form RF-7" in lesson for lesson in house.improver.briefs[-1].lessons)


async def test_a_rejection_is_noted_at_its_lever_and_its_reason_becomes_a_lesson(house):
    rollout = await improved(house)
    await approve(house.ports, rollout.approval, "rejected", by="bob", feedback="never promise refunds")
    noted = [one for one in await house.read(lambda tx: tx.levers.all(NAME)) if "never promise" in one.note]
    assert noted
    assert any("never promise refunds" in one.text for one in await house.read(lambda tx: tx.lessons.all(NAME)))


async def test_a_refused_decision_teaches_nothing(house):
    rollout = await improved(house)
    with pytest.raises(Forbidden):
        await approve(house.ports, rollout.approval, "changes_requested", by="improver:scripted", feedback="more power")
    assert not any("more power" in one.text for one in await house.read(lambda tx: tx.lessons.all(NAME)))


# What is shown -------------------------------------------------------------------------------------------------------


async def test_the_request_names_the_worst_slice_the_reach_and_the_way_back(house):
    _, approval = await asked(house)
    shown = request_document(await request(house.ports, approval.id))
    names = [one["name"] for one in shown["slices"]]
    assert shown["worst_slice"]["name"] == names[0]
    assert {"label=other", "label=billing", "label=refund"} >= set(names)
    assert shown["slices"] == sorted(shown["slices"], key=lambda one: (-one["difference"], one["name"]))
    assert shown["rationale"] == "more labels"
    for arm in ("challenger", "incumbent"):
        one = shown["rates"][arm]
        assert one["rate"] == pytest.approx(shown["failure_rates"][arm])
        assert one["low"] <= one["rate"] <= one["high"]
    assert shown["reach"]["share_after_percent"] == 100
    assert shown["reach"]["requests_per_day"] > 0
    assert shown["rollback"]["command"] == f"surefoot rollback {NAME} --by NAME"
    assert (shown["people_needed"], shown["consents"]) == (1, [])


async def test_requests_per_day_are_those_of_the_last_week(house):
    await asked(house)
    before = await house.read(lambda tx: tx.traces.seen(NAME, since=house.clock() - timedelta(days=7)))
    assert before > 0
    house.later(days=8)
    assert await house.read(lambda tx: tx.traces.seen(NAME, since=house.clock() - timedelta(days=7))) == 0


async def test_an_override_is_no_way_around_the_second_person(house):
    await house.agent()
    await house.change(policy=Policy(people_needed=2))
    rollout = await house.rollout()
    with pytest.raises(Forbidden, match="takes 2 people"):
        await house.write(lambda tx: wish(tx, house.ports, rollout.id, "promote", "bob", "in a hurry"))
    assert (await house.standing(rollout.id)).wish == ""
