"""Commands on tokens: create, list and revoke those of the store; `token NAME` makes the lines for surefoot.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.token import Issued

Role = Literal["viewer", "agent", "improver", "reviewer", "operator", "admin"]
RoleOption = Annotated[
    Role, typer.Option(metavar="viewer|agent|improver|reviewer|operator|admin", help="what it may do")
]
AgentOption = Annotated[list[str] | None, typer.Option(metavar="AGENT", help="only for this agent (repeatable)")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="the person or program it stands for")]
By = Annotated[str, typer.Option(metavar="NAME", help="the person who does this, for the record")]
PersonOption = Annotated[str, typer.Option(metavar="NAME", help="whose it is; several of one person are one person")]
_LINES = "name role agents[] token sha256 settings"
_RECORD = "id name person role agents[] state created_at created_by expires_at used_at"


class TokenCommands(TyperGroup):
    """The commands of the group; what is none of them is the name of a token, as in `surefoot token NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let `token NAME` be `token lines NAME`."""
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = ["lines", *args]
        return super().parse_args(ctx, args)


def register(group: typer.Typer) -> None:
    """Add these commands."""
    command(group, "create", keys=f"token; {_RECORD}")(create)
    command(group, "list", keys=f"tokens[]: {_RECORD}")(listed)
    command(group, "revoke", keys=_RECORD)(revoke)
    command(group, "lines", keys=_LINES)(lines)


async def create(
    desk: Desk, name: Name, role: RoleOption = "viewer", agent: AgentOption = None, person: PersonOption = "",
    expires: Annotated[str, typer.Option(metavar="TIME", help="how long it is good for: 12h, 90d, 4w")] = "",
    by: By = "",
) -> None:  # fmt: skip
    """Make a token and keep its hash in the store; it is shown once and kept nowhere.

    A running server knows it within a second.
    """
    from surefoot.core.token import life
    from surefoot.engine.issue import Order, issue

    span = life(expires) if expires else None
    order = Order(name=name, role=role, person=person, agents=tuple(agent or ()), life=span)
    with desk.app() as app:
        made = await issue(app.ports, order, by=by or _who())
        document = _document(made.issued, None, app.ports.clock())

    desk.give({"token": made.token, **document}, lambda screen: screen.line(made.token))
    if not desk.as_json:  # apart from the token, which a shell may take: TOKEN=$(surefoot token create ...)
        until = "until it is revoked" if made.issued.expires_at is None else f"until {made.issued.expires_at:%Y-%m-%d}"
        desk.remark(f"it is not shown again; send it as Authorization: Bearer TOKEN. Good {until}, as {role}.")


async def listed(desk: Desk) -> None:
    """List the tokens of the store, and when each was last used; those of surefoot.toml stand there."""
    from surefoot.engine.issue import tokens

    with desk.app() as app:
        found = await tokens(app.ports)
        rows = [_document(one, used, app.ports.clock()) for one, used in found]

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import when

        if not rows:
            screen.note("there are no tokens in the store: surefoot token create NAME")
            return
        screen.table(("token", "person", "role", "agents", "state", "expires", "last used", "id"), (
            (one["name"], one["person"] or one["name"], one["role"], ", ".join(one["agents"]) or "all", one["state"],
             when(one["expires_at"]), when(one["used_at"]), one["id"])
            for one in rows
        ))  # fmt: skip

    desk.give({"tokens": rows}, page)


async def revoke(
    desk: Desk, name: Annotated[str, typer.Argument(metavar="NAME|ID", help="the token")], by: By = ""
) -> None:  # fmt: skip
    """End a token of the store; no server lets it in after a second."""
    from surefoot.engine.issue import revoke as ended

    with desk.app() as app:
        gone = await ended(app.ports, name, by=by or _who())
        document = _document(gone, None, app.ports.clock())
    desk.give(document, lambda screen: screen.line(f"the token {gone.name} is revoked", "green"))


def lines(desk: Desk, name: Name, role: RoleOption = "viewer", agent: AgentOption = None,
          person: PersonOption = "") -> None:  # fmt: skip
    """Make a token for surefoot.toml instead; also as `surefoot token NAME`.

    It is shown once and kept nowhere. What belongs into surefoot.toml is only its hash.
    """
    import json
    import secrets

    from surefoot.core.approval import identity
    from surefoot.core.errors import Invalid
    from surefoot.core.token import hashed

    if not identity(name):
        raise Invalid("a token needs a name", hint="name the person or program it stands for")
    made, agents = f"sf_{secrets.token_urlsafe(32)}", list(agent or [])
    told = [f"[tokens.{json.dumps(name, ensure_ascii=False)}]", f'sha256 = "{hashed(made)}"', f'role = "{role}"']
    told += [f"agents = {json.dumps(agents)}"] if agents else []
    told += [f"person = {json.dumps(person, ensure_ascii=False)}"] if person else []

    def page(screen: Screen) -> None:
        screen.line(made)
        screen.note("it is not shown again; send it as Authorization: Bearer TOKEN. Put this into surefoot.toml:")
        for line in told:
            screen.line(line)

    desk.give({
        "name": name, "role": role, "agents": agents, "token": made, "sha256": hashed(made),
        "settings": "\n".join(told),
    }, page)  # fmt: skip


def _who() -> str:
    """The name of whoever sits at the store, as the system knows it."""
    import getpass

    try:
        return f"{getpass.getuser()} at the store"
    except (OSError, KeyError):
        return "somebody at the store"


def _document(one: Issued, used_at: object, now: Any) -> dict[str, Any]:
    return {
        "id": one.id, "name": one.name, "person": one.person, "role": one.role, "agents": list(one.agents),
        "state": one.state(now), "created_at": one.created_at, "created_by": one.created_by,
        "expires_at": one.expires_at, "used_at": used_at,
    }  # fmt: skip
