"""What lies in the store, as lines: who works, what waits for whom, what was spent, how large it is, whether it holds.

What is about single agents is gathered for those that somebody sees; what is of the whole house is there only for
whoever sees all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from surefoot.core.audit import Checked, Verification
from surefoot.core.figure import count, dollars, size, things
from surefoot.core.health.sign import Sign, Tone, by_share
from surefoot.core.notice import TRIES
from surefoot.core.worker import standing

BUDGET_WATCH, BUDGET_BAD = 0.8, 1.0
OVERDUE = timedelta(minutes=15)
OLD_PAUSE = timedelta(days=1)
FAST_BYTES = 1e9
MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """A workflow that has not ended: its id, and since when it goes on."""

    id: str
    name: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process that works on the loop: when it was heard of last, what it does, and what it ended last."""

    name: str
    seen_at: datetime
    doing: tuple[Doing, ...] = ()
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Notices of one sort of channel that did not arrive: dead ones, and those whose time has come."""

    dead: int = 0
    oldest_dead: datetime | None = None
    overdue: int = 0
    oldest_due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a day has cost an agent in USD, what is set aside, the most it may cost, and who said so, and when."""

    agent: str
    spent: float
    reserved: float
    limit: float | None
    set_by: str
    set_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Things that wait for a person: how many, since when the oldest, and when the next one expires."""

    count: int = 0
    oldest: datetime | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapsed:
    """A process of a version that gets no requests: which, why, and since when."""

    agent: str
    version: str
    word: str
    because: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """What lies in the store about the agents that somebody sees."""

    spending: tuple[Spending, ...] = ()
    incidents: Waiting = field(default_factory=Waiting)
    pauses: Waiting = field(default_factory=Waiting)
    lapsed: tuple[Lapsed, ...] = ()
    processes: int = 0
    last_tick: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What lies in the store of the whole house; `sizes` are bytes by the day they were noted."""

    workers: tuple[Worker, ...] = ()
    webhooks: Letters = field(default_factory=Letters)
    people: Letters = field(default_factory=Letters)
    bytes: int = 0
    sizes: tuple[tuple[datetime, int], ...] = ()
    schema: str = ""
    found: Verification | None = None
    left: int = 0
    kept: Checked = field(default_factory=Checked)


# Work


def work(whole: Whole, mine: Mine, now: datetime) -> list[Sign]:
    """Give a line for each process that works on the loop."""
    if not whole.workers:
        return [Sign(group="Work", name="Workers", tone="idle", figure="0", since=mine.last_tick,
                     sentence="No process works on the loop: nothing ticks, and no rollout moves by itself.",
                     todo="Start the server with its own worker.", command="surefoot serve --work")]  # fmt: skip
    lines = [_worker(one, now) for one in whole.workers]
    if any(one.tone != "bad" for one in lines):
        return lines
    return [Sign(group="Work", name="Workers", tone="bad", figure="0 alive", sentence="All workers are silent.",
                 since=max(one.seen_at for one in whole.workers), todo="Start one; it goes on where they stopped.",
                 command="surefoot serve --work"), *lines]  # fmt: skip


def _worker(one: Worker, now: datetime) -> Sign:
    more = f" and {len(one.doing) - 3} more" if len(one.doing) > 3 else ""
    doing = ", ".join(_spoken(job.id) for job in one.doing[:3]) + more
    name, last = f"Worker {one.name}", max(one.doing, key=lambda job: job.since, default=None)
    if standing(one.seen_at, now, alive_here=None) == "silent":
        return Sign(
            group="Work", name=name, tone="bad", figure="silent", since=one.seen_at,
            sentence=f"Its lease ran out{f' while it did {doing}' if doing else ''}; another one takes that over.",
            todo="See why it ended.", command="surefoot logs",
        )  # fmt: skip
    if last is None:
        return Sign(group="Work", name=name, tone="good", figure="waits", since=one.ended_at,
                    sentence="It is alive, and has nothing to do.")  # fmt: skip
    return Sign(group="Work", name=name, tone="good", figure="at work", since=last.since, sentence=f"It does {doing}.")


def _spoken(workflow: str) -> str:
    kind, _, rest = workflow.partition(":")
    words = {"tick": "a tick of", "operate": "the rollout", "sentinel": "the sentinel of", "repo": "a tick of"}
    return f"{words[kind]} {rest.partition(':')[0]}" if kind in words and rest else "a look at a rollout"


def lapsed(mine: Mine) -> list[Sign]:
    """Give a line for each instance that gets no requests, or one for all that do."""
    if mine.processes and not mine.lapsed:
        return [Sign(group="Work", name="Versions as processes", tone="good", figure=f"{count(mine.processes)} serve",
                     sentence="All instances have a lease, and answer.")]  # fmt: skip
    return [_instance(one) for one in mine.lapsed[:MOST]]


def _instance(one: Lapsed) -> Sign:
    waits = one.word == "pending_approval"
    return Sign(
        group="Work", name=f"Process of {one.agent} {one.version}", tone="watch" if waits else "bad",
        figure=one.word.replace("_", " "), since=one.since,
        sentence=f"It gets no requests: {one.because or 'it is not ready'}.",
        todo="Let it in, or do not." if waits else "Start it again, or take it off the list.",
        command=f"surefoot processes {one.agent}",
    )  # fmt: skip


# Outside


def letters(whole: Whole, now: datetime) -> list[Sign]:
    """Give the lines on what other systems and people are told."""
    return [_letters("Webhooks", whole.webhooks, now), _letters("Letters to people", whole.people, now)]


def _letters(name: str, one: Letters, now: datetime) -> Sign:
    if one.dead:
        return Sign(
            group="Outside", name=name, tone="bad", figure=f"{count(one.dead)} dead", since=one.oldest_dead,
            sentence=f"They were tried {TRIES} times and did not arrive; nothing tries them again by itself.",
            todo="Mend the address, then send each again.", command="surefoot notices --redrive ID --by NAME",
        )  # fmt: skip
    if one.oldest_due is not None and now - one.oldest_due > OVERDUE:
        return Sign(
            group="Outside", name=name, tone="watch", figure=f"{count(one.overdue)} late", since=one.oldest_due,
            sentence="Their time has come, and nobody has tried them.",
            todo="Start the server or a worker, or deliver them now.", command="surefoot notify",
        )  # fmt: skip
    return Sign(group="Outside", name=name, tone="good", figure="none dead",
                sentence="What was told arrived, or is on its way.")  # fmt: skip


# Money

_TODO: Mapping[Tone, str] = {
    "bad": "Ticks wait for tomorrow, or raise the bound.",
    "watch": "Raise the bound, or ticks soon wait for tomorrow.",
}


def money(mine: Mine, *, all_of_them: bool) -> list[Sign]:
    """Give a line for each agent's day, and before them one for all together."""
    lines, known = (
        [_budget(one) for one in mine.spending],
        [one.limit for one in mine.spending if one.limit is not None],
    )
    if len(lines) < 2:
        return lines
    used, held = sum(one.spent for one in mine.spending), sum(one.reserved for one in mine.spending)
    bound, bounded = sum(known), len(known) == len(lines)
    left = f"{dollars(max(0.0, bound - used - held))} left" if bounded else "Nothing bounds some of them"
    tone = by_share((used + held) / bound if bound else 1.0, watch=BUDGET_WATCH, bad=BUDGET_BAD)
    total = Sign(
        group="Money", name=f"Today, {'all agents' if all_of_them else 'your agents'}",
        tone=tone if bounded else "idle",
        figure=f"{dollars(used)} of {dollars(bound)}" if bounded else f"{dollars(used)} spent",
        sentence=f"{left}{f'; {dollars(held)} set aside' if held else ''}.",
    )  # fmt: skip
    if total.tone in ("watch", "bad"):
        most = max(mine.spending, key=lambda one: one.spent + one.reserved)
        total = replace(total, todo=f"Most of it is of {most.agent}: raise its bound, or let it wait for tomorrow.",
                        command=_raised(most.agent, most.limit or 0.0))  # fmt: skip
    return [total, *lines[:MOST]]


def _budget(one: Spending) -> Sign:
    who = f"set by {one.set_by}" if one.set_by else "as it is by default"
    name, held = f"Today, {one.agent}", f", {dollars(one.reserved)} set aside" if one.reserved else ""
    if one.limit is None:
        return Sign(group="Money", name=name, tone="watch", figure=f"{dollars(one.spent)} spent", since=one.set_at,
                    sentence=f"Nothing bounds a day{held}; {who}.", todo="Give a day a bound.",
                    command=_bounded(one.agent, 10.0))  # fmt: skip
    used = one.spent + one.reserved
    tone = by_share(used / one.limit if one.limit else 1.0, watch=BUDGET_WATCH, bad=BUDGET_BAD)
    return Sign(
        group="Money", name=name, tone=tone, figure=f"{dollars(one.spent)} of {dollars(one.limit)}", since=one.set_at,
        sentence=f"{dollars(max(0.0, one.limit - used))} left today (UTC){held}; {who}.",
        todo=_TODO.get(tone, ""), command=_raised(one.agent, one.limit) if tone in _TODO else "",
    )  # fmt: skip


def _raised(agent: str, limit: float) -> str:
    return _bounded(agent, max(1.0, 2 * limit))


def _bounded(agent: str, limit: float) -> str:
    return f"surefoot settings {agent} --set day_budget.usd={limit:g} --by NAME"


# Store


def store(whole: Whole, now: datetime) -> list[Sign]:
    """Give the lines on the store itself."""
    schema = Sign(group="Store", name="Schema", tone="good", figure=whole.schema,
                  sentence="The store is of the age that this program knows.")  # fmt: skip
    return [_size(whole, now), schema, _chain(whole)]


def _size(whole: Whole, now: datetime) -> Sign:
    earlier = min(((at, was) for at, was in whole.sizes if now - at >= timedelta(hours=12)), default=None)
    if earlier is None:
        return Sign(group="Store", name="Size", tone="good", figure=size(whole.bytes),
                    sentence="How fast it grows is known after a day; the server notes the size daily.")  # fmt: skip
    at, was = earlier
    daily = (whole.bytes - was) / ((now - at) / timedelta(days=1))
    fast = daily >= FAST_BYTES
    return Sign(
        group="Store", name="Size", tone="watch" if fast else "good", figure=size(whole.bytes), since=at,
        sentence=f"It grew by {size(daily)} a day." if daily > 0 else "It did not grow.",
        todo="Say how long each kind of data is kept, under [retention]." if fast else "",
        command="surefoot retention" if fast else "",
    )  # fmt: skip


def _chain(whole: Whole) -> Sign:
    found, kept = whole.found or Verification(intact=True, entries=0, head=""), whole.kept
    if not found.intact:
        return Sign(
            group="Store", name="Audit chain", tone="bad", figure=f"broken at {found.broken_at}", since=kept.at,
            sentence=f"{found.problem[:1].upper()}{found.problem[1:]}.", href="/audit",
            todo="Keep this store as it is, and compare it with a backup.", command="surefoot audit verify",
        )  # fmt: skip
    never = "it was never walked from its first entry at one go"
    last = f"{kept.whole_by} walked all of it last" if kept.whole_at else never
    tone: Tone = "watch" if whole.left else "good"
    more = f"{things(whole.left, 'entry', 'entries')} still to be walked; " if whole.left else "The chain holds; "
    return Sign(
        group="Store", name="Audit chain", tone=tone, figure=things(found.entries, "entry", "entries"), href="/audit",
        since=kept.whole_at, sentence=f"{more}{last}.",
        todo="The server goes on by itself; or walk all of it now." if whole.left else "",
        command="surefoot audit verify" if whole.left else "",
    )  # fmt: skip


# People


def waiting(mine: Mine, now: datetime) -> list[Sign]:
    """Give the lines on what waits for a person."""
    return [_incidents(mine.incidents), _pauses(mine.pauses, now)]


def _incidents(open_ones: Waiting) -> Sign:
    if not open_ones.count:
        return Sign(group="People", name="Incidents", tone="good", figure="none open",
                    sentence="No alarm waits to be looked at.")  # fmt: skip
    return Sign(
        group="People", name="Incidents", tone="bad", figure=f"{count(open_ones.count)} open", since=open_ones.oldest,
        sentence="An alarm waits until a person has looked and closes it.", href="/", todo="Look, and close it.",
        command="surefoot incidents --close ID --by NAME --note TEXT",
    )  # fmt: skip


def _pauses(pauses: Waiting, now: datetime) -> Sign:
    if not pauses.count:
        return Sign(group="People", name="Pauses", tone="good", figure="none waits",
                    sentence="No program waits for a person.")  # fmt: skip
    old = pauses.oldest is not None and now - pauses.oldest > OLD_PAUSE
    until = f"; the first gives up at {pauses.expires:%Y-%m-%d %H:%M} UTC" if pauses.expires is not None else ""
    return Sign(
        group="People", name="Pauses", tone="watch" if old else "good", figure=things(pauses.count, "waits", "wait"),
        since=pauses.oldest, sentence=f"Programs wait for a person{until}.", todo="Decide what they ask.",
        command="surefoot pauses",
    )  # fmt: skip
