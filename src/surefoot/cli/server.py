"""The command `serve`: the gateway and the API, in one process or in several, and perhaps the loop's worker beside."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    import socket

    from surefoot.app import App
    from surefoot.config import Settings

MOST_WORKERS = 64


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "serve", section="Start", keys="address ended")(serve)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line asks for."""

    host: str
    port: int
    workers: int
    work: bool
    pause_s: float
    cert: str
    key: str

    @property
    def loopback(self) -> bool:
        import ipaddress

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def serve(
    desk: Desk,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="where to listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="the port; 0 takes a free one")] = 8420,
    workers: Annotated[int, typer.Option(min=1, max=MOST_WORKERS, help="how many processes serve")] = 1,
    work: Annotated[bool, typer.Option("--work", help="also run the loop for all agents, in a process beside")] = False,
    pause: Annotated[float, typer.Option(min=0.1, help="with --work: the seconds between two rounds")] = 5.0,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="speak TLS with this certificate (PEM)")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="and its key")] = None,
) -> int:
    """Serve the gateway and the API, and tell people what is due.

    At the first start a token for you is made and shown once. Others than this machine are served only where there
    are tokens. The first signal lets requests in flight end, a second one ends at once.
    """
    from surefoot.cli.serving import address, listen, must_be_tls

    asked = _Asked(
        host=host, port=port, workers=workers, work=work, pause_s=pause, cert=str(tls_cert or ""),
        key=str(tls_key or ""),
    )  # fmt: skip
    must_be_tls(asked.cert, asked.key)
    with desk.app() as app:
        _must_be_guarded(app, asked)
        settings = app.settings
        listening = listen(asked.host, asked.port)
        where = address(listening, asked.host, tls=bool(asked.cert))
        told = _greeting(desk, app, asked, where)
        ended = _alone(app, listening, asked, told) if workers == 1 and not work else ""
    ended = ended or _crew(settings, listening, asked, told)
    desk.give({"address": where, "ended": ended}, lambda screen: screen.note(f"ended ({ended})"))
    return 130 if ended == "SIGINT" else 0


def _must_be_guarded(app: App, asked: _Asked) -> None:
    from surefoot.core.errors import Forbidden

    if not asked.loopback and not app.has_tokens():
        raise Forbidden(
            "the API has no tokens, and others than this machine could reach it",
            hint="surefoot token create NAME makes one; or serve on 127.0.0.1",
        )


def _greeting(desk: Desk, app: App, asked: _Asked, where: str) -> Callable[[], None]:
    """Give what says that the server is there; with the first token, if this is the first start."""
    import asyncio

    from surefoot.engine.issue import first_admin

    first = None
    if asked.loopback and not app.settings.tokens:
        first = asyncio.run(first_admin(app.ports))

    def greet() -> None:
        desk.remark(f"listening on {where}; apps use {where}/v1, people look at {where}/; Ctrl-C ends it")
        if first is not None:
            desk.remark(f"your token, of the role admin, shown only now: {first.token}")
            desk.remark("surefoot token create NAME --role agent makes one for an app")

    return greet


def _alone(app: App, listening: socket.socket, asked: _Asked, greet: Callable[[], None]) -> str:
    """Serve in this process."""
    import asyncio

    from surefoot.cli.logbook import begin
    from surefoot.cli.serving import Post, served, swift_loop

    begin(app.settings.log, app.settings.store, 1)
    post = Post(listening=listening, loopback=asked.loopback, cert=asked.cert, key=asked.key)
    with asyncio.Runner(loop_factory=swift_loop) as runner:
        return runner.run(served(app, post, ready=greet))


def _crew(settings: Settings, listening: socket.socket, asked: _Asked, greet: Callable[[], None]) -> str:
    """Serve in several processes, and mind them in this one."""
    import asyncio

    from surefoot.cli.logbook import begin
    from surefoot.cli.supervising import Crew, Minder

    begin(settings.log, settings.store, 0)
    crew = Crew(
        settings=settings, fd=listening.fileno(), workers=asked.workers, work=asked.work, loopback=asked.loopback,
        cert=asked.cert, key=asked.key, pause_s=asked.pause_s,
    )  # fmt: skip
    with closing(listening):
        return asyncio.run(Minder(crew).until_a_signal(greet))
