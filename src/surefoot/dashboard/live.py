"""Live: one stream per open page that says what has moved. A page looks again by itself, so nothing is told twice.

Each message is the whole state of what the visitor sees, with the number of the last audit entry as its id; a browser
that comes back after a restart gets the present state at once and sees by itself whether anything is new.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from surefoot.core.errors import SurefootError
from surefoot.dashboard.asking import house_of, refused
from surefoot.dashboard.house import House
from surefoot.dashboard.pages import GUARDS
from surefoot.dashboard.visitor import ANYONE, Visitor, must_still_be_welcome, visitor_of
from surefoot.ports.beat import Beat

MOST_BEATS = 240
"""A stream ends after so many messages, and the browser asks for another: what somebody may see is asked anew."""


async def live(request: Request) -> Response:
    """Give the stream."""
    house = house_of(request)
    try:
        visitor = await visitor_of(request, house)
    except SurefootError as error:
        return await refused(request, house, Visitor(token=ANYONE), error)
    headers = GUARDS | {"X-Accel-Buffering": "no"}
    return StreamingResponse(_told(house, visitor), media_type="text/event-stream", headers=headers)


async def _told(house: House, visitor: Visitor) -> AsyncGenerator[bytes]:
    yield b"retry: 1000\n\n"
    told = 0
    async for beat in house.following.beats():
        try:
            await must_still_be_welcome(house, visitor)
        except SurefootError:  # the browser asks for another stream, and is told why there is none
            return
        yield b"event: quiet\ndata: {}\n\n" if beat is None else _message(beat, visitor)
        told += 1
        if told >= MOST_BEATS:
            return


def _message(beat: Beat, visitor: Visitor) -> bytes:
    seen = {one: revision for one, (agent, revision) in beat.rollouts.items() if visitor.sees(agent)}
    work = {agent: sum_ for agent, sum_ in beat.work.items() if visitor.sees(agent)}
    document = {"audit": beat.audit, "outcomes": beat.outcomes, "rollouts": seen, "work": work}
    return b"id: %d\nevent: beat\ndata: %s\n\n" % (beat.audit, orjson.dumps(document))
