"""Settings: `surefoot.toml` beside you, overridden by the environment, frozen.

Unknown keys are refused by name, because a setting that is silently ignored is worse than none. Every key is
documented in docs/reference/configuration.md (a test compares).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
        tuple[str, ...], Field(description="hosts or addresses that a webhook may reach although they are not public")
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
        Literal["viewer", "agent", "reviewer", "operator", "admin"], Field(description="what it may do")
    ] = "viewer"
    agents: Annotated[tuple[str, ...], Field(description="the agents it is good for; none listed is all")] = ()


class Settings(_Section):
    """Everything that can be set."""

    store: Annotated[Path, Field(description="where the store is; SUREFOOT_STORE overrides it")] = DEFAULT_STORE
    durability: Annotated[
        Literal["normal", "full"], Field(description="`full` survives power loss, at a disk flush per write")
    ] = "normal"
    improver_model: Annotated[
        str | None, Field(description="the model that the `reflect` improver uses, by its name under [models]")
    ] = None
    models: Annotated[dict[str, ModelSettings], Field(description="OpenAI-compatible endpoints by name")] = Field(
        default_factory=dict[str, ModelSettings]
    )
    notify: Annotated[NotifySettings, Field(description="how people are told")] = NotifySettings()
    approvals: Annotated[ApprovalSettings, Field(description="how people decide")] = ApprovalSettings()
    tokens: Annotated[dict[str, TokenSettings], Field(description="who may use the API")] = Field(
        default_factory=dict[str, TokenSettings]
    )


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
