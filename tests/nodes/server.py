"""A server of the API alone, on the settings beside it: what `surefoot serve` does with processes, and no more."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import uvicorn

from surefoot.app import build
from surefoot.config import settings
from surefoot.engine.notify import delivering


async def main() -> None:
    app = build(settings(Path.cwd(), os.environ))
    dispatching = app.dispatching(loopback=True)
    api = app.api(loopback=True, dispatching=dispatching)
    listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    server = uvicorn.Server(uvicorn.Config(api, log_level="error", access_log=False, lifespan="off", ws="none",
                                           timeout_graceful_shutdown=1))  # fmt: skip
    print(listening.getsockname()[1], flush=True)
    async with dispatching.running(), delivering(app.ports, every_s=0.2):
        await server.serve(sockets=[listening])


asyncio.run(main())
