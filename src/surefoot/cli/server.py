"""Commands of the server: serve (the REST API), and token (make one)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen

Role = Literal["viewer", "agent", "reviewer", "operator", "admin"]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "serve", section="Start", keys="address ended")(serve)
    command(app, "token", section="Keep", keys="name role agents[] token sha256 settings")(token)


async def serve(
    desk: Desk,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="where to listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="the port; 0 takes a free one")] = 8420,
) -> int:
    """Serve the gateway and the API, and tell people what is due.

    Without tokens it listens on this machine only, and shows but changes nothing.
    """
    from surefoot.cli.serving import Serving

    with desk.app() as app:
        gateway = app.gateway(behind=app.api(loopback=_is_loopback(host)))
        try:
            serving = Serving(gateway, host, port)
            desk.remark(f"listening on {serving.address}; apps use {serving.address}/v1; Ctrl-C ends it")
            ended = await serving.until_a_signal(app.ports)
        finally:
            await gateway.aclose()
    desk.give({"address": serving.address, "ended": ended}, lambda screen: screen.note(f"ended ({ended})"))
    return 130 if ended == "SIGINT" else 0


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="NAME", help="the person or program it stands for")],
    role: Annotated[
        Role, typer.Option(metavar="viewer|agent|reviewer|operator|admin", help="what it may do")
    ] = "viewer",
    agent: Annotated[list[str] | None, typer.Option(metavar="AGENT", help="only for this agent (repeatable)")] = None,
) -> None:
    """Make a token for the API; it is shown once and kept nowhere.

    What belongs into surefoot.toml is only its hash.
    """
    import json
    import secrets

    from surefoot.core.approval import identity
    from surefoot.core.errors import Invalid
    from surefoot.core.token import hashed

    if not identity(name):
        raise Invalid("a token needs a name", hint="name the person or program it stands for")
    made, agents = f"sf_{secrets.token_urlsafe(32)}", list(agent or [])
    lines = [f"[tokens.{json.dumps(name, ensure_ascii=False)}]", f'sha256 = "{hashed(made)}"', f'role = "{role}"']
    lines += [f"agents = {json.dumps(agents)}"] if agents else []

    def page(screen: Screen) -> None:
        screen.line(made)
        screen.note("it is not shown again; send it as Authorization: Bearer TOKEN. Put this into surefoot.toml:")
        for line in lines:
            screen.line(line)

    desk.give({
        "name": name, "role": role, "agents": agents, "token": made, "sha256": hashed(made),
        "settings": "\n".join(lines),
    }, page)  # fmt: skip
