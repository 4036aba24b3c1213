"""Any command as a coding agent: a template of words, the prompt on standard input and in a file.

In the words `{prompt_file}`, `{worktree}` and `{lever}` are replaced; no shell reads them. Exit code 0 is `ok`, any
other `error`. It may print one JSON object as its last line: {status, summary, cost_usd, tokens, turns, denials}. A
last line that begins like one and cannot be read is an error, because it was cut off.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from surefoot.adapters.coding_agents import reading
from surefoot.adapters.coding_agents.room import SUMMARY_CHARS, Redact, delivered, plainly_redacted, room_for, sent
from surefoot.adapters.processes import Ended
from surefoot.core.errors import Invalid
from surefoot.ports.repository import Delivery, DeliveryStatus, Errand, Usable


class AnyCommand:
    """A command of the operator's choice as a coding agent."""

    name = "command"

    def __init__(
        self, words: Sequence[str], *, env: Mapping[str, str] | None = None, redact: Redact = plainly_redacted
    ) -> None:
        if not words or not words[0].strip():
            raise Invalid("the coding agent `command` has no command", hint="give it as a list of words")
        self._template, self._env, self._redact = tuple(words), dict(env or {}), redact

    async def work(self, errand: Errand) -> Delivery:
        """Carry out the errand."""
        given = self._env | dict(errand.env)
        with room_for(errand.prompt) as room:
            places = {"{prompt_file}": room.prompt, "{worktree}": errand.worktree, "{lever}": errand.lever}
            words = [_filled(word, places) for word in self._template]
            ended = await sent(words, errand, room, given, stdin=errand.prompt)
        return read(ended, self._redact, given)

    async def usable(self) -> Usable:
        """Tell whether the command is there; it is not run."""
        program = self._template[0]
        there = shutil.which(program) is not None
        why = "" if there else f"{program} is not on the PATH: install it, or correct the command"
        return Usable(name=self.name, installed=there, usable=there, why=why)


def read(ended: Ended, redact: Redact, given: Mapping[str, str]) -> Delivery:
    """Say what an end of the command means."""
    whole = ended.out.decode("utf-8", "replace").strip()
    last = whole.rpartition("\n")[2].strip()
    said = reading.document(last.encode()) or {}
    status, why = _status(said, last, ended.code)
    summary = why or (reading.text(said.get("summary")) if said else whole[-SUMMARY_CHARS:])
    return delivered(
        ended, status, summary, redact, given, denials=reading.texts(said.get("denials")),
        cost_usd=reading.dollars(said.get("cost_usd")), tokens=reading.whole(said.get("tokens")),
        turns=reading.whole(said.get("turns")),
    )  # fmt: skip


def _status(said: dict[str, Any], last: str, code: int | None) -> tuple[DeliveryStatus, str]:
    if last.startswith("{") and not said:
        return "error", "its report breaks off"
    told = said.get("status", "ok")
    if told not in get_args(DeliveryStatus):
        return "error", f"it reported the unknown status {str(told)[:80]!r}"
    if code != 0 and told in ("ok", "no_change"):
        return "error", reading.text(said.get("summary")) or f"it ended with {code}: {last[:300]}"
    return cast("DeliveryStatus", told), ""


def _filled(word: str, places: Mapping[str, str]) -> str:
    """Replace each placeholder once, so that what stands in for one cannot contain another."""
    for place, value in places.items():
        if place in word:
            before, _, after = word.partition(place)
            return f"{_filled(before, places)}{value}{_filled(after, places)}"
    return word
