"""Templates: the four files as `surefoot init --repo` writes them.

They say what belongs where in the words of someone who opens them for the first time; everything in them may be
rewritten by people, but for the few marks that the parsers name when they are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from surefoot.core.gate_spec import GateSpec
from surefoot.core.repo.detect import Found
from surefoot.core.repo.lessons import SEEDED

_GENOME = """\
---
version: v001
---

# Genome

What this loop is for, and where it stands. Edit it at any time: the loop reads it before every tick. When mission,
focus or next change, the version goes up by one; the text before stays in the history.

## Mission

{mission}

## Focus

{focus}

## Proven

## Next
"""
_LEVERS = """\
# Levers

One block each, as below. The loop takes the open lever of the highest value, one per tick, and writes what came of it
into the lever's log. `scope` is what it may change; status is open, shipped, failed or closed.

<!-- Copy this, or use: surefoot levers add "Title" --value 5 --cost 2 --scope "src/**"

## L-001 A short title

- value: 5
- cost: 2
- scope: src/**, tests/**
- status: open

What is to be done, in your own words.
-->
"""
_PROMPT = """\
# Loop prompt

You work on this repository in small steps that can be verified. This is one tick: one lever, then stop.

## Tick

1. Read the strategy and the one lever you are given. Look at the code before you change it.
2. Check the premise. If the task does not fit what you find, change nothing and say PREMISE MISMATCH.
3. Make the smallest change that does what the lever asks, inside its scope, with a test where tests live.
4. Run what you can run yourself. Stop when the lever is done; leave other findings as NEXT or LESSON.

## Gates

- Work counts only if every gate passes in a clean checkout. Nothing is committed otherwise.
- Never make a gate pass by weakening it, by skipping a test, or by hiding an exit code.
- A result that is empty is a failure, however green its log is.

## Lessons

{lessons}
"""
_SETTINGS = """\
{head}[repo]
name = {name}
base = {base}                # the branch of people; the loop's own branch is built on it
# branch = "surefoot/loop"   # where the loop commits
# mode = "loop"              # "pr": a branch per lever; "direct": commit on the branch you have checked out
# on_gate_fail = "reschedule"  # or "next_lever", at most max_levers per tick
# guarded = ["scripts/check.sh"]   # files that judge changes: no lever may touch them unless it names them

[repo.agent]
name = {agent}             # claude, codex, gemini, or command
{argv}
[repo.budget]
tick_usd = 2.0
day_usd = 10.0
tick_minutes = 15
day_ticks = 48

[repo.schedule]
every_minutes = 30
cooldown_minutes = 0
# quiet_hours = "22:00-06:00"   # UTC; `surefoot loop` rests then

# Gates run in the order typecheck, build, test, artifact, command, in a clean checkout with the change applied.
{gates}"""
_ARTIFACT = """
# An artifact gate looks at the result itself, not at a log:
# [[repo.gates]]
# name = "page"
# kind = "artifact"
# [[repo.gates.assertions]]
# kind = "min_bytes"
# target = "dist/index.html"
# min_bytes = 50000
"""


def genome_text(mission: str, focus: str = "") -> str:
    """Give `genome.md` for a mission."""
    return _GENOME.format(mission=_body(mission), focus=_body(focus) or "The first levers in `levers.md`.")


def levers_text() -> str:
    """Give `levers.md` without a lever."""
    return _LEVERS


def prompt_text() -> str:
    """Give `loop-prompt.md` with the seeded lessons."""
    return _PROMPT.format(lessons="\n".join(f"- (seed) {one}" for one in SEEDED))


def settings_text(
    *, name: str, base: str, gates: Sequence[Found], agent: str, argv: Sequence[str] = (), head: str = ""
) -> str:
    """Give `surefoot.toml`, or what is put at its end when there is one; without gates it has an example to mend."""
    listed = "\n".join(_gate(one.gate, one.because) for one in gates) or _gate_to_write()
    words = f"argv = {_list(argv)}\n" if argv else ""
    return _SETTINGS.format(
        head=head, name=_word(name), base=_word(base), agent=_word(agent), argv=words, gates=listed + _ARTIFACT
    )


def _gate(gate: GateSpec, because: str) -> str:
    command = _list(gate.command.argv) if gate.command else "[]"
    rows = [f"[[repo.gates]]   # {because}", f"name = {_word(gate.name)}", f"kind = {_word(gate.kind)}"]
    return "\n".join([*rows, f"command = {command}", ""])


def _gate_to_write() -> str:
    rows = ("No gate was found. Write at least one; without it no tick starts.", "[[repo.gates]]", 'name = "test"',
            'kind = "test"', 'command = ["make", "test"]')  # fmt: skip
    return "\n".join(f"# {row}" for row in rows) + "\n"


def _word(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)


def _list(words: Sequence[str]) -> str:
    return f"[{', '.join(_word(word) for word in words)}]"


def _body(text: str) -> str:
    """A person's text as prose that no parser takes for a heading."""
    return "\n".join(
        f" {line}" if line.lstrip().startswith(("#", "---")) else line for line in text.strip().splitlines()
    )
