"""The command `report`: what the loop on a repository did while nobody looked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.desk import Desk, command


def register(app: typer.Typer) -> None:
    """Add this command."""
    command(app, "report", section="Look", keys="repo since until genome ticks open shipped[]: lever text; "
            "failed[]: lever text; learned[]: lever text; cost[]: lever text; needs_you[]: lever text; "
            "written[]")(report)  # fmt: skip


async def report(
    desk: Desk,
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="the repository (default: here)")] = Path(),
    repo: Annotated[bool, typer.Option("--repo", help="may be left out: a report is always of a repository")] = True,  # noqa: ARG001
    hours: Annotated[float, typer.Option(min=0.1, max=10_000, help="how far back")] = 24.0,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="write it as Markdown too")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="write it as one HTML page too")] = None,
) -> None:
    """Say what shipped, failed, was learned, cost, and needs you.

    For a repository that `surefoot loop --repo` works on; made of its files and the record.
    """
    from surefoot.cli.repo_files import repo_report

    await repo_report(desk, directory, hours=hours, markdown=markdown, web=html)
