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
from surefoot.config import ImproverSettings, Settings
from surefoot.core.errors import Forbidden, NotFound, Unavailable
from surefoot.core.repo.settings import AgentChoice, given
from surefoot.core.token import Token
from surefoot.ports import Improver, Model, Notifier, Ports, Site
from surefoot.ports.repository import CodingAgent

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from surefoot.adapters.redactor import Redactor
    from surefoot.adapters.workshop import Workshop
    from surefoot.engine.durable import Durable
    from surefoot.gateway import Gateway
    from surefoot.ports.prober import ProbeWriter

OWN_IMPROVERS = ("lexical", "reflect", "gepa")


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
        tokens = self._tokens()
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

    def gateway(self, *, behind: ASGIApp | None = None, environ: Mapping[str, str] | None = None) -> Gateway:
        """Give the OpenAI-compatible gateway on this store, in front of another application or alone.

        End it with `aclose`, which writes what is waiting.
        """
        from surefoot.adapters.store.recorder import GroupCommit
        from surefoot.adapters.upstreams.http import Pool
        from surefoot.adapters.upstreams.naming import upstreams
        from surefoot.engine.forward import Forwarding, Terms
        from surefoot.engine.route import Routing
        from surefoot.gateway import Gateway, House, Manners

        here, given, pool = os.environ if environ is None else environ, self.settings.gateway, Pool()
        redactor = _redactor(self.settings, here)
        recorder = GroupCommit(self.store, most=given.queue, before=redactor.trace)
        named = upstreams(self.settings.models, here, pool, self.ports.model_named)

        async def end() -> None:
            await pool.aclose()
            await recorder.aclose()

        house = House(
            ports=self.ports, routing=Routing(self.ports, recorder), recorder=recorder, tokens=self._tokens(),
            forwarding=Forwarding(named, fallback=given.fallback, terms=Terms(attempts=given.attempts)),
            manners=Manners(
                deadline_s=given.deadline_s, most_bytes=given.max_body_bytes, render=given.render, renders=given.renders
            ),
        )  # fmt: skip
        return Gateway(house, behind=behind, end=end)

    def _tokens(self) -> tuple[Token, ...]:
        return tuple(
            Token(name=name, sha256=one.sha256, role=one.role, agents=one.agents)
            for name, one in self.settings.tokens.items()
        )

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

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()


def _redactor(settings: Settings, environ: Mapping[str, str]) -> Redactor:
    from surefoot.adapters.redactor import Redactor

    return Redactor(settings.redact, settings.store.parent, environ)


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
    model_named = _models(settings, here, models or {})
    ports = Ports(
        store=store,
        clock=now,
        new_id=new_id or uuid7,
        model_named=model_named,
        improvers=_improvers(settings, here, model_named),
        notifiers=_notifiers(settings, here, now),
        people_needed=settings.approvals.people_needed,
        contradiction_judge=settings.contradiction_judge or "",
        site_at=_sites(settings, here),
        redact=_redactor(settings, here).text,
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


def _sites(settings: Settings, environ: Mapping[str, str]) -> Callable[[str], Site]:
    """Repositories by folder; worktrees lie outside of them, where no tool finds a person's files by walking up."""

    @cache
    def at(folder: str) -> Site:
        from surefoot.adapters.gates import GateRunner
        from surefoot.adapters.papers import FolderPapers
        from surefoot.adapters.vcs import GitRepository

        home = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", ".")) / ".cache")
        git = GitRepository(folder, scratch=Path(home) / "surefoot")
        top = Path(git.facts().top)
        logs = settings.store.absolute().parent / "logs" / top.name
        return Site(
            folder=folder, git=git, papers=FolderPapers(top), gates=GateRunner(environ=environ),
            agent=lambda choice: coding_agent(choice, environ), logs=str(logs),
        )  # fmt: skip

    return at


def coding_agent(choice: AgentChoice, environ: Mapping[str, str]) -> CodingAgent:
    """Give a coding agent by name, with the variables it may have: those of its own keys, and those that are named."""
    from surefoot.adapters.coding_agents import AnyCommand, Claude, Codex, Gemini

    keys = {
        "claude": ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"), "codex": ("CODEX_API_KEY", "OPENAI_API_KEY"),
        "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    }  # fmt: skip
    env = given(environ, (*keys.get(choice.name, ()), *choice.env))
    if choice.name == "command":
        return AnyCommand(choice.argv, env=env)
    made = {"claude": Claude, "codex": Codex, "gemini": Gemini}[choice.name]
    return made(model=choice.model, env=env)


def git_version() -> str:
    """Give git's version, or nothing if it cannot be run."""
    from surefoot.adapters.vcs import git_usable

    return git_usable()


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


def _improvers(
    settings: Settings, environ: Mapping[str, str], model_named: Callable[[str], Model]
) -> Mapping[str, Improver]:  # fmt: skip
    own: dict[str, Improver] = {"lexical": LexicalImprover(), **_model_improvers(settings, environ, model_named)}
    return {**_outside_improvers(settings, environ), **own}


def _model_improvers(
    settings: Settings, environ: Mapping[str, str], model_named: Callable[[str], Model]
) -> Mapping[str, Improver]:  # fmt: skip
    """The improvers that write with a model, once there is one for them."""
    if settings.improver_model is None:
        return {}
    from surefoot.adapters.improvers.gepa import Gepa
    from surefoot.adapters.improvers.reflect import Reflect
    from surefoot.adapters.models.providers import endpoint_from

    try:
        endpoint = endpoint_from(settings.improver_model, settings.models, environ)
    except NotFound as problem:
        raise NotFound(f"improver_model: {problem.message}", hint=problem.hint) from None
    return {"reflect": Reflect(endpoint), "gepa": Gepa(endpoint, model_named)}


def _outside_improvers(settings: Settings, environ: Mapping[str, str]) -> Mapping[str, Improver]:
    """The improvers that other packages offer, each to be run in a process of its own."""
    from surefoot.adapters.improvers.outside import Outside, Terms, found, problem_of

    offered, made = found(), dict[str, Improver]()
    for one in offered:
        chosen = settings.improvers.get(one.name, ImproverSettings())
        terms = Terms(
            env={name: environ[name] for name in chosen.env if name in environ}, ports=chosen.ports,
            timeout_s=chosen.timeout_s, memory_mb=chosen.memory_mb, required=chosen.sandbox == "required",
        )  # fmt: skip
        if not problem_of(one, offered, OWN_IMPROVERS):
            made[one.name] = Outside(one, terms, store=settings.store)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing that `doctor` tells about the improvers of other packages."""

    name: str
    detail: str
    hint: str = ""


async def outside_improvers(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Said]:
    """Tell how every improver is that another package offers or the settings name, and which walls stand around it."""
    from surefoot.adapters.improvers.outside import found, problem_of, walls

    offered, here = found(), os.environ if environ is None else environ
    said = [
        Said(name=f"improver {one.name}", detail=f"{one.entry} of the package {one.package}", hint=problem_of(
            one, offered, OWN_IMPROVERS
        )) for one in offered
    ]  # fmt: skip
    known = {one.name for one in offered}
    for name, chosen in settings.improvers.items():
        if name not in known:
            said.append(Said(name=f"improver {name}", detail="no package offers it",
                             hint=f"install its package, or remove [improvers.{name}]"))  # fmt: skip
        if missing := [variable for variable in chosen.env if not here.get(variable)]:
            said.append(Said(name=f"improver {name}", detail=f"its variable {missing[0]} is not set"))
    if said:
        up = await walls(settings.store)
        told = ", ".join(f"{name} {f'missing ({why})' if why else 'stands'}" for name, why in up.items())
        said.append(Said(name="walls around improvers", detail=told))
    return said
