"""The other routes: embeddings that only pass through, the list of agents as models, health, readiness and counts."""

from __future__ import annotations

import asyncio
import time

import orjson
from starlette.types import Receive, Scope, Send

from surefoot.core.errors import NotFound, SurefootError, Unavailable
from surefoot.core.token import must_may
from surefoot.core.wire import checked
from surefoot.engine.forward import Letter
from surefoot.gateway.admission import admitted
from surefoot.gateway.answers import ClientGone, answer, document, headers_of, raw, read_body, refuse
from surefoot.gateway.completions import parsed
from surefoot.gateway.house import House


class Embeddings:
    """Passes a request to the model of the agent it names; nothing is rendered and nothing recorded."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status = 499
        try:
            until = asyncio.get_running_loop().time() + self._house.manners.deadline_s
            async with self._house.watchman.watch(until, receive):
                status = await self._answered(scope, receive, send)
        except ClientGone:
            self._house.tally.gone += 1
        except SurefootError as error:
            status = await refuse(send, error)
        finally:
            self._house.tally.requests[("embeddings", status)] += 1

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> int:
        headers = headers_of(scope)
        guest = admitted(headers, self._house.tokens)
        body = checked("embeddings", parsed(await read_body(receive, headers, self._house.manners.most_bytes)))
        agent = str(body["model"])
        must_may(guest.token, "record", agent=agent)
        routed = await self._house.routing.live(agent)
        until = asyncio.get_running_loop().time() + self._house.manners.deadline_s
        letter = Letter(
            path="/embeddings", pack=lambda model: orjson.dumps({**body, "model": model}),
            authorization=guest.authorization,
        )  # fmt: skip
        reply, _ = await self._house.forwarding.forward(routed.voice.model, letter, until=until)
        try:
            whole = await reply.read()
        finally:
            reply.close()
        await answer(send, reply.status, whole, raw(reply.headers))
        return reply.status


class Models:
    """Lists the agents that the caller may use, as models."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            guest = admitted(headers_of(scope), self._house.tokens)
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


class Signs:
    """Signs of life: `/health` says that the process answers, `/ready` that it can serve and record."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._since = time.monotonic()

    async def health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Say that the process answers."""
        await document(send, {"status": "ok", "up_s": round(time.monotonic() - self._since, 1)})

    async def ready(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Say whether the store can be read and the recorder has room; 503 otherwise."""
        load = self._house.recorder.load()
        try:
            async with asyncio.timeout(2):
                await self._house.ports.store.read(lambda tx: tx.switches.get("stop-all"))
            if load.waiting >= load.most:
                raise Unavailable("the recorder is full", hint="look at the disk of the store")
        except TimeoutError:
            await refuse(send, Unavailable("the store does not answer", hint="surefoot doctor looks at it"))
        except SurefootError as error:
            await refuse(send, error)
        else:
            await document(send, {"status": "ready", "waiting": load.waiting})

    async def metrics(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Give the counts in the text format of Prometheus, to whoever may look."""
        try:
            if self._house.tokens:
                must_may(admitted(headers_of(scope), self._house.tokens).token, "look")
        except SurefootError as error:
            await refuse(send, error)
            return
        forwarding, routing = self._house.forwarding, self._house.routing
        text = self._house.tally.text(
            self._house.recorder.load(), retries=forwarding.retries, fallbacks=forwarding.fallbacks,
            stale=routing.stale, unkept=routing.unkept,
            breakers={name: not one.closed for name, one in forwarding.breakers.items()},
        )  # fmt: skip
        kind = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        await answer(send, 200, text.encode(), [kind])
