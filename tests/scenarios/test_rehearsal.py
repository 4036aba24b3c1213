"""Whole stories on simulated traffic: what a user of `surefoot try` sees on files of every kind, seeded and repeatable.

The rows are made here, from word pools that overlap, so that a prompt that only names its labels is mediocre and
there is something to learn. The offline model, the lexical improver, the engine and the store are the real ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import surefoot.rehearsal.stage as stage_room
from surefoot.app import build
from surefoot.config import Settings
from surefoot.core.approval import Approval, Decision
from surefoot.core.audit import verify
from surefoot.core.budget import Budget
from surefoot.core.case import groups
from surefoot.core.guardrail import ngrams
from surefoot.core.proposal import Brief, Proposal
from surefoot.core.starter import starting_genome
from surefoot.rehearsal.rows import Row, parse_rows
from surefoot.rehearsal.sabotage import sabotaged
from surefoot.rehearsal.stage import Stage, staged
from surefoot.rehearsal.story import Canary, Story, Word, cast_of
from surefoot.rehearsal.traffic import Weather

TASK = "Decide what the message is about."
HELD = ("hidden", "val", "sealed", "later", "untouched")
SYLLABLES = ("ba", "ko", "mi", "ru", "ta", "lo", "ne", "si", "du", "pa", "ve", "zo", "gi", "fu", "he")
FILLER = tuple("please could you quickly tell me about this thing today again because nobody here answered".split())


def word(*seed: object) -> str:
    chance = random.Random("/".join(map(str, seed)))
    return "".join(chance.choice(SYLLABLES) for _ in range(3))


def made(
    labels: Sequence[str], each: int, *, seed: int = 0, filler: Sequence[str] = FILLER, noise: float = 0.0
) -> list[Row]:
    """Rows whose label shows in three of twelve words of its own, among words that say nothing."""
    chance = random.Random(f"rows-{seed}")
    pools = {label: [word(label, n) for n in range(12)] for label in labels}
    rows: list[Row] = []
    for label in labels:
        for _ in range(each):
            said = [*chance.sample(pools[label], 3), *chance.sample(list(filler), 4)]
            chance.shuffle(said)
            wrong = chance.random() < noise
            rows.append(Row(input=" ".join(said), expected=chance.choice(list(labels)) if wrong else label))
    chance.shuffle(rows)
    return list({row.input: row for row in rows}.values())


def names(count: int) -> list[str]:
    return [f"topic{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(count)]


class Spy:
    """An improver that passes every brief on and keeps it."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.name, self.briefs = inner, inner.name, list[Brief]()

    def price(self, budget: Budget) -> Any:
        return self._inner.price(budget)

    async def propose(self, brief: Brief, budget: Budget) -> Proposal:
        self.briefs.append(brief)
        return await self._inner.propose(brief, budget)


@dataclass
class Told:
    """What a story came to."""

    story: Story
    stage: Stage
    spy: Spy
    parts: Mapping[str, Sequence[Row]]
    events: list[tuple[str, Mapping[str, Any]]]
    before: float = 0.0
    after: float = 0.0
    rollout: str | None = None
    canary: Canary | None = None
    tally: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def promoted(self) -> bool:
        return self.canary is not None and self.canary.state == "promoted"

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self.stage.app.store.read(work)

    async def versions(self) -> dict[int, str]:
        return {one.number: one.state for one in await self.read(lambda tx: tx.versions.all("try"))}


@dataclass
class Someone:
    """A person who says one word to every question."""

    decision: Decision
    word: Word

    async def decide(self, approval: Approval, evidence: Mapping[str, Any]) -> tuple[Decision, str]:
        return self.decision, "operator"

    async def accepts(self, names: Sequence[str], evidence: Mapping[str, Any]) -> tuple[Word, str]:
        return self.word, "operator"


yes, no = Someone("approved", "accept"), Someone("rejected", "reject")


@asynccontextmanager
async def rehearsal(
    tmp_path: Path, rows: Sequence[Row], *, seed: int = 7, ticks: int = 3, weather: Weather | None = None,
    budget: Budget | None = None,
) -> AsyncGenerator[Told]:  # fmt: skip
    """A stage with a spy beside the improver, and the story that will be told on it."""
    spies: list[Spy] = []

    def built(settings: Settings, **given: Any) -> Any:
        app = build(settings, environ={}, **given)
        spies.append(Spy(app.ports.improvers["lexical"]))
        return replace(app, ports=replace(app.ports, improvers={"lexical": spies[0]}))

    here = weather or Weather(labelled=1.0)
    cast = cast_of("try", rows, seed=seed, task=TASK, model="local-lexical", ticks=ticks, weather=here)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_room, "build", built)
        store = tmp_path / f"story-{seed}.db"
        async with staged(store, seed=seed, settings=Settings(), budget=budget or Budget(usd=1.0)) as stage:
            events: list[tuple[str, Mapping[str, Any]]] = []
            story = Story(stage, cast, lambda name, facts: events.append((name, facts)))
            yield Told(story=story, stage=stage, spy=spies[0], parts=cast.parts, events=events)


async def tell(told: Told, *, ask: Any = yes) -> Told:
    """From the first request to the end of the canary."""
    await told.story.begin()
    told.before = await told.story.measure(await told.story.live())
    await told.story.live_traffic()
    told.rollout = await told.story.improve()
    if told.rollout is not None:
        told.canary = await told.story.canary(told.rollout, ask)
    told.after = await told.story.measure(await told.story.live())
    told.tally = await told.story.tally()
    return told


async def nothing_changed(told: Told) -> None:
    """The live version serves, nothing was looked at or rolled out, and the record is whole."""
    assert await told.versions() == {1: "live"}
    assert await told.read(lambda tx: (tx.looks.all("try"), tx.rollouts.all("try"))) == ([], [])
    assert told.after == told.before
    assert await told.story.audited()


# What works ------------------------------------------------------------------------------------------------------


async def test_a_mediocre_agent_on_a_small_file_is_improved_and_promoted(tmp_path):
    async with rehearsal(tmp_path, made(names(4), 130)) as told:
        await tell(told)
        assert told.promoted
        assert told.after > told.before + 0.2
        assert await told.versions() == {1: "retired", 2: "live"}
        assert told.canary is not None
        assert max(weight for weight in told.canary.weights if weight < 100) < 50, "the majority is a person's to give"
        assert await told.story.audited()


async def test_a_person_who_says_no_keeps_the_agent_as_it_was(tmp_path):
    async with rehearsal(tmp_path, made(names(4), 130)) as told:
        await tell(told, ask=no)
        assert (told.canary.state, told.after) == ("rolled_back", told.before)
        assert await told.versions() == {1: "live", 2: "rolled_back"}
        assert await told.story.audited()


@pytest.mark.slow
async def test_the_same_seed_tells_the_same_story(tmp_path):
    stories = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        async with rehearsal(tmp_path / str(number), made(names(3), 120)) as told:
            await tell(told)
            stories.append((told.before, told.after, told.canary, dict(told.tally), [name for name, _ in told.events]))
    assert stories[0] == stories[1]


async def test_no_held_out_text_and_nothing_like_one_ever_reaches_the_improver(tmp_path):
    near = [replace(row, input=f"{row.input} indeed", slice="") for row in made(names(3), 100)[::4]]
    async with rehearsal(tmp_path, [*made(names(3), 100), *near], ticks=3) as told:
        await tell(told)
        assert told.spy.briefs
        held = {case.input for case in await told.read(lambda tx: tx.cases.of("try", HELD))}
        held |= {row.input for split in ("sealed", "later", "untouched") for row in told.parts[split]}
        assert len(held) > 100
        shown = {case.input for case in await told.read(lambda tx: tx.cases.of("try", ("shown",)))}
        seen = {case.input for brief in told.spy.briefs for case in (*brief.failures, *brief.others)}
        assert seen <= shown
        told_texts = [
            text for brief in told.spy.briefs
            for text in (
                brief.title, *brief.lessons, *brief.tried, *(block.text for block in brief.genome.blocks),
                *(case.input for case in (*brief.failures, *brief.others)),
            )
        ]  # fmt: skip
        everything = "\n".join(told_texts)
        assert not [text for text in held if text in everything]
        together = groups([*sorted(seen), *sorted(held)])
        assert not set(together[: len(seen)]) & set(together[len(seen) :])
        grams = {gram for text in held for gram in ngrams(text)}
        assert not [text for text in told_texts if ngrams(text) & grams]


async def test_what_a_sealed_look_said_reaches_no_brief(tmp_path):
    async with rehearsal(tmp_path, made(names(4), 60, noise=0.5), ticks=2) as told:
        await told.story.begin()
        await told.story.live_traffic()
        await told.story.improve()
        looks = [look for name, facts in told.events if name == "release" for look in facts["looks"]]
        for _ in range(2):
            told.stage.clock.advance(told.stage.clock() + timedelta(hours=1))
            await told.stage.worker.tick("try")
        said = "\n".join(
            text for brief in told.spy.briefs for text in (brief.title, *brief.lessons, *sorted(brief.tried))
        )
        for look in looks:
            assert look["sentence"] not in said
            assert f"{look['gained']} gained, {look['lost']} lost of {look['cases']}" not in said


async def test_a_sabotage_is_refused_at_the_gate_and_dies_in_the_canary_when_it_is_forced(tmp_path):
    async with rehearsal(tmp_path, made(names(4), 130)) as told:
        await tell(told)
        assert told.promoted
        found = await told.story.offer_sabotage()
        assert (found.verdict, (await told.versions())[3]) == ("fail", "rejected")
        rollout = await told.story.force(found.version, by="a careless operator")
        ended = await told.story.canary(rollout, yes)
        assert (ended.state, ended.reason) == ("rolled_back", "hard_guard")
        assert max(ended.weights) <= 15, "it never served more than a slice"
        await told.story.step_back_and_forward(by="operator")
        assert await told.versions() == {1: "retired", 2: "live", 3: "rolled_back"}
        history = await told.read(lambda tx: tx.rollouts.history(rollout))
        assert not any(row.evidence["guarantee"] for row in history)
        assert await told.story.measure(await told.story.live()) == told.after
        assert await told.story.audited()


# What is honest --------------------------------------------------------------------------------------------------


async def test_an_agent_that_is_perfect_already_gets_nothing_to_fix_and_stays_byte_for_byte_the_same(tmp_path):
    labels = ("refund", "invoice", "parcel")
    rows = [
        Row(input=f"{row.input} {row.expected} {n}", expected=row.expected)
        for n, row in enumerate(made(labels, 120, filler=FILLER))
    ]
    async with rehearsal(tmp_path, rows) as told:
        await tell(told)
        assert told.before == 1.0
        assert told.tally["nothing_to_fix"] or told.tally["reason"]
        assert (told.tally["proposals"], told.spy.briefs) == (0, [])
        await nothing_changed(told)
        assert await told.story.live() == starting_genome(sorted(labels), task=TASK)


async def test_labels_that_mean_nothing_promote_nothing(tmp_path):
    chance = random.Random(3)
    rows = [replace(row, expected=chance.choice(names(4))) for row in made(names(4), 110)]
    async with rehearsal(tmp_path, rows) as told:
        await tell(told)
        assert not told.promoted
        assert await told.versions() in ({1: "live"}, {1: "live", 2: "rolled_back"}, {1: "live", 2: "inconclusive"})
        assert told.after == told.before
        assert await told.story.audited()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_a_fifth_of_wrong_labels_harms_nobody(tmp_path, seed):
    rows = made(names(4), 130, seed=seed, noise=0.2)
    async with rehearsal(tmp_path, rows, seed=seed) as told:
        await tell(told)
        assert told.after >= told.before
        assert await told.story.audited()


@pytest.mark.parametrize("count", [2, 8, 30])
async def test_a_tiny_file_ends_with_a_reason_and_no_change(tmp_path, count):
    rows = made(names(2), count // 2)
    async with rehearsal(tmp_path, rows) as told:
        await tell(told)
        assert not told.promoted
        assert told.tally["reason"]
        await nothing_changed(told)


async def test_a_file_of_one_row_a_label_does_not_break(tmp_path):
    async with rehearsal(tmp_path, made(names(12), 1)) as told:
        await tell(told)
        await nothing_changed(told)


# What files are like -----------------------------------------------------------------------------------------------


async def test_two_labels_are_enough(tmp_path):
    async with rehearsal(tmp_path, made(names(2), 200)) as told:
        await tell(told)
        assert told.after >= told.before
        assert await told.story.audited()
        assert told.promoted or told.tally["reason"]


@pytest.mark.slow
async def test_thirty_labels_are_not_too_many(tmp_path):
    async with rehearsal(tmp_path, made(names(30), 40), ticks=4) as told:
        await tell(told)
        assert told.promoted, told.tally
        assert told.after > told.before + 0.1
        assert await told.story.audited()


async def test_german_labels_and_umlauts_are_learned_like_any_other(tmp_path):
    labels = ("Rückerstattung", "Kündigung", "Störung", "Öffnungszeiten")
    filler = "bitte könnten Sie mir das schnell erklären weil niemand für uns zuständig wäre heute".split()
    async with rehearsal(tmp_path, made(labels, 130, filler=filler)) as told:
        await tell(told)
        assert told.promoted, told.tally
        assert told.after > told.before + 0.2
        labels_said = {case.expected for case in await told.read(lambda tx: tx.cases.of("try", ("shown",)))}
        assert labels_said <= set(labels)


async def test_labels_with_punctuation_and_spaces_survive_the_whole_way(tmp_path):
    labels = ("refund, partial", "what's up?", "A/B: test", "or else")
    async with rehearsal(tmp_path, made(labels, 100), ticks=2) as told:
        await tell(told)
        assert told.after >= told.before
        genome = await told.story.live()
        assert all(label in genome.block("role").text.replace('\\"', '"') for label in labels)
        assert await told.story.audited()


async def test_duplicated_rows_stay_together_and_count_once(tmp_path):
    rows = made(names(3), 60)
    lines = [
        f'{{"input": "{text}", "expected": "{row.expected}"}}'
        for row in rows
        for text in (row.input, row.input, row.input.upper() + "!", f"  {row.input}. ", row.input + " indeed")
    ]
    loaded = parse_rows(lines, "rows")
    assert len(loaded) == 4 * len(rows), "the same text with the same label is kept once"
    async with rehearsal(tmp_path, loaded, ticks=2) as told:
        await tell(told)
        split_of: dict[str, set[str]] = {}
        for split, found in told.parts.items():
            for row in found:
                split_of.setdefault(row.group, set()).add(split)
        assert all(len(splits) == 1 for splits in split_of.values())
        cases = await told.read(
            lambda tx: tx.cases.of("try", ("shown", "hidden", "val", "sealed", "later", "untouched"))
        )
        plain = {" ".join(case.input.lower().replace("!", "").replace(".", "").split()) for case in cases}
        assert len(plain) <= 2 * len(rows)
        by_group: dict[str, set[str]] = {}
        for case in cases:
            by_group.setdefault(case.group, set()).add(case.split)
        assert all(len(splits) == 1 for splits in by_group.values())
        assert told.after >= told.before


async def test_most_labels_that_never_come_are_no_successes(tmp_path):
    weather = Weather(labelled=0.3, delay=timedelta(days=2))
    async with rehearsal(tmp_path, made(names(3), 120), weather=weather, ticks=2) as told:
        await told.story.begin()
        await told.story.live_traffic()
        (served,) = [facts for name, facts in told.events if name == "served"]
        assert served["unlabelled"] > served["requests"] * 0.55
        assert served["successes"] + served["failures"] + served["unlabelled"] == served["requests"]
        cases = await told.read(lambda tx: tx.traces.uncased("try", 9999))
        assert len(cases) == served["labels"]


async def test_every_event_of_a_story_is_in_the_audit_record_and_the_record_stands_after_a_restart(tmp_path):
    from surefoot.adapters.store import open_store

    async with rehearsal(tmp_path, made(names(4), 130)) as told:
        await tell(told)
        head = [facts for name, facts in told.events if name == "audit"] or None
        assert head is None
        assert await told.story.audited()
        (audit,) = [facts for name, facts in told.events if name == "audit"]
    store = open_store(tmp_path / "story-7.db")
    entries = store.read_now(lambda tx: tx.audit.all())
    store.close()
    assert verify(entries, head=(audit["entries"], audit["head"])).intact
    counts = Counter(entry.action for entry in entries)
    assert counts["agent-created"] == counts["rollout-started"] == counts["rollout-promote"] == 1
    assert counts["approval-approved"] == counts["candidate"] == 1
    assert counts["tick-started"] == counts["tick-ended"]


def test_a_saboteur_names_the_wrong_answer_for_every_label():
    genome = sabotaged(starting_genome(names(3), task=TASK), made(names(3), 40))
    assert len(genome.of_kind("rule")) == 3
    assert genome.locked_digest == starting_genome(names(3), task=TASK).locked_digest
