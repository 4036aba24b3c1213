"""Commands that need no store: simulate rollouts, and replay recorded outcomes as one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.desk import Desk, command
from surefoot.core.figure import percent

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen

_ROW = (
    "policy scenario promote promote_low promote_high rollback rollback_low rollback_high inconclusive replications "
    "chal_rollback days_promote requests_promote"
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "simulate", section="Look", keys=f"rows[]: {_ROW}")(simulate)
    keys = "incumbent challenger preset cases p_incumbent p_challenger orders states median_requests mean_regret"
    command(app, "replay", section="Look", keys=keys)(replay)


def simulate(
    desk: Desk,
    policy: Annotated[list[str] | None, typer.Option(metavar="NAME", help="surefoot, seed, … (default: all)")] = None,
    scenario: Annotated[list[str] | None, typer.Option(metavar="NAME", help="equal, … (default: all)")] = None,
    replications: Annotated[int, typer.Option(min=10, max=20_000, metavar="N", help="rollouts a row")] = 400,
    seed: Annotated[int, typer.Option(metavar="N", help="another world")] = 1,
    svg: Annotated[Path | None, typer.Option(metavar="DIR", help="write one plot a scenario there")] = None,
) -> None:
    """Simulate rollouts under our rule and others.

    300 requests a day unless the scenario says else, failure rate .15, a look every two hours for forty days; a person
    says yes at once. Percent of the rollouts, with 95 % intervals.
    """
    from dataclasses import asdict

    from surefoot.simulator.policies import policies
    from surefoot.simulator.table import REFERENCE, row_of, simulated
    from surefoot.simulator.world import SCENARIOS

    known = policies(REFERENCE)
    chosen = _known(policy, known, "policy"), _known(scenario, SCENARIOS, "scenario")
    rows = [
        row_of(p, s, simulated(known[p], SCENARIOS[s], replications=replications, seed=seed))
        for s in chosen[1]
        for p in chosen[0]
    ]
    if svg is not None:
        _plots(svg, rows)

    def page(screen: Screen) -> None:
        screen.table(("scenario", "policy", "promoted", "rolled back", "open", "requests to kill", "days to promote"), (
            (row.scenario, row.policy, _interval(row.promote, row.promote_low, row.promote_high),
             _interval(row.rollback, row.rollback_low, row.rollback_high), f"{row.inconclusive:.1f}",
             _number(row.chal_rollback), _number(row.days_promote))
            for row in rows
        ))  # fmt: skip
        screen.note(f"percent of {replications} rollouts a row; the scenario says which promotions are right")

    desk.give({"rows": [asdict(row) for row in rows]}, page)


def replay(
    desk: Desk,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines (or .gz): case_id, variant, success")],
    incumbent: Annotated[str, typer.Option(metavar="VARIANT", help="the variant that is live")],
    challenger: Annotated[str, typer.Option(metavar="VARIANT", help="the variant that is offered")],
    orders: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="random orders of the requests")] = 50,
    preset: Annotated[
        Literal["surefoot", "seed"], typer.Option(metavar="surefoot|seed", help="whose rule decides")
    ] = "surefoot",
) -> None:
    """Replay recorded outcomes of two variants as a canary, many times."""
    import statistics

    from surefoot.simulator.recorded import both, load_outcomes
    from surefoot.simulator.recorded import replay as played

    cases = both(load_outcomes(file), incumbent, challenger)
    ended = [played(cases, seed=number, preset=preset) for number in range(orders)]
    states = Counter(one.state for one in ended)
    rates = [sum(side) / len(cases) for side in zip(*cases, strict=True)]
    median = statistics.median(one.requests for one in ended)
    regret = statistics.fmean(one.regret for one in ended)

    def page(screen: Screen) -> None:
        old, new = map(percent, rates)
        screen.line(f"{incumbent} is right on {old}, {challenger} on {new} of {len(cases)} cases")
        for state, count in states.most_common():
            word = {"awaiting_approval": "won, a person decides", "canary": "not decided in 6 000 requests"}
            screen.line(f"{word.get(state, state.replace('_', ' '))}: {count} of {orders} orders")
        screen.line(f"requests to the end {median:g} (median), {regret:.1f} extra failures (mean)")

    desk.give({
        "incumbent": incumbent, "challenger": challenger, "preset": preset, "cases": len(cases),
        "p_incumbent": rates[0], "p_challenger": rates[1], "orders": orders, "states": dict(states),
        "median_requests": median, "mean_regret": regret,
    }, page)  # fmt: skip


def _known(asked: list[str] | None, known: Any, what: str) -> list[str]:
    from surefoot.core.errors import NotFound

    for name in asked or ():
        if name not in known:
            raise NotFound(f"there is no {what} {name!r}", hint=f"there are {', '.join(known)}")
    return asked or list(known)


def _plots(place: Path, rows: list[Any]) -> None:
    from surefoot.core.errors import Unavailable
    from surefoot.simulator.plot import bars

    try:
        place.mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys(row.scenario for row in rows):
            (place / f"{name}.svg").write_text(bars(name, [row for row in rows if row.scenario == name]))
    except OSError as error:
        raise Unavailable(f"{place} cannot be written: {error.strerror}", hint="choose another directory") from error


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
