"""A server's shift: answer requests and tell people what is due, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Generator
from typing import TYPE_CHECKING

import uvicorn

from surefoot.core.errors import Unavailable
from surefoot.engine.notify import delivering

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from surefoot.ports import Ports


class Serving:
    """One application on one address, from the moment it is made; Unavailable when the address cannot be had."""

    def __init__(self, api: ASGIApp, host: str, port: int) -> None:
        self._listening = _listening(host, port)
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self._listening.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(
            api, log_level="warning", access_log=False, server_header=False, ws="none", lifespan="off",
            timeout_graceful_shutdown=5,
        ))  # fmt: skip
        self._server.capture_signals = contextlib.nullcontext  # pyright: ignore[reportAttributeAccessIssue]  ours say why

    async def until_a_signal(self, ports: Ports) -> str:
        """Serve, and give the name of the signal that ended it."""
        gc.collect()
        gc.freeze()  # what was imported is never garbage; looking through it again and again costs each request
        gc.set_threshold(10_000, 20, 50)  # a request makes hundreds of objects, and hardly a cycle
        with self._listening, self._signals() as caught:
            async with delivering(ports):
                await self._server.serve(sockets=[self._listening])
        return caught[0] if caught else "stopped"

    @contextlib.contextmanager
    def _signals(self) -> Generator[list[str]]:
        """Let a signal end the server in good order; gives a list that then names it."""
        running, caught = asyncio.get_running_loop(), list[str]()

        def ends(name: str) -> None:
            caught.append(name)
            self._server.should_exit = True

        for one in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(one, ends, one.name)
        try:
            yield caught
        finally:
            for one in (signal.SIGINT, signal.SIGTERM):
                running.remove_signal_handler(one)


def _listening(host: str, port: int) -> socket.socket:
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
