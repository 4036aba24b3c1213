"""An endpoint: where a model answers, under which name, with whose key and at what price.

Read once, from the table `[models.NAME]` of the settings or from the short form `openai:MODEL`, before anything is
asked. A key comes only from the environment variable that the settings name (the short form names OPENAI_API_KEY),
so a key that merely lies around is never used; and no text of ours repeats it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from surefoot.core.errors import Invalid, NotFound

if TYPE_CHECKING:  # pydantic takes longer to import than everything else here
    from surefoot.config import ModelSettings

OPENAI = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
OPENAI_URL = "OPENAI_BASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One model behind an OpenAI-compatible door; prices are USD per million tokens, None = look in the price list.

    `api_key_env` names the variable that `api_key` came from, for messages. `max_tokens` bounds an answer where the
    genome sets no bound of its own; `timeout_s` is the deadline of one answer, retries included.
    """

    name: str
    model: str
    base_url: str = OPENAI
    api_key: str = field(default="", repr=False)
    api_key_env: str = ""
    price_in_usd_per_mtok: float | None = None
    price_out_usd_per_mtok: float | None = None
    max_tokens: int = 512
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        _check_address(self.name, self.base_url)
        if (self.price_in_usd_per_mtok is None) != (self.price_out_usd_per_mtok is None):
            raise Invalid(
                f"the model {self.name!r} has one price of two",
                hint=f"set price_in and price_out under [models.{self.name}], or neither",
            )

    @property
    def host(self) -> str:
        """The host name alone."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI itself."""
        return self.host == urlsplit(OPENAI).hostname

    @property
    def bound_name(self) -> str:
        """The field that bounds an answer; only OpenAI itself has renamed it, and others may ignore the new name."""
        return "max_completion_tokens" if self.is_openai else "max_tokens"

    @property
    def pinned_name(self) -> str:
        """What tells its answers from those of any other endpoint: model, address and bound."""
        parts = urlsplit(self.base_url)
        return f"{self.model}@{parts.netloc}{parts.path.rstrip('/')}#{self.max_tokens}"

    def check_key(self) -> None:
        """Raise Invalid if a key is named but not there."""
        if self.api_key_env and not self.api_key:
            raise Invalid(
                f"the key of the model {self.name!r} is missing: the variable {self.api_key_env} is not set",
                hint=f"set {self.api_key_env}, or choose another model",
            )

    def without_key(self, text: str) -> str:
        """Give `text` with the key blotted out, should somebody have repeated it."""
        return text.replace(self.api_key, "[key]") if self.api_key else text


def endpoint_from(spec: str, settings: Mapping[str, ModelSettings], environ: Mapping[str, str]) -> Endpoint:
    """Give the endpoint called `spec`: a name under `[models]`, or `openai:MODEL`.

    NotFound lists the names there are; Invalid says what is wrong with the address, the key's variable or the prices.
    A key that is missing is no error yet: whoever asks the model says so.
    """
    if spec in settings:
        return _configured(spec, settings[spec], environ)
    kind, _, model = spec.partition(":")
    if kind == "openai" and model.strip():
        return _openai(spec, model.strip(), environ)
    known = ", ".join([*sorted(settings), "openai:MODEL"])
    raise NotFound(f"there is no model {spec!r}", hint=f"there are {known}; add others under [models] in surefoot.toml")


def _configured(name: str, own: ModelSettings, environ: Mapping[str, str]) -> Endpoint:
    return Endpoint(
        name=name, model=own.model, base_url=own.base_url or OPENAI, api_key_env=own.api_key_env or "",
        api_key=_key(own.api_key_env or "", environ), price_in_usd_per_mtok=own.price_in,
        price_out_usd_per_mtok=own.price_out, max_tokens=own.max_tokens, timeout_s=own.timeout_s,
    )  # fmt: skip


def _openai(spec: str, model: str, environ: Mapping[str, str]) -> Endpoint:
    """The short form; a server elsewhere (OPENAI_BASE_URL) may need no key."""
    address = environ.get(OPENAI_URL, "").strip() or OPENAI
    key = _key(OPENAI_KEY, environ)
    needed = bool(key) or address.rstrip("/") == OPENAI
    return Endpoint(
        name=spec, model=model, base_url=address, api_key=key, api_key_env=OPENAI_KEY if needed else ""
    )  # fmt: skip


def _key(variable: str, environ: Mapping[str, str]) -> str:
    key = environ.get(variable, "").strip() if variable else ""
    if not key.isascii() or not key.isprintable():
        raise Invalid(f"{variable} holds no usable key", hint="copy it again: a key is printable ASCII in one line")
    return key


def _check_address(name: str, base_url: str) -> None:
    hint = f"set base_url of the model {name!r} to something like http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise Invalid(f"the address of the model {name!r} cannot be read", hint=hint) from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # Not repeated here: what stands there may be a secret.
        raise Invalid(f"the address of the model {name!r} carries more than host and path",
                      hint="put the key into an environment variable and name it in api_key_env")  # fmt: skip
    if not usable:
        raise Invalid(f"the address {base_url!r} is not an HTTP address", hint=hint)
