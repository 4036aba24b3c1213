"""Release: give the draft one counted look at the sealed cases, and make a version of it if that look says pass.

Only the bit "promoted or not" ever leaves this file towards an improver. When the whole draft does not pass, its
stronger half may try again while slots remain; otherwise the live version stays, and the draft begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from surefoot.core.agent import Agent
from surefoot.core.divergence import Divergence
from surefoot.core.draft import PRUNING, Accepted, Draft, ReleaseReason, release_reason
from surefoot.core.edit import apply_edits
from surefoot.core.evidence.comparison import comparison
from surefoot.core.evidence.paired import sign_test_power, tally
from surefoot.core.gate import RELEASE_ALPHA, ReleaseVerdict, release_verdict
from surefoot.core.genome import Genome
from surefoot.core.slots import Look, slots_left
from surefoot.core.version import Version
from surefoot.engine.evaluate import examine, pairs
from surefoot.engine.suspect import accuse, suspicion
from surefoot.engine.verdict import remember
from surefoot.ports import Ports, Tx

RETRIES = 1
UNLOOKED = frozenset({"no_slot_left", "nothing_scored"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a release came to: the version it made (None = not promoted) and every look it took."""

    reason: ReleaseReason
    version: int | None
    verdicts: tuple[ReleaseVerdict, ...]
    slots_left: int


async def due(ports: Ports, agent: Agent, draft: Draft, *, asked: bool, scope: str) -> ReleaseReason:
    """Say whether the draft should be released now, and why."""
    power = await _predicted_power(ports, agent, draft, scope) if draft.edits else None
    return release_reason(
        draft, ticks=agent.habits.release_ticks, power=power, wanted=agent.habits.release_power, asked=asked
    )


async def _predicted_power(ports: Ports, agent: Agent, draft: Draft, scope: str) -> float | None:
    """Predict, from the gain and discordance seen on val, the chance that the sealed look passes."""
    live, genome = await ports.store.read(lambda tx: _genomes(tx, agent, draft, "draft"))  # as the ticks named it
    val, sealed = await ports.store.read(
        lambda tx: (tx.cases.of(agent.name, ("val",)), tx.cases.counts(agent.name).get("sealed", 0))
    )
    before, after = await examine(ports, agent, [live, genome], val, scope=scope)
    seen = tally(comparison(pairs(val, before, after)).differences)
    if not seen.n or not sealed or seen.gained <= seen.lost:
        return None
    return sign_test_power(
        n=sealed, discordance=seen.discordance, gain=(seen.gained - seen.lost) / seen.n,
        alpha=RELEASE_ALPHA / agent.habits.slots,
    )  # fmt: skip


def _genomes(tx: Tx, agent: Agent, draft: Draft, learned_at: str = "") -> tuple[Genome, Genome]:
    live = tx.versions.genome(tx.versions.get(agent.name, agent.live).genome)
    return live, apply_edits(live, draft.edits, learned_at=learned_at or f"tick-{agent.tick}")


async def release(
    ports: Ports, agent: Agent, draft: Draft, *, reason: ReleaseReason, scope: str,
    allowed: Callable[[Tx], None] = lambda _: None,
) -> Release:  # fmt: skip
    """Look at the sealed cases with the draft, then perhaps with its stronger half; record what came of it.

    `allowed` raises in the transaction that records it where nothing may be recorded any more. Where nothing could be
    looked at (no slot left, or no score came), nothing is known and the draft stays.
    """
    verdicts: list[ReleaseVerdict] = []
    passed: tuple[Accepted, ...] = ()
    for part in _parts(draft.accepted):
        verdict = await _look(ports, agent, replace(draft, accepted=part), scope)
        verdicts.append(verdict)
        if verdict.verdict == "pass":
            passed = part
        if passed or verdict.reason in UNLOOKED:
            break
    found = await _suspicion(ports, agent, replace(draft, accepted=passed), scope) if passed else None

    def work(tx: Tx) -> tuple[int | None, int]:
        allowed(tx)
        return _ended(tx, ports, agent, draft, passed, verdicts, found)

    number, left = await ports.store.write(work)
    return Release(reason=reason, version=number, verdicts=tuple(verdicts), slots_left=left)


def _parts(accepted: tuple[Accepted, ...]) -> list[tuple[Accepted, ...]]:
    """The whole draft, then its stronger half (levers are accepted best first, so the first half is the stronger)."""
    half = accepted[: len(accepted) // 2]
    return [accepted, *([half] if any(part.improver != PRUNING for part in half) else [])][: 1 + RETRIES]


async def _suspicion(ports: Ports, agent: Agent, draft: Draft, scope: str) -> Divergence:
    live, genome = await ports.store.read(lambda tx: _genomes(tx, agent, draft, "draft"))  # its answers are known
    return await suspicion(ports, agent, live, genome, scope=scope)


async def _look(ports: Ports, agent: Agent, draft: Draft, scope: str) -> ReleaseVerdict:
    live, genome = await ports.store.read(lambda tx: _genomes(tx, agent, draft))
    return await look_at_sealed(ports, agent, live, genome, scope=scope)


async def look_at_sealed(
    ports: Ports, agent: Agent, live: Genome, genome: Genome, *, scope: str = ""
) -> ReleaseVerdict:
    """Take one look; the look at a genome happens once, and is counted before its verdict is used."""
    sealed, looks = await ports.store.read(lambda tx: (tx.cases.of(agent.name, ("sealed",)), tx.looks.all(agent.name)))
    again = [one for one in looks if one.digest == genome.digest]
    sealed = sealed[: again[0].cases] if again else sealed  # what came since would be another look
    left = _slots_left(agent, genome, looks, len(sealed))
    if not left:
        return release_verdict([], seed=genome.digest, slots_left=0, slots=agent.habits.slots)
    before, after = await examine(ports, agent, [live, genome], sealed, scope=scope)
    verdict = release_verdict(
        pairs(sealed, before, after, by_answer=True), seed=genome.digest, slots_left=left, slots=agent.habits.slots
    )
    if verdict.reason in UNLOOKED:
        return verdict
    look = Look(digest=genome.digest, at=ports.clock(), verdict=verdict.verdict, cases=len(sealed))

    def counted(tx: Tx) -> bool:
        if not _slots_left(agent, genome, tx.looks.all(agent.name), len(sealed)):
            return False  # somebody else took the last slot meanwhile
        tx.looks.add(agent.name, look, summary(verdict))
        return True

    if await ports.store.write(counted):
        return verdict
    return release_verdict([], seed=genome.digest, slots_left=0, slots=agent.habits.slots)


def _slots_left(agent: Agent, genome: Genome, looks: Sequence[Look], cases: int) -> int:
    others = [one for one in looks if one.digest != genome.digest]
    return slots_left(others, slots=agent.habits.slots, cases=cases)


def summary(verdict: ReleaseVerdict) -> dict[str, object]:
    """Give the evidence of a look as people and records see it."""
    return {
        "verdict": verdict.verdict, "reason": verdict.reason, "sentence": verdict.sentence, "alpha": verdict.alpha,
        "p_value": verdict.p_value, "e_value": verdict.e_value, "gained": verdict.tally.gained,
        "lost": verdict.tally.lost, "cases": verdict.tally.n, "unscored": verdict.unscored,
        "power": [{"gain": one.gain, "power": one.power, "cases_needed": one.cases_needed} for one in verdict.powers],
        "slices": [{"name": one.name, "mark": one.mark, "gained": one.tally.gained, "lost": one.tally.lost,
                    "n": one.tally.n} for one in verdict.slices if one.mark != "clear"],
    }  # fmt: skip


def _candidate(tx: Tx, ports: Ports, agent: Agent, draft: Draft, verdict: ReleaseVerdict) -> int:
    """Store the draft as a candidate version, once."""
    _, genome = _genomes(tx, agent, draft)
    known = [version for version in tx.versions.all(agent.name) if version.genome == genome.digest]
    if known:
        return known[0].number
    now, number = ports.clock(), len(tx.versions.all(agent.name)) + 1
    authors = sorted({part.improver for part in draft.accepted})
    version = Version(
        agent=agent.name, number=number, genome=genome.digest, parent=draft.on, author=f"improver:{'+'.join(authors)}",
        rationale="; ".join(part.rationale for part in draft.accepted), state="candidate", created_at=now,
    )  # fmt: skip
    tx.versions.add(version, genome)
    remember(tx, version, verdict.verdict, now)
    tx.audit.append(
        at=now, actor=version.author, action="candidate", subject=f"{agent.name}/{version.label}",
        payload={"genome": genome.digest, "parent": draft.on, **summary(verdict)},
    )  # fmt: skip
    return number


def _ended(
    tx: Tx, ports: Ports, agent: Agent, draft: Draft, passed: tuple[Accepted, ...], verdicts: Sequence[ReleaseVerdict],
    found: Divergence | None,
) -> tuple[int | None, int]:  # fmt: skip
    """Make a version of what passed, begin a new draft, note on each lever what became of it, count the slots left."""
    now, standing = ports.clock(), tx.drafts.get(agent.name)
    number = _candidate(tx, ports, agent, replace(draft, accepted=passed), verdicts[-1]) if passed else None
    if number is not None and found is not None:
        accuse(tx, ports, tx.versions.get(agent.name, number), found)
    looked = verdicts[0].reason not in UNLOOKED
    if looked and standing is not None and standing.revision == draft.revision:
        tx.drafts.swap(Draft(agent=agent.name, on=agent.live, revision=standing.revision))
        for part in draft.accepted:
            lever, ships = tx.levers.get(agent.name, part.lever), part in passed
            tx.levers.put(replace(
                lever, state="shipped" if ships else "open", tries=lever.tries + (not ships),
                shipped_in=(number or 0) if ships else lever.shipped_in,
            ))  # fmt: skip
            word = f"shipped in v{number}" if ships and number else "failed"
            tx.levers.note(agent.name, lever.id, now, f"{word}: {verdicts[-1].sentence}")
    cases = tx.cases.counts(agent.name).get("sealed", 0)
    return number, slots_left(tx.looks.all(agent.name), slots=agent.habits.slots, cases=cases)
