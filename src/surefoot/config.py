"""Settings: `surefoot.toml` beside you, overridden by the environment, frozen.

Unknown keys are refused by name, because a setting that is silently ignored is worse than none. Every key is
documented in docs/reference/configuration.md (a test compares).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from surefoot.core.errors import Invalid

FILE = "surefoot.toml"
DEFAULT_STORE = Path(".surefoot/surefoot.db")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Section):
    """One OpenAI-compatible endpoint under `[models.NAME]`; prices are USD per million tokens."""

    model: Annotated[str, Field(description="the model's name at the endpoint")]
    base_url: Annotated[str | None, Field(description="the endpoint, such as http://127.0.0.1:8000/v1")] = None
    api_key_env: Annotated[str | None, Field(description="the environment variable that holds the key")] = None
    price_in: Annotated[float | None, Field(ge=0, description="USD per million prompt tokens")] = None
    price_out: Annotated[float | None, Field(ge=0, description="USD per million completion tokens")] = None
    max_tokens: Annotated[int, Field(ge=1, description="the longest answer, in tokens")] = 512
    timeout_s: Annotated[float, Field(gt=0, description="the deadline of one answer, retries included")] = 60.0


class NotifySettings(_Section):
    """How people are told, under `[notify]`."""

    webhook_url: Annotated[str | None, Field(description="the address that every notice is posted to, signed")] = None
    webhook_secret_env: Annotated[
        str, Field(description="the environment variable that holds the secret of outgoing webhooks")
    ] = "SUREFOOT_WEBHOOK_SECRET"  # noqa: S105  its name
    email_command: Annotated[
        tuple[str, ...], Field(description="a program and its arguments; the text comes on its standard input")
    ] = ()
    allow_private_hosts: Annotated[
        tuple[str, ...],
        Field(description="hosts, addresses or networks that a webhook may reach although they are not public"),
    ] = ()
    terminal: Annotated[bool, Field(description="one line on standard error of the process that delivers")] = True


class ApprovalSettings(_Section):
    """How people decide, under `[approvals]`."""

    people_needed: Annotated[
        int, Field(ge=1, le=9, description="the least number of different people who must approve")
    ] = 1
    webhook_secret_env: Annotated[
        str, Field(description="the environment variable that holds the secret of decisions that come by webhook")
    ] = "SUREFOOT_APPROVAL_SECRET"  # noqa: S105  its name


class TokenSettings(_Section):
    """One person or program under `[tokens.NAME]`; `surefoot token NAME` makes the lines."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="the SHA-256 of the token, never the token")]
    role: Annotated[
        Literal["viewer", "agent", "improver", "reviewer", "operator", "admin"], Field(description="what it may do")
    ] = "viewer"
    agents: Annotated[tuple[str, ...], Field(description="the agents it is good for; none listed is all")] = ()
    person: Annotated[str, Field(max_length=200, description="whose it is, where that is not its own name")] = ""


def _harmless(name: str) -> str:
    """Refuse variables that steer a process rather than inform it, or that are ours."""
    if name.startswith(("SUREFOOT_", "LD_", "DYLD_", "PYTHON")):
        raise ValueError(f"{name} is not handed to an improver")
    return name


class ImproverSettings(_Section):
    """What an improver of another package may do, under `[improvers.NAME]`."""

    env: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_harmless)], ...],
        Field(description="the environment variables that it gets, such as the one with its own model key"),
    ] = ()
    ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...],
        Field(description="the TCP ports that it may connect to; none is no network"),
    ] = ()
    timeout_s: Annotated[float, Field(gt=0, le=3600, description="the deadline of one proposal, in seconds")] = 120.0
    memory_mb: Annotated[int, Field(ge=64, description="the most memory that it may use, in megabytes")] = 1024
    sandbox: Annotated[
        Literal["available", "required"],
        Field(description="`required` does not run it unless every wall stands; `surefoot doctor` names the walls"),
    ] = "available"


class GatewaySettings(_Section):
    """How apps are served through the OpenAI-compatible door, under `[gateway]`."""

    render: Annotated[
        Literal["replace", "prepend", "none"],
        Field(description="what becomes of an app's own system messages when the version's prompt goes in front"),
    ] = "replace"
    renders: Annotated[
        dict[str, Literal["replace", "prepend", "none"]], Field(description="the same for single agents, by name")
    ] = Field(default_factory=dict[str, Literal["replace", "prepend", "none"]])
    deadline_s: Annotated[
        float, Field(gt=0, le=3600, description="the time to a whole answer, or between two pieces of a stream")
    ] = 120.0
    attempts: Annotated[
        int, Field(ge=1, le=10, description="how often an upstream is asked while it cannot answer")
    ] = 3
    fallback: Annotated[
        dict[str, tuple[str, ...]],
        Field(description="the models under [models] that stand in for one that does not answer, by its name"),
    ] = Field(default_factory=dict[str, tuple[str, ...]])
    max_body_bytes: Annotated[int, Field(ge=1024, description="the longest request that is read")] = 8 * 1024 * 1024
    queue: Annotated[int, Field(ge=1, description="how many traces may wait to be written")] = 10_000
    otlp_bytes: Annotated[
        int, Field(ge=1024, description="the longest request of OpenTelemetry that is read, unpacked")
    ] = 32 * 1024 * 1024
    otlp_waiting_bytes: Annotated[
        int, Field(ge=1024, description="how many bytes of such requests may be read or wait to be written at once")
    ] = 96 * 1024 * 1024


class ProcessSettings(_Section):
    """How versions that are processes are treated, under `[processes]`."""

    ttl_s: Annotated[float, Field(ge=1, le=86_400, description="how long a heartbeat counts")] = 300.0
    probe_every_s: Annotated[float, Field(gt=0, le=3600, description="how often each is asked how it is")] = 5.0
    probe_s: Annotated[float, Field(gt=0, le=60, description="the time in which it has to answer that")] = 2.0
    deadline_s: Annotated[
        float, Field(gt=0, le=86_400, description="the time to the end of an execution, where its caller names none")
    ] = 120.0
    waiting_s: Annotated[
        float, Field(gt=0, le=86_400, description="how long an execution is believed that it waits, for no person")
    ] = 3600.0
    at_once: Annotated[
        int, Field(ge=1, le=10_000, description="how many executions a worker sends at once, and how many callers wait")
    ] = 64
    waiting: Annotated[int, Field(ge=1, description="how many executions may wait to be sent")] = 1_000
    most_bytes: Annotated[int, Field(ge=1024, description="the longest result that is read")] = 1024 * 1024
    schemas: Annotated[
        Literal["enforce", "show"],
        Field(description="whether inputs and results are held to the schemas that processes register"),
    ] = "enforce"
    allow_hosts: Annotated[
        tuple[str, ...],
        Field(description="hosts, addresses or networks that are not public, and where processes may be all the same"),
    ] = ()


class ConnectorSettings(_Section):
    """The routes of a connector, under `[connector]`."""

    token_env: Annotated[
        str,
        Field(description="the environment variable of its token (32 characters or more); without it, no connector"),
    ] = ""
    read_only: Annotated[bool, Field(description="whether it may only list, and set no weight")] = False


class ExportSettings(_Section):
    """Who else is told what was answered and judged, under `[export]`."""

    otlp_endpoint: Annotated[
        str | None, Field(description="a receiver of OTLP over HTTP, such as http://127.0.0.1:4318")
    ] = None
    headers_env: Annotated[
        str, Field(description="the environment variable that holds its headers, as `name=value,name=value`")
    ] = "SUREFOOT_OTLP_HEADERS"
    texts: Annotated[bool, Field(description="whether the texts of requests go along, redacted")] = False
    queue: Annotated[int, Field(ge=1, description="how many answers and verdicts may wait to be sent")] = 4_096


class ServeSettings(_Section):
    """How the server treats those who come to it, under `[serve]`; each worker counts for itself."""

    trusted_proxies: Annotated[
        tuple[str, ...], Field(description="addresses of proxies whose X-Forwarded-For and -Proto are believed")
    ] = ()
    token_per_s: Annotated[float | None, Field(gt=0, description="how many requests a token may make a second")] = None
    address_per_s: Annotated[
        float | None, Field(gt=0, description="how many requests may come from an address a second")
    ] = None
    burst_s: Annotated[
        float, Field(gt=0, le=3600, description="how many seconds' worth of requests may come at once")
    ] = 2.0
    connections: Annotated[int, Field(ge=1, le=60_000, description="how many connections a worker holds")] = 1_000
    body_memory: Annotated[
        int, Field(ge=1024 * 1024, description="how many bytes of bodies a worker holds at once")
    ] = 64 * 1024 * 1024
    head_s: Annotated[float, Field(gt=0, le=600, description="the time in which a request's head has to be there")] = 10
    idle_s: Annotated[
        float, Field(gt=0, le=3600, description="how long a client may leave off sending a body, or reading an answer")
    ] = 30
    drain_s: Annotated[
        float, Field(ge=0, le=3600, description="how long requests in flight may go on after the signal to end")
    ] = 30
    leave_s: Annotated[
        float, Field(ge=0, le=600, description="how long `/ready` says no before no more connections are taken")
    ] = 0


class LogSettings(_Section):
    """What the server writes down of itself, under `[log]`."""

    file: Annotated[
        str, Field(description="the file, beside the store; `-1` and so on stand before its ending; `stderr` is none")
    ] = "logs/server.jsonl"
    format: Annotated[Literal["json", "text"], Field(description="one JSON object a line, or text")] = "json"
    level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="what is left out below")] = "info"
    rotate: Annotated[
        int, Field(ge=4096, description="at how many bytes a file is put aside; three older ones are kept")
    ] = 10 * 1024 * 1024
    access: Annotated[
        float,
        Field(ge=0, le=1, description="which share of good answers is written down; 0 is none, errors are always"),
    ] = 0.0


Days = Annotated[float | None, Field(gt=0, le=36_600)]


class RetentionSettings(_Section):
    """How many days each kind of data is kept, under `[retention]`; what is not set is kept for ever."""

    traces_days: Annotated[Days, Field(description="requests, with outcomes, failures and spans")] = None
    spans_days: Annotated[Days, Field(description="spans")] = None
    memory_days: Annotated[Days, Field(description="memory of sessions and workflows, by its last write")] = None
    evals_days: Annotated[Days, Field(description="ended eval runs that no person labelled")] = None
    notices_days: Annotated[Days, Field(description="notices that were delivered, or given up")] = None
    pauses_days: Annotated[Days, Field(description="waits of programs that were decided, or expired")] = None
    jobs_days: Annotated[Days, Field(description="long work that has ended, with what it answered")] = None


class RedactSettings(_Section):
    """What is taken out of texts before they are stored: `redact = "typed"`, or a table `[redact]`."""

    mode: Annotated[
        Literal["typed", "hash", "off"],
        Field(description="what is stored of keys, addresses and numbers: placeholders; `hash` keeps no text"),
    ] = "typed"
    command: Annotated[
        tuple[str, ...],
        Field(description="a program that finds more, such as names: a JSON object a line in, and one out"),
    ] = ()
    timeout_s: Annotated[float, Field(gt=0, le=60, description="the time it has for one text")] = 5.0


def _as_table(value: object) -> object:
    return {"mode": value} if isinstance(value, str) else value


class Settings(_Section):
    """Everything that can be set."""

    store: Annotated[Path, Field(description="where the store is; SUREFOOT_STORE overrides it")] = DEFAULT_STORE
    durability: Annotated[
        Literal["normal", "full"], Field(description="`full` survives power loss, at a disk flush per write")
    ] = "normal"
    improver_model: Annotated[
        str | None,
        Field(description="the model that the improvers reflect and gepa write with, by its name under [models]"),
    ] = None
    contradiction_judge: Annotated[
        str | None,
        Field(
            description="the model that is asked whether a learned text contradicts the fixed rules; may only refuse"
        ),
    ] = None
    models: Annotated[dict[str, ModelSettings], Field(description="OpenAI-compatible endpoints by name")] = Field(
        default_factory=dict[str, ModelSettings]
    )
    improvers: Annotated[
        dict[str, ImproverSettings], Field(description="what improvers of other packages may do, by name")
    ] = Field(default_factory=dict[str, ImproverSettings])
    notify: Annotated[NotifySettings, Field(description="how people are told")] = NotifySettings()
    approvals: Annotated[ApprovalSettings, Field(description="how people decide")] = ApprovalSettings()
    tokens: Annotated[dict[str, TokenSettings], Field(description="who may use the API")] = Field(
        default_factory=dict[str, TokenSettings]
    )
    gateway: Annotated[GatewaySettings, Field(description="how apps are served")] = GatewaySettings()
    export: Annotated[ExportSettings, Field(description="who else is told what was answered")] = ExportSettings()
    serve: Annotated[ServeSettings, Field(description="how the server treats who comes to it")] = ServeSettings()
    processes: Annotated[ProcessSettings, Field(description="how versions that are processes are treated")] = (
        ProcessSettings()
    )
    connector: Annotated[ConnectorSettings, Field(description="the routes of a connector")] = ConnectorSettings()
    log: Annotated[LogSettings, Field(description="what the server writes down of itself")] = LogSettings()
    retention: Annotated[RetentionSettings, Field(description="how long data is kept")] = RetentionSettings()
    redact: Annotated[
        RedactSettings,
        BeforeValidator(_as_table),
        Field(description="what is taken out of texts before they are stored"),
    ] = RedactSettings()
    repo: Annotated[
        dict[str, Any], Field(description="the loop on the repository that this file lies in; see [repo]")
    ] = Field(default_factory=dict[str, Any])


def settings(directory: Path, environ: Mapping[str, str], *, store: Path | None = None) -> Settings:
    """Read the settings that hold in `directory`; Invalid names the file and the key that is wrong."""
    path = directory / FILE
    document: dict[str, Any] = {}
    if path.exists():
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"{path} cannot be read: {error}", hint="mend the line it names") from None
    if chosen := store or environ.get("SUREFOOT_STORE"):
        document["store"] = str(chosen)
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(
            f"{path}: {where}: {first['msg']}", hint="docs/reference/configuration.md lists the keys"
        ) from None
