"""Completions: one request of an app, from its bytes to the upstream's.

In this order: who asks, what is asked, which version serves, what goes to the upstream, what comes back, and only then
the record. An answer ends when its trace is kept (or cannot be), so an app never holds an answer of which nobody knows;
the pieces of a stream pass at once, and only the mark of its end waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast, get_args
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from surefoot.core.agent import RenderMode
from surefoot.core.asker import asker_of
from surefoot.core.errors import Invalid, NotFound, SurefootError
from surefoot.core.token import must_may
from surefoot.core.wire import Body, Heard, Protocol, asked, checked, heard, heard_stream, posed, source_of, unit_of
from surefoot.engine.forward import Letter, TooLate
from surefoot.engine.inspect import agent_named
from surefoot.engine.jot import Exchange, jot, tell
from surefoot.engine.route import Routed
from surefoot.gateway.admission import Guest, admitted
from surefoot.gateway.answers import (
    ClientGone,
    RawHeaders,
    answer,
    headers_of,
    mistake,
    raw,
    read_body,
    refuse,
)
from surefoot.gateway.bodies import Told, events, lenient, packed, parsed
from surefoot.gateway.house import House
from surefoot.gateway.watch import Watch
from surefoot.ports.upstream import Reply, Unreached, Upstream

PATHS: Mapping[Protocol, str] = {"chat": "/chat/completions", "responses": "/responses"}
# What an app may say to its upstream beside the body; those of an account only beside its own key.
_FORWARDED = ("accept", "openai-beta", "idempotency-key", "traceparent", "tracestate", "x-client-request-id")
_OF_AN_ACCOUNT = ("openai-organization", "openai-project")
_NOT_OF_THE_VERSION = frozenset({401, 403, 404, 408, 429})
MOST_SLICES = 16
BROKE_OFF = b"\n\n: x-surefoot-broke-off=upstream\n\n"
PATIENCE_S = 2.0


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request on its way: everything that the record will need."""

    guest: Guest
    headers: Mapping[str, str]
    body: Body
    agent: str
    unit: str
    slices: Mapping[str, str]
    routed: Routed
    trace_id: str
    at: datetime
    started: float
    heard: Heard = field(default_factory=Heard)
    blameless: bool = False
    cost_usd: float = 0.0
    recorded: bool = False
    begun: str = ""
    waits_for_client: bool = False
    part_of: str = ""

    @property
    def marks(self) -> RawHeaders:
        """The headers that say which version answers, and under which id an outcome can be posted."""
        version = str(self.routed.voice.version).encode()
        marks = [(b"x-surefoot-version", version), (b"x-surefoot-trace-id", self.trace_id.encode())]
        if self.part_of:  # whoever records the whole adds this to what it cost
            marks.append((b"x-surefoot-cost-usd", f"{self.cost_usd:.9f}".encode()))
        return marks

    @property
    def closing(self) -> bytes:
        """What is only known at the end of a stream, as a comment that clients of OpenAI skip."""
        return b": x-surefoot-cost-usd=%.9f\n\n" % self.cost_usd if self.part_of else b""


class Completions:
    """The route of one protocol, as an ASGI application."""

    def __init__(self, house: House, protocol: Protocol) -> None:
        self._house = house
        self._protocol: Protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._answered(scope, receive, send, time.perf_counter())
        except ClientGone:
            self._house.tally.gone += 1
        except SurefootError as error:
            await refuse(send, error)
        except Exception as error:
            await mistake(send, error)
            raise

    async def _answered(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        headers = headers_of(scope)
        guest = await admitted(scope, headers, self._house.admission)
        sent = await read_body(receive, headers, self._house.manners.most_bytes)
        with self._house.scale.holding(sent):
            body = checked(self._protocol, parsed(sent))
            visit = await self._seated(scope, guest, headers, body, started)
            await self._attended(visit, receive, send)

    async def _attended(self, visit: Visit, receive: Receive, send: Send) -> None:
        """Answer, and say of whatever goes wrong on the way whose fault it is."""
        try:
            await self._through(visit, receive, send)
        except Unreached as error:
            if visit.waits_for_client:
                await self._left(visit)
                raise ClientGone from None
            if visit.begun:
                await self._broken_off(visit)
                if visit.part_of:  # whoever records the whole cannot know otherwise whose fault it was
                    await send({"type": "http.response.body", "body": BROKE_OFF, "more_body": True})
                return
            visit.heard = Heard(finish="error")
            await self._recorded(visit)
            await refuse(send, error, visit.marks)

    async def _left(self, visit: Visit) -> None:
        """Record what a client had heard that went away, or stopped reading."""
        visit.heard, visit.blameless = replace(visit.heard, finish="cancelled"), True
        await self._recorded(visit)

    async def _broken_off(self, visit: Visit) -> None:
        """Record a stream that did not come to its end; without an end it breaks off for the app as well."""
        self._house.forwarding.broke_off(visit.begun)
        if visit.heard.finish == "stop":
            visit.heard = replace(visit.heard, finish="truncated")
        await self._recorded(visit)

    async def _seated(self, scope: Scope, guest: Guest, headers: dict[str, str], body: Body, started: float) -> Visit:
        """Find the version that serves: the one that sticks to the unit, or the one that is asked for by name."""
        agent = str(body["model"])
        must_may(guest.token, "record", agent=agent)
        scope["surefoot.agent"] = agent
        unit = self._house.ports.redact_name(unit_of(self._protocol, body, headers, guest.token.name))
        number = _pinned(scope)
        if number is not None:
            must_may(guest.token, "operate", agent=agent)
        try:
            routing = self._house.routing
            routed = await (routing.route(agent, unit) if number is None else routing.version(agent, number))
        except NotFound:
            await agent_named(self._house.ports, agent, sees=guest.token.sees)  # tells of those that the guest sees
            raise
        ports, part_of = self._house.ports, _part_of(headers)
        return Visit(
            guest=guest, headers=headers, body=body, agent=agent, unit=unit, slices=_slices(headers), routed=routed,
            trace_id=part_of or ports.new_id(), at=ports.clock(), started=started, part_of=part_of,
        )  # fmt: skip

    async def _through(self, visit: Visit, receive: Receive, send: Send) -> None:
        """Send it on and its answer back; what a client that goes away had heard is recorded too."""
        try:
            async with self._house.watchman.watch(self._until(), receive) as watch:
                reply, upstream = await self._house.forwarding.forward(
                    visit.routed.voice.model, self._letter(visit), until=watch.until
                )
                try:
                    if _is_stream(reply):
                        await self._streamed(visit, reply, upstream, send, watch)
                        return
                    whole = await self._whole(visit, reply, upstream)
                finally:
                    reply.close()
        except ClientGone:
            await self._left(visit)
            raise
        await self._recorded(visit)
        await answer(send, reply.status, whole, [*raw(reply.headers), *visit.marks])

    def _letter(self, visit: Visit) -> Letter:
        voice = visit.routed.voice
        render = _rendered(visit.headers) or self._house.manners.render_for(visit.agent)
        sent = visit.body
        if render != "none":
            system = voice.system(visit.slices)
            sent = posed(self._protocol, visit.body, system=system, params=voice.params, render=render)
        own_key = visit.guest.authorization
        passed = _FORWARDED + _OF_AN_ACCOUNT if own_key else _FORWARDED
        return Letter(
            path=PATHS[self._protocol], pack=lambda model: packed({**sent, "model": model}),
            authorization=own_key,
            headers={name: visit.headers[name] for name in passed if name in visit.headers},
        )  # fmt: skip

    async def _whole(self, visit: Visit, reply: Reply, upstream: Upstream) -> bytes:
        try:
            whole = await reply.read()
        except Unreached:
            self._house.forwarding.broke_off(upstream.name)
            raise
        if reply.status >= 400:
            visit.heard = Heard(finish="error")
            visit.blameless = reply.status in _NOT_OF_THE_VERSION
        else:
            self._understood(visit, upstream, heard(self._protocol, lenient(whole)))
        return whole

    async def _streamed(self, visit: Visit, reply: Reply, upstream: Upstream, send: Send, watch: Watch) -> None:
        """Pass each piece on as it comes."""
        visit.begun = upstream.name
        told = Told()

        async def pass_on(piece: bytes, *, more: bool = True) -> None:
            visit.waits_for_client = True
            await send({"type": "http.response.body", "body": piece, "more_body": more})
            visit.waits_for_client = False

        await send({
            "type": "http.response.start", "status": reply.status, "headers": [*raw(reply.headers), *visit.marks]
        })  # fmt: skip
        try:
            async for piece in reply.pieces():
                now, end = told.split(piece)
                if now:
                    await pass_on(now)
                if end:
                    self._understood(visit, upstream, heard_stream(self._protocol, events(told.all)))
                    await self._recorded(visit)
                    await pass_on(visit.closing + end)
                watch.until = self._until()
        finally:
            if not visit.recorded:
                self._understood(visit, upstream, heard_stream(self._protocol, events(told.all)))
        await self._recorded(visit)
        await pass_on(b"", more=False)

    def _understood(self, visit: Visit, upstream: Upstream, told: Heard) -> None:
        visit.heard = told
        visit.cost_usd = upstream.cost_usd(told.tokens_in, told.tokens_out)

    async def _recorded(self, visit: Visit) -> None:
        if visit.recorded:
            return
        visit.recorded = True
        if visit.part_of:
            self._house.tally.records["left"] += 1
            self._house.tally.left[visit.agent] += 1
            return
        until = asyncio.get_running_loop().time() + PATIENCE_S
        try:
            async with self._house.watchman.watch(until):
                done: str = await self._jotted(visit)
        except TooLate:
            done = "late"
        self._house.tally.records[done] += 1
        self._house.tally.finishes[visit.heard.finish] += 1

    async def _jotted(self, visit: Visit) -> str:
        exchange = Exchange(
            trace_id=visit.trace_id, agent=visit.agent, unit=visit.unit, routed=visit.routed,
            asked=asked(self._protocol, visit.body), heard=visit.heard, at=visit.at,
            latency_s=time.perf_counter() - visit.started, source=source_of(visit.body, visit.headers),
            slices=visit.slices, cost_usd=visit.cost_usd, blameless=visit.blameless,
            asker=asker_of(visit.body, visit.headers),
        )  # fmt: skip
        tell(self._house.ports.telemetry, exchange, visit.headers.get("traceparent", ""))
        return await jot(self._house.recorder, exchange)

    def _until(self) -> float:
        return asyncio.get_running_loop().time() + self._house.manners.deadline_s


def _is_stream(reply: Reply) -> bool:
    return any(
        name.lower() == "content-type" and value.startswith("text/event-stream") for name, value in reply.headers
    )


def _pinned(scope: Scope) -> int | None:
    """The version that the address asks for: `?version=3` or `?version=v3`."""
    if not scope["query_string"]:
        return None
    asked_for = parse_qs(scope["query_string"].decode("latin-1")).get("version")
    if not asked_for:
        return None
    number = asked_for[0].removeprefix("v")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise Invalid("version is no number", hint="?version=3; surefoot versions AGENT lists them")
    return int(number)


def _part_of(headers: Mapping[str, str]) -> str:
    """The trace that this request is a step of: the program that says so records the whole itself."""
    told = headers.get("x-surefoot-part-of", "")
    return told if 8 <= len(told) <= 100 and told.isascii() and told.isprintable() else ""


def _rendered(headers: Mapping[str, str]) -> RenderMode | None:
    """What the app wants done with its own system messages in this request, if it says so."""
    told = headers.get("x-surefoot-render", "")
    if told and told not in get_args(RenderMode):
        raise Invalid("x-surefoot-render is none of replace, prepend and none", hint="leave it out")
    return cast("RenderMode | None", told or None)


def _slices(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The slices that the app names: `X-Surefoot-Slices: tenant=acme, plan=free`."""
    told = headers.get("x-surefoot-slices")
    if not told:
        return {}
    pairs = [pair.partition("=") for pair in told.split(",")[:MOST_SLICES]]
    return {name.strip(): value.strip() for name, sign, value in pairs if sign and name.strip() and value.strip()}
