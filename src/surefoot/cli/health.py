"""The command `health`: how the server on this store is, line by line, as the dashboard's page of that name says it.

What the processes of a running server have counted only they know; this looks at the store. The API of the server
(`GET /api/v1/health`) tells both.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.health.report import Health

_LINE = "group name tone figure sentence since todo command"
TONES = {"bad": "red", "watch": "yellow", "good": "green", "idle": ""}


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "health", section="Look", keys=f"worst bad watch whole lines[]: {_LINE}")(health)


async def health(desk: Desk) -> int:
    """Say how the server is, line by line, and what to do next.

    Exit code 1 when a line is bad.
    """
    from surefoot.core.token import Token
    from surefoot.engine.diagnose import diagnose

    with desk.app() as app:
        seen = await diagnose(app.ports, Token(name="command line", sha256="", role="admin"), app.hearing)
    lines = [{name: value for name, value in asdict(one).items() if name != "href"} for one in seen.lines]
    document = {"worst": seen.worst, "bad": seen.bad, "watch": seen.watch, "whole": seen.whole, "lines": lines}
    desk.give(document, lambda screen: _page(screen, seen))
    return 1 if seen.bad else 0


def _page(screen: Screen, seen: Health) -> None:
    for part in seen.parts:
        screen.title(part.name)
        for one in part.lines:
            screen.line(f"{one.tone:5}  {one.name}: {one.figure}. {one.sentence}", TONES[one.tone])
            if one.todo:
                screen.line(f"       {one.todo} {one.command}".rstrip())
