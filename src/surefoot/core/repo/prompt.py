"""Prompt: what a coding agent is told in a tick, made of the four files and nothing that was not in them.

First the rules of the loop prompt, then the strategy, the one lever with what was tried before, what may be written,
how the work will be judged, the chosen lessons, and the form of the last message. Texts of people stand in marked
sections; the agent is told that they describe the work and that the walls around it are not theirs to move.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from surefoot.core.gate_spec import GateSpec
from surefoot.core.repo.lessons import RepoLesson, chosen, section
from surefoot.core.repo.levers import RepoLever
from surefoot.core.repo.outcome import entry_line
from surefoot.core.repo.paper import Paper, body_start
from surefoot.core.repo.strategy import Strategy

LOG_LINES = 5
_WALLS = """\
Only ordinary files: no symbolic links, no submodules, no changed modes, nothing of git, CI, hooks or the gates, and
none of the loop's own files. Anything else refuses the whole change."""
_JUDGED = """\
The gates run in this order in a clean checkout with your diff applied. A gate that checks nothing fails."""
_END = """\
End with a short summary. If they apply, add lines of exactly these forms:
PREMISE MISMATCH: why the task does not fit reality (then change nothing)
LESSON: one sentence for later ticks [evidence: what showed it]
FOCUS: a better focus for the whole, only if the work showed that the strategy is wrong
NEXT: one thing that should come later
Do not commit, do not push, do not start anything that keeps running."""


def tick_prompt(
    loop: Paper, genome: Strategy, lever: RepoLever, lessons: Sequence[RepoLesson], gates: Sequence[GateSpec],
    *, other_way: str = "",
) -> str:  # fmt: skip
    """Give the prompt of one tick; `other_way` says why another approach is asked for, or is empty."""
    near = chosen(lessons, f"{lever.title} {lever.text}")
    parts = [
        rules_of(loop),
        f"# Strategy {genome.name}",
        *(f"{name}: {text or '-'}" for name, text in _strategy(genome)),
        _lever(lever, other_way),
        f"# What you may change\n\n{_listed(lever.scope)}",
        _WALLS,
        f"# How it is judged\n\n{_listed(_said(gate) for gate in gates)}",
        _JUDGED,
        f"# Lessons\n\n{_listed(one.text for one in near)}",
        _END,
    ]
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def rules_of(loop: Paper) -> str:
    """Give the text of the loop prompt without its front matter and its lessons."""
    block = section(loop)
    lines = (*loop.lines[body_start(loop) : block.start], *loop.lines[block.end :])
    return "".join(lines).replace("\r\n", "\n").strip()


def _lever(lever: RepoLever, other_way: str) -> str:
    tried = [entry_line(one) for one in lever.log if one.tick][-LOG_LINES:]
    parts = [f"# The one lever of this tick: {lever.id} {lever.title}", lever.text]
    if tried:
        parts.append("Tried before:\n" + "\n".join(tried))
    if other_way:
        parts.append(f"Take a different approach than before: {other_way}.")
    return "\n\n".join(part for part in parts if part)


def _said(gate: GateSpec) -> str:
    command = f"`{gate.command.text}`" if gate.command else f"{len(gate.assertions)} assertions"
    return f"{gate.kind}: {gate.name}, {command}"


def _strategy(genome: Strategy) -> tuple[tuple[str, str], ...]:
    texts = (genome.mission, genome.focus, genome.proven, genome.next)
    return tuple(zip(("Mission", "Focus", "Proven", "Next"), texts, strict=True))


def _listed(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)
