"""The only place where adapters meet the engine: settings in, a working Surefoot out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from surefoot.adapters.identity import uuid7
from surefoot.adapters.improvers.lexical import LexicalImprover
from surefoot.adapters.models.local_lexical import LocalLexical
from surefoot.adapters.store import SqlStore, open_store
from surefoot.config import Settings
from surefoot.core.errors import NotFound, Unavailable
from surefoot.ports import Improver, Model, Ports

if TYPE_CHECKING:
    from surefoot.engine.durable import Durable


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Surefoot on one store."""

    settings: Settings
    store: SqlStore
    ports: Ports

    def worker(self, *, poll_s: float = 0.2) -> Durable:
        """Give the workflow engine on this store, to be entered as an async context."""
        from surefoot.engine.durable import Durable  # DBOS takes a third of a second to import

        return Durable(self.ports, self.store.engine, poll_s=poll_s)

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()


def build(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Callable[[], datetime] | None = None,
    new_id: Callable[[], str] | None = None,
    models: Mapping[str, Model] | None = None,
) -> App:
    """Open the store and put everything together; `clock`, `new_id` and `models` may be scripted.

    Raises Unavailable when the store cannot be opened.
    """
    try:
        settings.store.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the directory {settings.store.parent} cannot be made: {error.strerror}",
            hint="choose another place with --store or SUREFOOT_STORE",
        ) from error
    store = open_store(settings.store, durability=settings.durability)
    here = os.environ if environ is None else environ
    ports = Ports(
        store=store,
        clock=clock or (lambda: datetime.now(UTC)),
        new_id=new_id or uuid7,
        model_named=_models(settings, here, models or {}),
        improvers=_improvers(settings, here),
    )
    return App(settings=settings, store=store, ports=ports)


def _models(settings: Settings, environ: Mapping[str, str], scripted: Mapping[str, Model]) -> Callable[[str], Model]:
    @cache
    def named(name: str) -> Model:
        if name in scripted:
            return scripted[name]
        if name == "local-lexical":
            return LocalLexical()
        if name.startswith("replay:"):
            from surefoot.adapters.models.replay import Replay, load_recordings

            return Replay(load_recordings(Path(name.removeprefix("replay:"))))
        from surefoot.adapters.models.providers import ProviderModel, endpoint_from

        return ProviderModel(endpoint_from(name, settings.models, environ))

    return named


def _improvers(settings: Settings, environ: Mapping[str, str]) -> Mapping[str, Improver]:
    lexical = LexicalImprover()
    if settings.improver_model is None:
        return {lexical.name: lexical}
    from surefoot.adapters.improvers.reflect import Reflect
    from surefoot.adapters.models.providers import endpoint_from

    try:
        reflect = Reflect(endpoint_from(settings.improver_model, settings.models, environ))
    except NotFound as problem:
        raise NotFound(f"improver_model: {problem.message}", hint=problem.hint) from None
    return {lexical.name: lexical, reflect.name: reflect}
