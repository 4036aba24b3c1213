"""A server's shift: answer requests until a signal, then leave in good order.

Leaving is: say no at `/ready`, wait for whoever asks there, take no more connections, let the requests in flight end
(for a while), and write what waits. A second signal ends at once; what was acknowledged is in the store by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from surefoot.cli.connections import Bounds, Guard
from surefoot.core.errors import Invalid, SurefootError, Unavailable
from surefoot.engine.accompany import beside
from surefoot.engine.mind import minding
from surefoot.engine.notify import delivering
from surefoot.engine.once import forget
from surefoot.gateway.door import Door
from surefoot.gateway.panel import Panel

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from surefoot.app import App
    from surefoot.config import ServeSettings
    from surefoot.gateway import Gateway

LAID_S = 1.0
_log = logging.getLogger("surefoot.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What one worker serves on: the socket it was given, its number, and how many of its kind there are.

    `lifeline` is a file that ends when whoever started this worker has gone (none: nobody did).
    """

    listening: socket.socket
    worker: int = 1
    panel: Path | None = None
    loopback: bool = True
    cert: str = ""
    key: str = ""
    lifeline: int | None = None


class Serving:
    """One worker on one socket."""

    def __init__(self, gateway: Gateway, api: ASGIApp, settings: ServeSettings, post: Post) -> None:
        self._house = gateway.house
        self._settings = settings
        self._post = post
        bounds = Bounds(
            connections=settings.connections, body_memory=settings.body_memory, head_s=settings.head_s,
            idle_s=settings.idle_s,
        )  # fmt: skip
        self._guard = Guard(bounds, self._house.measures)
        self._gateway = gateway
        self._server = uvicorn.Server(uvicorn.Config(
            api, http=self._guard.protocol(), log_config=None, access_log=False, server_header=False, ws="none",
            lifespan="off", proxy_headers=False, timeout_graceful_shutdown=max(1, round(settings.drain_s)),
            ssl_certfile=post.cert or None, ssl_keyfile=post.key or None,
        ))  # fmt: skip
        self._server.capture_signals = contextlib.nullcontext  # pyright: ignore[reportAttributeAccessIssue]  ours say why
        self._caught: list[str] = []
        self._leaving: asyncio.Task[None] | None = None

    async def until_a_signal(self, *, delivers: bool = True) -> str:
        """Serve, and give the name of the signal that ended it."""
        gc.collect()
        gc.freeze()  # what was imported is never garbage; looking through it again and again costs each request
        gc.set_threshold(10_000, 20, 50)  # a request makes hundreds of objects, and hardly a cycle
        self._house.presence.worker = self._post.worker
        self._house.presence.panel = Panel(folder=self._post.panel)
        _log.info("worker %d begins", self._post.worker)
        async with contextlib.AsyncExitStack() as around:
            around.enter_context(self._post.listening)
            around.enter_context(self._signals())
            await around.enter_async_context(self._guard.watching())
            await around.enter_async_context(self._laying())
            if delivers:
                with contextlib.suppress(SurefootError):  # a store that is busy now; the next request does it too
                    await forget(self._house.ports)
                await around.enter_async_context(delivering(self._house.ports))
                await around.enter_async_context(minding(self._house.ports))
            await self._server.serve(sockets=[self._post.listening])
        ended = self._caught[0] if self._caught else "stopped"
        _log.info("worker %d ends (%s)", self._post.worker, ended)
        return ended

    def leave(self, name: str) -> None:
        """Leave in good order; the second time at once."""
        if self._caught:
            os._exit(128 + signal.SIGINT)
        self._caught.append(name)
        self._house.presence.leaving = True
        self._leaving = asyncio.get_running_loop().create_task(self._left())

    async def _left(self) -> None:
        await asyncio.sleep(self._settings.leave_s)
        self._server.should_exit = True

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        running = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(one, self.leave, one.name)
        if self._post.lifeline is not None:
            running.add_reader(self._post.lifeline, self._abandoned)
        try:
            yield
        finally:
            for one in (signal.SIGINT, signal.SIGTERM):
                running.remove_signal_handler(one)
            if self._post.lifeline is not None:
                running.remove_reader(self._post.lifeline)

    def _abandoned(self) -> None:
        """Whoever minds the workers has gone: leave, since nobody else would end this one."""
        lifeline = self._post.lifeline
        if lifeline is not None and not os.read(lifeline, 4096):
            asyncio.get_running_loop().remove_reader(lifeline)
            if not self._caught:
                self.leave("abandoned")

    def _laying(self) -> AbstractAsyncContextManager[None]:
        """Lay this worker's counts where the others find them, while the block lasts."""
        return contextlib.nullcontext() if self._post.panel is None else beside(self._lay())

    async def _lay(self) -> None:
        presence = self._house.presence
        while True:
            await asyncio.to_thread(presence.panel.lay, presence.worker, self._gateway.counts())
            await asyncio.sleep(LAID_S)


async def served(app: App, post: Post, *, ready: Callable[[], None], delivers: bool = True) -> str:
    """Serve the gateway, behind it the dashboard, and behind that the API, at one door.

    `ready` is called when all is built; gives the name of the signal that ended it.
    """
    given, admission = app.settings.serve, app.admission()
    dispatching = app.dispatching(loopback=post.loopback)
    api = app.api(loopback=post.loopback, admission=admission, dispatching=dispatching)
    dashboard = app.dashboard(behind=api, admission=admission)
    gateway = app.gateway(behind=dashboard, admission=admission)
    app.hearing.at(gateway.everyone)
    dashboard.house.following.until(lambda: gateway.house.presence.leaving)
    try:
        door: ASGIApp = Door(
            gateway, admission, gateway.house.measures, new_id=app.ports.new_id, access=app.settings.log.access
        )
        if given.trusted_proxies:
            door = ProxyHeadersMiddleware(door, trusted_hosts=list(given.trusted_proxies))  # pyright: ignore[reportArgumentType,reportAssignmentType]
        async with dispatching.running():
            ready()
            return await Serving(gateway, door, given, post).until_a_signal(delivers=delivers)
    finally:
        await gateway.aclose()


def swift_loop() -> asyncio.AbstractEventLoop:
    """Give an event loop for a server: uvloop's, at half the processor time a request, where it is installed."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def must_be_tls(cert: str, key: str) -> None:
    """Raise Invalid unless these two files are a certificate and its key, or neither is named."""
    import ssl

    if bool(cert) != bool(key):
        raise Invalid("TLS takes a certificate and its key", hint="give both --tls-cert and --tls-key")
    if not cert:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except OSError as error:  # those of TLS too
        why = getattr(error, "reason", None) or error.strerror
        raise Invalid(
            f"{cert} and {key} are no certificate and its key: {why}", hint="both in PEM, the key without a password"
        ) from None


def address(listening: socket.socket, host: str, *, tls: bool) -> str:
    """Give the address of a socket as people type it."""
    named = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{named}:{listening.getsockname()[1]}"


def listen(host: str, port: int) -> socket.socket:
    """Take an address; Unavailable when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Of a socket that does not say that it is TCP, asyncio does not switch off Nagle's delay: 40 ms for each answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise Unavailable(
            f"cannot listen on {host} port {port}: {error.strerror}", hint="choose another --host or --port"
        ) from None
    return listening
