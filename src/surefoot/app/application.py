"""The application: settings in, a working Surefoot on one store out, with its doors."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from surefoot.adapters.identity import uuid7
from surefoot.adapters.store import SqlStore, open_store
from surefoot.adapters.turns import turns
from surefoot.app.channels import hooks, notifiers
from surefoot.app.improvers import improvers
from surefoot.app.models import models_by_name
from surefoot.app.sites import sites
from surefoot.config import Settings
from surefoot.core.errors import Forbidden, Invalid, NotFound, Unavailable
from surefoot.core.exported import ExportKind
from surefoot.core.reach import LOOPBACK, reach_of
from surefoot.core.retention import Retention
from surefoot.core.token import Token, hashed
from surefoot.engine.diagnose import Hearing
from surefoot.engine.verify import Walking
from surefoot.ports import Model, Ports
from surefoot.ports.telemetry import Nobody, Telemetry

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from surefoot.adapters.redactor import Redactor
    from surefoot.adapters.workshop import Workshop
    from surefoot.dashboard import Dashboard
    from surefoot.engine.admit import Admission
    from surefoot.engine.dispatch import Dispatching
    from surefoot.engine.durable import Durable
    from surefoot.gateway import Gateway
    from surefoot.ports.jobs import Launcher
    from surefoot.ports.prober import ProbeWriter

LEAST_CONNECTOR = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Surefoot on one store."""

    settings: Settings
    store: SqlStore
    ports: Ports
    walking: Walking
    hearing: Hearing

    def worker(self, *, poll_s: float = 0.2) -> Durable:
        """Give the workflow engine on this store, to be entered as an async context."""
        from surefoot.engine.durable import Durable  # DBOS takes a third of a second to import

        return Durable(self.ports, self.store.engine, poll_s=poll_s)

    def admission(self) -> Admission:
        """Give who may come in: the tokens of the settings and of the store, and how often they may ask."""
        from surefoot.engine.admit import Admission

        return Admission.from_settings(self.ports, self.settings)

    def api(
        self, *, loopback: bool, environ: Mapping[str, str] | None = None, admission: Admission | None = None,
        dispatching: Dispatching | None = None,
    ) -> FastAPI:  # fmt: skip
        """Give the REST API on this store; on loopback and without tokens anyone on this machine may look.

        Forbidden where others could reach it and there are no tokens.
        """
        from surefoot.api import Reception, build_api  # FastAPI takes longer to import than everything else

        here = os.environ if environ is None else environ
        closed = self.has_tokens()
        if not loopback and not closed:
            raise Forbidden(
                "the API has no tokens, and others than this machine could reach it",
                hint="surefoot token create NAME makes one; or serve on 127.0.0.1",
            )
        secret = here.get(self.settings.approvals.webhook_secret_env, "")
        return build_api(
            Reception(
                ports=self.ports, admission=admission or self.admission(), walking=self.walking, hearing=self.hearing,
                secret=secret,
                open_to_look=not closed,
                version=_version(), dispatching=dispatching, connector=_connector(self.settings, here),
                launcher=self.launcher(),
            )
        )  # fmt: skip

    def dashboard(self, *, behind: ASGIApp | None = None, admission: Admission | None = None) -> Dashboard:
        """Give the dashboard on this store, in front of another application or alone.

        Without tokens anyone on this machine may look; so it goes only where the API would go, which refuses the rest.
        """
        from surefoot.dashboard import Dashboard, House
        from surefoot.engine.follow import Following

        return Dashboard(House(
            ports=self.ports, admission=admission or self.admission(), following=Following(self.ports),
            walking=self.walking, hearing=self.hearing, launcher=self.launcher(),
            open_to_look=not self.has_tokens(), version=_version(),
        ), behind=behind)  # fmt: skip

    def dispatching(self, *, loopback: bool) -> Dispatching:
        """Give what sends to processes; they may be on this machine where the server itself is reached only from it."""
        from surefoot.adapters.nodes import Guard, HttpNode
        from surefoot.adapters.schemas import JsonSchemas
        from surefoot.engine.dispatch import Dispatching, Terms

        given = self.settings.processes
        allowed = (*given.allow_hosts, *(LOOPBACK if loopback else ()))
        guard = Guard(reach_of(allowed, setting="[processes] allow_hosts"))
        node = HttpNode(guard, probe_s=given.probe_s, most_bytes=given.most_bytes)
        return Dispatching(self.ports, node, Terms(
            ttl=timedelta(seconds=given.ttl_s), probe_every_s=given.probe_every_s, at_once=given.at_once,
            deadline=timedelta(seconds=given.deadline_s), most_waiting=given.waiting,
            drain_s=self.settings.serve.drain_s, wait_lease=timedelta(seconds=given.waiting_s),
        ), JsonSchemas() if given.schemas == "enforce" else None)  # fmt: skip

    def launcher(self) -> Launcher:
        """Give what begins the processes of jobs, and tells them to stop."""
        from surefoot.adapters.processes.launcher import ProcessLauncher

        return ProcessLauncher(self.settings.store)

    def has_tokens(self) -> bool:
        """Whether anybody has a token that is good."""
        now = self.ports.clock()
        return bool(self.settings.tokens) or self.store.read_now(
            lambda tx: any(one.state(now) == "good" for one in tx.tokens.standing())
        )

    def gateway(
        self, *, behind: ASGIApp | None = None, environ: Mapping[str, str] | None = None,
        admission: Admission | None = None,
    ) -> Gateway:  # fmt: skip
        """Give the OpenAI-compatible gateway on this store, in front of another application or alone.

        End it with `aclose`, which writes what is waiting.
        """
        from surefoot.adapters.otlp.packing import Packing
        from surefoot.adapters.store.recorder import GroupCommit
        from surefoot.adapters.upstreams.naming import upstreams
        from surefoot.adapters.upstreams.pool import Pool
        from surefoot.engine.forward import Forwarding, Terms
        from surefoot.engine.route import Routing
        from surefoot.engine.take import Taking
        from surefoot.gateway import Gateway, House, Manners

        here, given, pool = os.environ if environ is None else environ, self.settings.gateway, Pool()
        redactor = _redactor(self.settings, here)
        recorder = GroupCommit(self.store, most=given.queue, before=redactor.trace)
        named = upstreams(self.settings.models, here, pool, self.ports.model_named)
        admission = admission or self.admission()
        packing = Packing(redactor.text, redactor.name, redactor.label, redactor.suspect)

        async def end() -> None:
            await pool.aclose()
            await recorder.aclose()
            await admission.aclose()

        house = House(
            ports=self.ports, routing=Routing(self.ports, recorder), recorder=recorder, admission=admission,
            forwarding=Forwarding(named, fallback=given.fallback, terms=Terms(attempts=given.attempts)),
            redacted=redactor.found, taking=Taking(self.ports, recorder, packing, most_bytes=given.otlp_waiting_bytes),
            manners=Manners(
                deadline_s=given.deadline_s, most_bytes=given.max_body_bytes, render=given.render,
                renders=given.renders, most_otlp_bytes=given.otlp_bytes,
            ),
        )  # fmt: skip
        return Gateway(house, behind=behind, end=end)

    def inside(self) -> Inside:
        """Give the same gateway and API to a program of this process, under a token that lives as long as it does."""
        import secrets

        from surefoot.core.token import hashed
        from surefoot.engine.admit import Admission

        token = f"sf_{secrets.token_urlsafe(32)}"
        mine = Token(name="sdk", sha256=hashed(token), role="agent")
        admission = Admission(self.ports, (mine,))  # without rates, and nobody else can come in this way
        behind = self.api(loopback=True, admission=admission)
        return Inside(app=self, token=token, gateway=self.gateway(behind=behind, admission=admission))

    def workshop(self, *, limits: Mapping[str, int] | None = None) -> Workshop:
        """Give what evals need around a run; `limits` bounds the calls in flight by provider."""
        from surefoot.adapters.workshop import Workshop

        return Workshop(self.ports.model_named, limits=limits)

    def probe_writer(self, environ: Mapping[str, str] | None = None) -> ProbeWriter:
        """Give the model that writes probes, which is the improver's; NotFound where none is configured."""
        from surefoot.adapters.improvers.prober import ModelProber
        from surefoot.adapters.models.providers import endpoint_from

        if self.settings.improver_model is None:
            raise NotFound("no model is configured to write probes", hint="set improver_model, or leave --with-model")
        here = os.environ if environ is None else environ
        return ModelProber(endpoint_from(self.settings.improver_model, self.settings.models, here))

    @property
    def retention(self) -> Retention:
        """How long each kind of data is kept."""
        return Retention(**self.settings.retention.model_dump())

    def close(self) -> None:
        """Tell the observer outside what waits, and let go of the store."""
        self.ports.telemetry.close()
        self.store.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """A Surefoot inside a program: what answers its requests, and the token they carry."""

    app: App
    token: str
    gateway: Gateway

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Tell people what is due for as long as the block lasts, then write what waits and let go of the store."""
        from surefoot.engine.notify import delivering

        try:
            async with delivering(self.app.ports, every_s=5.0):
                yield
        finally:
            await self.gateway.aclose()
            self.app.close()


def _connector(settings: Settings, environ: Mapping[str, str]) -> Token | None:
    """The token of the connector's routes, which are there only where it is set."""
    given = settings.connector
    token = environ.get(given.token_env, "") if given.token_env else ""
    if token and len(token) < LEAST_CONNECTOR:
        raise Invalid(
            f"{given.token_env} holds {len(token)} characters, which can be guessed",
            hint=f"set it to {LEAST_CONNECTOR} random characters or more: openssl rand -hex 32",
        )
    role = "viewer" if given.read_only else "operator"
    return Token(name="connector", sha256=hashed(token), role=role) if token else None


def _redactor(settings: Settings, environ: Mapping[str, str]) -> Redactor:
    from surefoot.adapters.redactor import Redactor

    given, more = settings.redact, None
    if given.command:
        from surefoot.adapters.redact_command import RedactCommand

        more = RedactCommand(given.command, timeout_s=given.timeout_s, environ=environ)
    return Redactor(given.mode, settings.store.parent, environ, more=more)


def _telemetry(settings: Settings, environ: Mapping[str, str]) -> Telemetry:
    given = settings.export
    if given.otlp_endpoint is None:
        return Nobody()
    from surefoot.adapters.telemetry import OtlpTelemetry, Receiver, headers_in

    headers = headers_in(environ.get(given.headers_env, ""))
    receiver = Receiver(endpoint=given.otlp_endpoint, headers=headers, texts=given.texts)
    return OtlpTelemetry(receiver, _redactor(settings, environ).trace, most=given.queue, version=_version())


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
        settings.store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unavailable(
            f"the directory {settings.store.parent} cannot be made: {error.strerror}",
            hint="choose another place with --store or SUREFOOT_STORE",
        ) from error
    store = open_store(settings.store, durability=settings.durability)
    here = os.environ if environ is None else environ
    now = clock or (lambda: datetime.now(UTC))
    model_named = models_by_name(settings, here, models or {})
    redactor = _redactor(settings, here)
    ports = Ports(
        store=store,
        clock=now,
        new_id=new_id or uuid7,
        model_named=model_named,
        improvers=improvers(settings, here, model_named),
        notifiers=notifiers(settings, here, now),
        hooks=hooks(settings, here, now),
        people_needed=settings.approvals.people_needed,
        people={name: one.person for name, one in settings.tokens.items() if one.person},
        contradiction_judge=settings.contradiction_judge or "",
        site_at=sites(settings, here),
        turns_named=turns(settings.models, here, model_named, settings.improver_model or ""),
        telemetry=_telemetry(settings, here),
        redact=redactor.text,
        redact_note=redactor.note,
        redact_name=redactor.name,
        redact_slices=redactor.slices,
    )
    return App(settings=settings, store=store, ports=ports, walking=Walking(ports), hearing=Hearing())


def parquet_file(
    out: Path, kind: ExportKind
) -> AbstractContextManager[Callable[[Sequence[Mapping[str, object]]], None]]:
    """Open a Parquet file for the rows of an export; Unavailable where pyarrow is not installed."""
    from surefoot.adapters.formats.parquet import parquet_file as opened

    return opened(out, kind)
