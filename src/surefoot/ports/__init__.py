"""The small Protocols that the engine needs, and nothing else about the outside world.

Adapters implement them without knowing the engine; `app.build` is where the two meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surefoot.core.errors import NotFound, Unavailable
from surefoot.ports.filed import Filed, ProposalState
from surefoot.ports.improver import Improver
from surefoot.ports.model import Answer, Finish, Model, Question
from surefoot.ports.notifier import Notifier
from surefoot.ports.site import Site
from surefoot.ports.store import Store, Tx, Verdicts

__all__ = [
    "Answer",
    "Filed",
    "Finish",
    "Improver",
    "Model",
    "Notifier",
    "Ports",
    "ProposalState",
    "Question",
    "Site",
    "Store",
    "Tx",
    "Verdicts",
]


def _nowhere(folder: str) -> Site:
    raise Unavailable(f"nothing here works on the repository {folder}", hint="build the application with app.build")


def _as_it_is(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything an engine verb may use: the store, the clock, fresh ids, and models and improvers by name.

    `notifiers` are the channels to people by name; `people_needed` is the least number of people who must approve.
    `contradiction_judge` names the model that is asked about learned texts (empty = none).
    `site_at` gives the repository in a folder, with what works on it. `redact`
    gives a text as it may be stored.
    """

    store: Store
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    model_named: Callable[[str], Model]
    improvers: Mapping[str, Improver]
    notifiers: Mapping[str, Notifier] = field(default_factory=dict[str, Notifier])
    people_needed: int = 1
    contradiction_judge: str = ""
    site_at: Callable[[str], Site] = _nowhere
    redact: Callable[[str], str] = _as_it_is

    def improver_named(self, name: str) -> Improver:
        """Give the improver with this name; NotFound lists those there are."""
        if name not in self.improvers:
            raise NotFound(f"there is no improver {name!r}", hint=f"there are {', '.join(sorted(self.improvers))}")
        return self.improvers[name]
