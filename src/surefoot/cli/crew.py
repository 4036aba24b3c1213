"""One process of a crew: it gets its orders as one line on standard input, and leaves when that input ends.

It says `ready` on standard output once it is. Run as `python -m surefoot.cli.crew`, by `surefoot.cli.supervising` only.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from surefoot.cli.desk import Desk, hush_the_workflow_engine
from surefoot.config import Settings


def main() -> int:
    """Do what the orders say; the exit code is that of a command."""
    orders: dict[str, Any] = json.loads(_line())
    settings = Settings.model_validate(orders["settings"])
    from surefoot.app import build
    from surefoot.cli.logbook import begin
    from surefoot.core.errors import SurefootError

    hush_the_workflow_engine()
    begin(settings.log, settings.store, orders["worker"])
    try:
        app = build(settings)
    except SurefootError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 3
    try:
        if orders["kind"] == "work":
            from surefoot.cli.working import working

            desk = Desk(store=settings.store, as_json=False)
            asyncio.run(working(app, desk, lifeline=0, pause_s=orders["pause_s"], ready=_say_ready))
        else:
            _serve(app, orders)
    finally:
        app.close()
    return 0


def _serve(app: Any, orders: dict[str, Any]) -> None:
    from surefoot.cli.serving import Post, served, swift_loop

    listening = socket.socket(fileno=orders["fd"])
    post = Post(
        listening=listening, worker=orders["worker"], panel=Path(orders["panel"]), loopback=orders["loopback"],
        cert=orders["cert"], key=orders["key"], lifeline=0,
    )  # fmt: skip

    with asyncio.Runner(loop_factory=swift_loop) as runner:
        runner.run(served(app, post, ready=_say_ready, delivers=orders["delivers"]))


def _say_ready() -> None:
    """Tell whoever minds the crew that this process has begun."""
    os.write(1, b"ready\n")


def _line() -> bytes:
    """Read the first line of standard input and not a byte more, so that its end can be waited for."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            break
        line += piece
    return line


if __name__ == "__main__":
    sys.exit(main())
