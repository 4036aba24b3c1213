"""Commit: the messages of the loop's commits, and what can be read back from them.

A lever commit carries the lever's id, the version of the genome, the tick and one line per gate; a state commit says
what happened to the files. Trailers in git's own form, so that `git log` and a rollback can find them again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from surefoot.core.repo.paper import one_line

Kind = Literal["lever", "state", "revert", "intake"]
SUBJECT_CHARS, TRAILER_CHARS = 72, 240
_TRAILER = re.compile(r"(Surefoot-[A-Za-z]+): (.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the trailers of a commit say."""

    kind: str = ""
    lever: str = ""
    tick: int = 0
    genome: str = ""
    gates: tuple[str, ...] = ()
    prompt: bool = False


def lever_message(
    *, lever: str, title: str, genome: str, tick: int, gates: Sequence[str], agent: str, prompt: bool = False
) -> str:
    """Give the message of a lever commit; `gates` are lines of evidence, `prompt` says that the loop prompt changes."""
    rows = [
        *_rows("lever", lever, tick, genome),
        f"Surefoot-Agent: {agent}",
        *(f"Surefoot-Gate: {_row(one)}" for one in gates),
        *(["Surefoot-Prompt: changed"] if prompt else []),
    ]
    return _message(f"{lever}: {title}", rows)


def state_message(*, tick: int, said: str, lever: str = "", genome: str = "") -> str:
    """Give the message of a state commit."""
    return _message(f"loop: tick {tick}, {said}" if tick else f"loop: {said}", _rows("state", lever, tick, genome))


def revert_message(*, lever: str, title: str, commit: str, by: str, why: str) -> str:
    """Give the message of a commit that takes a lever back."""
    body = f"This reverts commit {commit}." + (f" {one_line(why, TRAILER_CHARS)}" if why else "")
    rows = [*_rows("revert", lever, 0, ""), f"Surefoot-By: {_row(by)}"]
    return _message(f"Revert {lever}: {title}", rows, body)


def intake_message(*, tick: int, branch: str, commit: str) -> str:
    """Give the message of the merge that takes in what people did meanwhile."""
    return _message(f"loop: take in {branch} at {commit[:12]}", _rows("intake", "", tick, ""))


def _rows(kind: Kind, lever: str, tick: int, genome: str) -> list[str]:
    rows = [f"Surefoot-Kind: {kind}"]
    rows += [f"Surefoot-Lever: {lever}"] if lever else []
    rows += [f"Surefoot-Tick: {tick}"] if tick else []
    return rows + ([f"Surefoot-Genome: {genome}"] if genome else [])


def _row(text: str) -> str:
    return one_line(text, TRAILER_CHARS)


def _message(subject: str, rows: Sequence[str], body: str = "") -> str:
    parts = [one_line(subject, SUBJECT_CHARS), body, "\n".join(rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def signed(body: str) -> Signed:
    """Read the trailers back: those of the last paragraph only, because the others may be anyone's text."""
    last = re.split(r"\n[ \t]*\n", body.strip())[-1]
    found: dict[str, list[str]] = {}
    for line in last.splitlines():
        if (match := _TRAILER.fullmatch(line.strip())) is not None:
            found.setdefault(match[1], []).append(match[2])
    tick = found.get("Surefoot-Tick", ["0"])[0]
    return Signed(
        kind=found.get("Surefoot-Kind", [""])[0], lever=found.get("Surefoot-Lever", [""])[0],
        tick=int(tick) if tick.isascii() and tick.isdigit() else 0, genome=found.get("Surefoot-Genome", [""])[0],
        gates=tuple(found.get("Surefoot-Gate", ())), prompt="Surefoot-Prompt" in found,
    )  # fmt: skip
