"""The gate as a command: two recordings in, pass, fail or inconclusive out; needs no store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.desk import Desk, command
from surefoot.core.figure import signed

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen

_CODES = {"pass": 0, "fail": 1, "inconclusive": 4}
_SLICE = "slice n gained lost gain low high p_loss"


def register(app: typer.Typer) -> None:
    """Add this command."""
    keys = (
        "decision reason sentence test alpha p power n_needed n gained lost unscored "
        f"blocks[]: {_SLICE}; flags[]: {_SLICE}"
    )
    command(app, "gate", section="Improve", keys=keys)(gate)


def gate(
    desk: Desk,
    incumbent: Annotated[Path, typer.Option(metavar="FILE", help="scores of what is live: case_id, score; JSONL")],
    candidate: Annotated[Path, typer.Option(metavar="FILE", help="scores of what is offered, on the same cases")],
    slices: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="a field of the rows whose values must not lose")
    ] = None,
    alpha: Annotated[float, typer.Option(metavar="P", help="the chance of passing what is not better")] = 0.05,
) -> int:
    """Judge two recordings of scores: pass, fail or inconclusive.

    Exit codes 0, 1 and 4. One planned look at the same cases under both versions; no store is needed. Whoever looks at
    the same cases K times takes alpha / K.
    """
    from surefoot.sdk.gate import gate as gated

    found = gated(incumbent, candidate, slices=slices, alpha=alpha)

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import percent

        tone = {"pass": "green", "fail": "red"}.get(found.decision, "yellow")
        screen.line(f"{found.decision}: {found.sentence}", tone)
        screen.fields((
            ("cases", found.n), ("gained", found.gained), ("lost", found.lost), ("unscored", found.unscored or ""),
            ("test", found.test), ("p", "" if found.p is None else f"{found.p:.3g}"), ("alpha", f"{found.alpha:g}"),
            ("power for 5 points", percent(found.power)), ("cases needed", found.n_needed or "more than 20 000"),
        ))  # fmt: skip
        for mark, listed in (("blocks", found.blocks), ("flags", found.flags)):
            for one in listed:
                moved = f"{signed(one.gain)} ({signed(one.low)} to {signed(one.high)})"
                counts = f"{one.tally.lost} lost, {one.tally.gained} gained of {one.tally.n}"
                screen.line(f"{mark} {one.name}: {counts}, {moved}",
                            "red" if mark == "blocks" else "yellow")  # fmt: skip

    desk.give(found.document(), page)
    return _CODES[found.decision]
