"""The small Protocols that the engine needs, and nothing else about the outside world.

Adapters implement them without knowing the engine; `app.build` is where the two meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from surefoot.core.errors import NotFound, Unavailable
from surefoot.ports.filed import Filed, ProposalState
from surefoot.ports.improver import Improver
from surefoot.ports.model import Answer, Finish, Model, Question
from surefoot.ports.notifier import Hooks, NoHooks, Notifier
from surefoot.ports.store import Store, Tx
from surefoot.ports.telemetry import Nobody, Telemetry
from surefoot.ports.traces import Verdicts
from surefoot.ports.turn import Turns

if TYPE_CHECKING:
    from surefoot.ports.site import Site

__all__ = [
    "Answer",
    "Filed",
    "Finish",
    "Hooks",
    "Improver",
    "Model",
    "Notifier",
    "Ports",
    "ProposalState",
    "Question",
    "Store",
    "Tx",
    "Verdicts",
]


def _nowhere(folder: str) -> Site:
    raise Unavailable(f"nothing here works on the repository {folder}", hint="build the application with app.build")


def _speechless(name: str) -> Turns:
    raise Unavailable(f"nothing here talks as {name!r}", hint="build the application with app.build")


def _as_it_is(text: str) -> str:
    return text


def _as_they_are(slices: Mapping[str, str]) -> dict[str, str]:
    return dict(slices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything an engine verb may use: the store, the clock, fresh ids, and models and improvers by name.

    `notifiers` are the channels to people by name, `hooks` those to subscribers, `telemetry` is an observer outside;
    `people_needed` is the least number of people who must approve, and `people` says which person is behind a token's
    own name.
    `contradiction_judge` names the model that is asked about learned texts (empty = none).
    `site_at` gives the repository in a folder, with what works on it, `turns_named` what an improver talks to.
    `redact` gives a text as it may be stored, `redact_note` one of an operator or an improver, `redact_name` a name of
    a session, a person or a request, `redact_slices` the slices of one.
    """

    store: Store
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    model_named: Callable[[str], Model]
    improvers: Mapping[str, Improver]
    notifiers: Mapping[str, Notifier] = field(default_factory=dict[str, Notifier])
    hooks: Hooks = field(default_factory=NoHooks)
    telemetry: Telemetry = field(default_factory=Nobody)
    people_needed: int = 1
    people: Mapping[str, str] = field(default_factory=dict[str, str])
    contradiction_judge: str = ""
    site_at: Callable[[str], Site] = _nowhere
    turns_named: Callable[[str], Turns] = _speechless
    redact: Callable[[str], str] = _as_it_is
    redact_note: Callable[[str], str] = _as_it_is
    redact_name: Callable[[str], str] = _as_it_is
    redact_slices: Callable[[Mapping[str, str]], dict[str, str]] = _as_they_are

    def improver_named(self, name: str) -> Improver:
        """Give the improver with this name; NotFound lists those there are."""
        if name not in self.improvers:
            raise NotFound(f"there is no improver {name!r}", hint=f"there are {', '.join(sorted(self.improvers))}")
        return self.improvers[name]
