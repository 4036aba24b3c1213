"""A request that slept past its lease finds its key taken, and writes nothing any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rest_house import Door

from surefoot.api.guarding import Guarded, request
from surefoot.core.errors import Conflict
from surefoot.core.lesson import Lesson
from surefoot.core.request_key import LEASE, RequestKey
from surefoot.engine.once import renew, settle, take


async def carried_out(ports: Any, key: RequestKey, text: str) -> None:
    """Do what a route does under a key: write something, as its first write."""
    with request() as under:
        under.key = key
        lesson = Lesson(agent="support", tick=0, text=text, evidence="by a test", at=ports.clock())
        await Guarded(ports.store).write(lambda tx: tx.lessons.add(lesson))


async def slept(app: Any) -> tuple[Any, RequestKey, RequestKey]:
    """A request that took a key and slept, and another one that took it after the lease."""
    then = app.ports.clock() + LEASE + timedelta(seconds=1)
    late = replace(app.ports, clock=lambda: then)
    fresh, mine = await take(app.ports, "ana", "k-1", "digest")
    again, theirs = await take(late, "ana", "k-1", "digest")
    assert (fresh, again) == (True, True)
    return late, mine, theirs


@pytest.mark.parametrize("theirs_ended", ["not yet", "well", "refused"])
def test_a_request_that_slept_past_its_lease_is_not_carried_out_beside_the_one_that_took_over(
    door: Door, theirs_ended: str
) -> None:
    async def story(app: Any) -> None:
        late, mine, theirs = await slept(app)
        if theirs_ended == "well":
            await carried_out(late, theirs, "theirs")
            await settle(late, theirs, status=201, headers={}, body="{}", secret=False)
        elif theirs_ended == "refused":
            await settle(late, theirs, status=422, headers={}, body="{}", secret=False)
        with pytest.raises(Conflict, match="took over"):
            await carried_out(late, mine, "mine")
        if theirs_ended == "not yet":
            await carried_out(late, theirs, "theirs")

    door.do(story)
    texts = [one.text for one in door.see(lambda tx: tx.lessons.all("support"))]
    assert "mine" not in texts
    assert texts.count("theirs") == (theirs_ended != "refused")


def test_who_lost_a_key_does_not_hold_it_for_the_one_that_took_over(door: Door) -> None:
    async def story(app: Any) -> None:
        late, mine, theirs = await slept(app)
        later = replace(late, clock=lambda: theirs.until + timedelta(seconds=5))
        await renew(later, mine)
        assert (await app.store.read(lambda tx: tx.request_keys.get("ana", "k-1"))).until == theirs.until
        await renew(later, theirs)
        assert (await app.store.read(lambda tx: tx.request_keys.get("ana", "k-1"))).until == theirs.until + (
            timedelta(seconds=5) + LEASE
        )

    door.do(story)
