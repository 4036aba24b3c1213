"""The table of commands: which there are, under which heading, and where each one lives."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

LAZY: dict[str, tuple[str, str]] = {
    "demo": ("surefoot.cli.demo:demo", "The whole loop on shipped tickets, offline, in a minute."),
    "try": ("surefoot.cli.try_file:try_file", "The whole loop on your own labelled JSONL file."),
}
SECTIONS = ("Start", "Look", "Traffic", "Improve", "Decide", "Keep")


class Commands(TyperGroup):
    """All commands under their headings; those in `LAZY` are imported when they are used."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        stubs = {name: TyperCommand(name, help=text, rich_help_panel="Start") for name, (_, text) in LAZY.items()}
        self.commands = {**stubs, **self.commands}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Give a command, imported if need be."""
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        return loaded(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by section."""
        for section in SECTIONS:
            rows = [
                (name, command.get_short_help_str(100))
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)


def loaded(name: str) -> Any:
    """Import one of the lazy commands."""
    module, _, function = LAZY[name][0].partition(":")
    alone = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(getattr(import_module(module), function))
    return typer.main.get_command(alone)


def _version(wanted: bool) -> None:
    if wanted:
        from surefoot import __version__

        print(f"surefoot {__version__}")
        raise typer.Exit


def _top(
    ctx: typer.Context,
    store: Annotated[Path | None, typer.Option("--store", metavar="PATH", help="the store to work on")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="answer with one JSON document")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="say which Surefoot this is", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Makes AI agents improve themselves in production, and proves every step."""
    ctx.obj = {"store": store, "json": as_json, "version": version}
    _helped(ctx)


def _helped(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
        raise typer.Exit(2)


def _group(name: str, text: str, section: str, kind: type[TyperGroup] = TyperGroup) -> typer.Typer:
    group = typer.Typer(
        name=name, help=text, invoke_without_command=True, rich_markup_mode=None, callback=_helped, cls=kind
    )  # fmt: skip
    app.add_typer(group, rich_help_panel=section)
    return group


app = typer.Typer(
    cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False, invoke_without_command=True, callback=_top,
    help=_top.__doc__, context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip


def names() -> Iterable[str]:
    """Give the names of all commands, as they are typed."""
    return sorted([*LAZY, *_registered()])


def _registered() -> Iterable[str]:
    from surefoot.cli.desk import KEYS

    return KEYS


def _register() -> None:
    from surefoot.cli import (
        after,
        agents,
        decide,
        evals,
        events,
        findings,
        gate,
        health,
        improve,
        jobs,
        keep,
        leaving,
        logs,
        memory,
        notices,
        pauses,
        probes,
        processes,
        prune,
        report,
        rollouts,
        server,
        shadow,
        shares,
        show,
        simulate,
        tokens,
        traces,
        traffic,
        work,
    )

    for room in (
        agents, show, findings, report, simulate, traffic, improve, gate, prune, probes, shadow, decide, notices,
        after, keep, server, processes, logs, events, work, jobs, health, shares, traces, leaving,
    ):  # fmt: skip
        room.register(app)
    rollouts.register(_group("rollout", "Start, watch and steer a rollout on live traffic.", "Improve"))
    evals.register(_group("eval", "Examine agents on suites, compare runs, measure judges.", "Improve"))
    memory.register(_group("memory", "What an agent remembers between requests, scope by scope.", "Traffic"))
    pauses.register(_group("pauses", "What agents' programs wait for.", "Decide", pauses.PauseCommands))
    keep.register_audit(_group("audit", "Show and verify the record of every change.", "Keep"))
    tokens.register(_group("token", "Who may come in, and as what.", "Keep", tokens.TokenCommands))
    keep.register_db(_group("db", "Look after the store's schema.", "Keep"))


_register()
