"""The other routes of apps: embeddings that only pass through, and the list of agents as models."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from surefoot.core.errors import NotFound, SurefootError
from surefoot.core.token import must_may
from surefoot.core.wire import Body, checked
from surefoot.engine.forward import Letter
from surefoot.engine.inspect import agent_named
from surefoot.gateway.admission import Guest, admitted
from surefoot.gateway.answers import ClientGone, answer, document, headers_of, raw, read_body, refuse
from surefoot.gateway.bodies import packed, parsed
from surefoot.gateway.house import House


class Embeddings:
    """Passes a request to the model of the agent it names; nothing is rendered and nothing recorded."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            until = asyncio.get_running_loop().time() + self._house.manners.deadline_s
            async with self._house.watchman.watch(until, receive):
                await self._answered(scope, receive, send)
        except ClientGone:
            self._house.tally.gone += 1
        except SurefootError as error:
            await refuse(send, error)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        guest = await admitted(scope, headers, self._house.admission)
        sent = await read_body(receive, headers, self._house.manners.most_bytes)
        with self._house.scale.holding(sent):
            await self._passed(guest, checked("embeddings", parsed(sent)), send)

    async def _passed(self, guest: Guest, body: Body, send: Send) -> None:
        agent = str(body["model"])
        must_may(guest.token, "record", agent=agent)
        try:
            routed = await self._house.routing.live(agent)
        except NotFound:
            await agent_named(self._house.ports, agent, sees=guest.token.sees)
            raise
        until = asyncio.get_running_loop().time() + self._house.manners.deadline_s
        letter = Letter(
            path="/embeddings", pack=lambda model: packed({**body, "model": model}),
            authorization=guest.authorization,
        )  # fmt: skip
        reply, _ = await self._house.forwarding.forward(routed.voice.model, letter, until=until)
        try:
            whole = await reply.read()
        finally:
            reply.close()
        await answer(send, reply.status, whole, raw(reply.headers))


class Models:
    """Lists the agents that the caller may use, as models."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            guest = await admitted(scope, headers_of(scope), self._house.admission)
            agents = await self._house.ports.store.read(lambda tx: tx.agents.all())
            listed = [
                {"id": one.name, "object": "model", "created": int(one.created_at.timestamp()), "owned_by": "surefoot"}
                for one in agents
                if guest.token.sees(one.name)
            ]
            name = scope.get("path_params", {}).get("model")
            if name is None:
                await document(send, {"object": "list", "data": listed})
                return
            found = next((one for one in listed if one["id"] == name), None)
            if found is None:
                raise NotFound(f"there is no agent {name!r}", hint="GET /v1/models lists them")
            await document(send, found)
        except SurefootError as error:
            await refuse(send, error)
