"""The small Protocols that the engine needs, and nothing else about the outside world.

Adapters implement them without knowing the engine; `app.build` is where the two meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surefoot.core.errors import NotFound
from surefoot.ports.improver import Improver
from surefoot.ports.model import Answer, Finish, Model, Question
from surefoot.ports.notifier import Notifier
from surefoot.ports.store import Filed, ProposalState, Store, Tx, Verdicts

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
    "Store",
    "Tx",
    "Verdicts",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything an engine verb may use: the store, the clock, fresh ids, and models and improvers by name.

    `notifiers` are the channels to people by name; `people_needed` is the least number of people who must approve.
    """

    store: Store
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    model_named: Callable[[str], Model]
    improvers: Mapping[str, Improver]
    notifiers: Mapping[str, Notifier] = field(default_factory=dict[str, Notifier])
    people_needed: int = 1

    def improver_named(self, name: str) -> Improver:
        """Give the improver with this name; NotFound lists those there are."""
        if name not in self.improvers:
            raise NotFound(f"there is no improver {name!r}", hint=f"there are {', '.join(sorted(self.improvers))}")
        return self.improvers[name]
