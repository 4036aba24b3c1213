"""Plots as SVG, written by hand: what each policy did in one scenario, as bars that read in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from surefoot.simulator.table import Row

_WIDTH, _BAR, _GAP, _LEFT, _TOP = 640, 18, 10, 110, 48
_TYPE = 'font-family="system-ui, sans-serif" font-size="12" fill="currentColor"'
_COLOURS = {"promote": "#2f9e6e", "rollback": "#c2553f", "inconclusive": "#8a8f98"}


def bars(scenario: str, rows: Sequence[Row]) -> str:
    """Give one scenario as stacked bars: promoted, rolled back, inconclusive, in percent of the replications."""
    height = _TOP + len(rows) * (_BAR + _GAP) + 24
    scale = (_WIDTH - _LEFT - 20) / 100
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" {_TYPE}>',
        f"<title>{escape(scenario)}: what each policy did</title>",
        f'<text x="8" y="18" font-size="14" font-weight="600">{escape(scenario)}</text>',
        *_legend(),
    ]
    for index, row in enumerate(rows):
        y = _TOP + index * (_BAR + _GAP)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(row.policy)}</text>')
        x = float(_LEFT)
        for name, colour in _COLOURS.items():
            value = float(getattr(row, name))
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="{_BAR}" fill="{colour}">'
                f"<title>{escape(row.policy)}: {name} {value:.1f} %</title></rect>"
            )
            if value >= 8:
                parts.append(f'<text x="{x + 4:.1f}" y="{y + 13}" fill="#fff">{value:.1f} %</text>')
            x += value * scale
    parts.append("</svg>\n")
    return "\n".join(parts)


def _legend() -> list[str]:
    return [
        f'<rect x="{_LEFT + 130 * index}" y="28" width="10" height="10" fill="{colour}"/>'
        f'<text x="{_LEFT + 130 * index + 16}" y="37">{name}</text>'
        for index, (name, colour) in enumerate(_COLOURS.items())
    ]
