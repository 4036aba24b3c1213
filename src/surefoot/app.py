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
from surefoot.core.errors import Forbidden, NotFound, Unavailable
from surefoot.core.token import Token
from surefoot.ports import Improver, Model, Notifier, Ports

if TYPE_CHECKING:
    from fastapi import FastAPI

    from surefoot.adapters.workshop import Workshop
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

    def api(self, *, loopback: bool, environ: Mapping[str, str] | None = None) -> FastAPI:
        """Give the REST API on this store; on loopback and without tokens anyone on this machine may look.

        Forbidden where others could reach it and there are no tokens.
        """
        from surefoot.api import Reception, build_api  # FastAPI takes longer to import than everything else

        here = os.environ if environ is None else environ
        tokens = tuple(
            Token(name=name, sha256=one.sha256, role=one.role, agents=one.agents)
            for name, one in self.settings.tokens.items()
        )
        if not loopback and not tokens:
            raise Forbidden(
                "the API has no tokens, and others than this machine could reach it",
                hint="surefoot token NAME makes one; or serve on 127.0.0.1",
            )
        secret = here.get(self.settings.approvals.webhook_secret_env, "")
        return build_api(
            Reception(
                ports=self.ports, tokens=tokens, secret=secret, open_to_look=not tokens, version=_version()
            )
        )  # fmt: skip

    def workshop(self, *, limits: Mapping[str, int] | None = None) -> Workshop:
        """Give what evals need around a run; `limits` bounds the calls in flight by provider."""
        from surefoot.adapters.workshop import Workshop

        return Workshop(self.ports.model_named, limits=limits)

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("surefoot")
    except PackageNotFoundError:
        return "0+source"


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
    now = clock or (lambda: datetime.now(UTC))
    ports = Ports(
        store=store,
        clock=now,
        new_id=new_id or uuid7,
        model_named=_models(settings, here, models or {}),
        improvers=_improvers(settings, here),
        notifiers=_notifiers(settings, here, now),
        people_needed=settings.approvals.people_needed,
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


def _notifiers(
    settings: Settings, environ: Mapping[str, str], clock: Callable[[], datetime]
) -> Mapping[str, Notifier]:  # fmt: skip
    """The channels that are set up; one that is set up wrongly fails when it is used, and shows in the outbox."""
    given, channels = settings.notify, dict[str, Notifier]()
    if given.terminal:
        from surefoot.adapters.notify.terminal import Terminal

        channels["terminal"] = Terminal()
    if given.email_command:
        from surefoot.adapters.notify.email_command import EmailCommand

        channels["email_command"] = EmailCommand(given.email_command, environ=environ)
    if given.webhook_url:
        from surefoot.adapters.notify.webhook import Webhook

        channels["webhook"] = Webhook(
            given.webhook_url, environ.get(given.webhook_secret_env, ""), clock=clock,
            allow_private_hosts=given.allow_private_hosts,
        )  # fmt: skip
    return channels


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
