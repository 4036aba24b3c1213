"""The audit chain at a look and along all of it: quick however long the record, and no forger is quicker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

import surefoot.engine.verify as verify_room
from surefoot.adapters.store import tables
from surefoot.core.audit import sealed, verify
from surefoot.engine.mind import minding, note_size, sizes
from surefoot.engine.verify import Walking, chain, go_on, held_to, kept_in, walk

AUDIT, AT = tables.audit, datetime(2026, 1, 5, tzinfo=UTC)
MOST, BATCH, ENOUGH = 40, 120, 30  # a record of some hundreds is long here


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    for name, size in (("MOST", MOST), ("BATCH", BATCH), ("ENOUGH", ENOUGH)):
        monkeypatch.setattr(verify_room, name, size)


async def noted(house, count: int) -> None:
    """So many entries more."""

    def work(tx) -> None:
        last = tx.audit.after(tx.audit.last() - 1, limit=1)
        head, rows = (last[0].seq, last[0].digest) if last else None, []
        for number in range(count):
            entry = sealed(head, at=AT, actor="ana", action="lesson-added", subject="a", payload={"n": number})
            head = (entry.seq, entry.digest)
            rows.append({name: getattr(entry, name) for name in entry.__slots__})
        tx.connection.execute(sa.insert(AUDIT), rows)

    await house.ports.store.write(work)


async def forged(house, statement) -> None:
    """What somebody does who can write the file."""
    with house.app.store.engine.begin() as connection:
        connection.execute(statement)


async def kept(house):
    return await house.ports.store.read(kept_in)


async def test_a_look_says_how_far_it_was_walked_and_the_server_goes_on_with_the_rest(house):
    await noted(house, MOST + BATCH + 10)
    seen = await chain(house.ports)
    assert (seen.found.intact, seen.found.entries, seen.left) == (True, MOST, BATCH + 10)
    assert (await kept(house)).entries == 0, "a look writes nothing"
    assert await go_on(house.ports) == BATCH
    assert await go_on(house.ports) == MOST + 10
    assert await go_on(house.ports) == 0
    seen = await chain(house.ports)
    assert (seen.found.entries, seen.left, seen.kept.whole_at) == (MOST + BATCH + 10, 0, None)
    whole = await house.ports.store.read(lambda tx: verify(tx.audit.all()))
    assert seen.found == whole
    assert await walk(house.ports, by="bob") == whole
    after = await kept(house)
    assert (after.whole_by, after.whole_at is not None) == ("bob", True)


async def test_a_few_new_entries_are_walked_at_the_look_and_written_down_later(house):
    await noted(house, 5)
    assert (await chain(house.ports)).found.entries == 5
    assert await go_on(house.ports) == 0
    await noted(house, ENOUGH)
    assert await go_on(house.ports) == ENOUGH + 5


@pytest.mark.parametrize("what", ["payload", "actor", "digest", "gone", "before"])
async def test_a_forged_old_entry_is_not_seen_by_a_look_but_by_a_walk_along_all_of_it(house, what):
    await noted(house, ENOUGH + 50)
    await go_on(house.ports)
    change = {"payload": {"payload": {"n": 99}}, "actor": {"actor": "eve"}, "digest": {"digest": "f" * 64}}
    if what == "gone":
        await forged(house, sa.delete(AUDIT).where(AUDIT.c.seq == 7))
    elif what == "before":
        row = {"seq": -3, "at": house.ports.clock(), "actor": "eve", "action": "a", "subject": "a", "payload": {},
               "previous": "", "digest": ""}  # fmt: skip
        await forged(house, sa.insert(AUDIT).values(**row))
    else:
        await forged(house, sa.update(AUDIT).where(AUDIT.c.seq == 7).values(**change[what]))
    assert (await chain(house.ports)).found.intact, "what was walked is believed at a look, which is why a walk exists"
    found = await walk(house.ports, by="ana")
    assert (found.intact, found.broken_at) == (False, 1 if what == "before" else 7)
    seen = await chain(house.ports)
    assert (seen.found.intact, seen.found.problem, seen.kept.whole_by) == (False, found.problem, "ana")


async def test_what_a_walk_found_stays_until_another_one_finds_it_mended(house):
    await noted(house, ENOUGH + 50)
    await go_on(house.ports)
    await forged(house, sa.update(AUDIT).where(AUDIT.c.seq == 7).values(actor="eve"))
    assert not (await walk(house.ports, by="ana")).intact
    await noted(house, ENOUGH)
    assert await go_on(house.ports) == 0
    await forged(house, sa.update(AUDIT).where(AUDIT.c.seq == 7).values(actor="ana"))
    assert not (await chain(house.ports)).found.intact
    assert (await walk(house.ports, by="ana")).intact
    assert (await chain(house.ports)).found.intact


@pytest.mark.parametrize("statement", [
    sa.delete(AUDIT).where(AUDIT.c.seq > 20), sa.update(AUDIT).where(AUDIT.c.seq == ENOUGH + 50).values(actor="eve"),
    sa.update(AUDIT).where(AUDIT.c.seq == ENOUGH + 50).values(digest="f" * 64), sa.delete(AUDIT),
    sa.update(AUDIT).where(AUDIT.c.seq == ENOUGH + 52).values(payload={"n": 7}),
], ids=["a cut tail", "the last that was walked", "its digest", "everything", "one that is new"])  # fmt: skip
async def test_a_look_itself_finds_what_was_done_to_the_end(house, statement):
    await noted(house, ENOUGH + 50)
    await go_on(house.ports)
    await noted(house, 5)
    await forged(house, statement)
    assert not (await chain(house.ports)).found.intact


async def test_whoever_forges_what_is_remembered_too_is_found_by_a_walk(house):
    await noted(house, ENOUGH + 50)
    await go_on(house.ports)
    await forged(house, sa.update(AUDIT).where(AUDIT.c.seq == 7).values(actor="eve"))
    (last,) = await house.ports.store.read(lambda tx: tx.audit.after(ENOUGH + 49, limit=1))
    noted_head = {"entries": last.seq, "head": last.digest, "at": None, "broken_at": None, "problem": "",
                  "whole_at": house.ports.clock().isoformat(), "whole_by": "ana"}  # fmt: skip
    await house.ports.store.write(lambda tx: tx.switches.on("audit-chain", noted_head))
    assert not (await walk(house.ports, by="bob")).intact


async def test_a_head_that_was_noted_elsewhere_must_be_on_the_chain_and_a_wrong_one_blames_nobody(house):
    await noted(house, BATCH + 20)
    entries = await house.ports.store.read(lambda tx: tx.audit.all())
    for one in (entries[0], entries[BATCH - 1], entries[BATCH], entries[-1]):
        assert (await walk(house.ports, by="ana", head=(one.seq, one.digest))).intact
    found = await walk(house.ports, by="ana", head=(BATCH + 99, "a" * 64))
    assert (found.intact, "is not in the record" in found.problem) == (False, True)
    assert (await chain(house.ports)).found.intact, "whose head it is, the record cannot say"


async def test_an_empty_record_is_whole(house):
    assert (await walk(house.ports, by="ana")).intact
    assert (await chain(house.ports)).found.entries == 0


async def test_two_who_ask_at_once_share_one_walk_and_who_does_not_wait_leaves_it_going(house):
    await noted(house, 3 * BATCH)
    walking = Walking(house.ports)
    assert await walking.asked(by="ana", wait_s=0) is None
    assert walking.going
    found = await asyncio.gather(*(walking.asked(by="bob", wait_s=20) for _ in range(2)))
    assert [one is not None and one.entries for one in found] == [3 * BATCH] * 2
    assert (walking.going, (await kept(house)).whole_by) == (False, "ana")


async def test_a_walk_without_a_name_is_not_remembered_unless_somebody_joins_it_by_name(house):
    await noted(house, 3 * BATCH)
    walking = Walking(house.ports)
    assert (await walking.awaited()).entries == 3 * BATCH
    assert (await kept(house)).entries == 0
    found = await asyncio.gather(walking.awaited(), walking.awaited(by="ana"), walking.awaited(by="bob"))
    assert found == [found[0]] * 3
    assert ((await kept(house)).whole_by, (await kept(house)).entries) == ("ana", 3 * BATCH)
    await forged(house, sa.update(AUDIT).where(AUDIT.c.seq == 7).values(actor="eve"))
    assert not (await walking.awaited()).intact
    assert (await chain(house.ports)).found.intact, "nothing is remembered of it, bad news neither"


async def test_a_head_that_was_noted_after_a_walk_began_is_held_to_what_came_since(house):
    await noted(house, BATCH)
    found = await Walking(house.ports).awaited()
    await noted(house, 5)
    (last,) = await house.ports.store.read(lambda tx: tx.audit.after(BATCH + 4, limit=1))
    assert (await held_to(house.ports, found, (last.seq, last.digest))).entries == BATCH + 5
    assert not (await held_to(house.ports, found, (last.seq, "a" * 64))).intact
    await forged(house, sa.update(AUDIT).where(AUDIT.c.seq == BATCH + 2).values(actor="eve"))
    after = await held_to(house.ports, found, (last.seq, last.digest))
    assert (after.intact, after.broken_at) == (False, BATCH + 2)


async def test_a_server_walks_a_long_record_by_itself_and_notes_its_size_once_a_day(house):
    await noted(house, 2 * BATCH)
    async with minding(house.ports):
        for _ in range(200):
            if (await kept(house)).entries == 2 * BATCH:
                break
            await asyncio.sleep(0.05)
    assert (await chain(house.ports)).left == 0
    assert not await note_size(house.ports)
    ((_, size),) = await house.ports.store.read(lambda tx: sizes(tx, house.ports.clock()))
    assert size > 100_000


async def test_who_asks_while_labels_are_counted_anew_hears_what_is_found_and_nothing_is_kept_of_it(house, monkeypatch):
    counts, go_on_now = [], asyncio.Event()

    async def counted(ports):
        counts.append(1)
        await go_on_now.wait()
        return ["r-1"]

    monkeypatch.setattr("surefoot.engine.verify.miscounted", counted)
    walking = Walking(house.ports)
    asked = [asyncio.create_task(walking.miscounted()) for _ in range(5)]
    await asyncio.sleep(0)
    asked[0].cancel()
    await asyncio.sleep(0)
    go_on_now.set()
    assert await asyncio.gather(*asked[1:]) == [["r-1"]] * 4
    assert len(counts) == 1
    assert await walking.miscounted() == ["r-1"]
    assert len(counts) == 2
