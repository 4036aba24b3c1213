"""A setback: a request that brought no answer, and what follows from that.

Three things decide: whether the same request may work soon (`again`), whether it may be billed although no answer
came (`billed`), and how long the server asked to wait. A connection that never opened and a server that says it did
no work are tried again for nothing; after everything else the worst case counts as spent. The family of the problem
says who can act: Invalid for the question, the settings or the key, Unavailable for what may pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from surefoot.adapters.models.endpoint import Endpoint
from surefoot.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError

# Statuses of a server that did no work. Behind the others above 500, such as 504, somebody may have done it.
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 520, 521, 522, 529})
_REFUSALS = frozenset({"content_filter", "content_policy_violation"})
_QUOTED = 300


class Setback(Exception):
    """A request that brought no answer; `problem` is what to tell people."""

    def __init__(self, problem: Unavailable | Invalid, *, again: bool = False, billed: bool = False, wait_s: float = 0):
        super().__init__(problem.message)
        self.problem = problem
        self.again = again
        self.billed = billed
        self.wait_s = wait_s


def late(endpoint: Endpoint) -> Setback:
    """Give the setback of a deadline that passed while a request was under way."""
    problem = Unavailable(
        f"the model {endpoint.name!r} did not answer within {endpoint.timeout_s:g} s",
        hint="try later, or raise its timeout_s",
    )
    return Setback(problem, billed=True)


def is_refusal(error: ModelAPIError) -> bool:
    """Say whether the server's content filter stopped the question."""
    return bool({error.provider_error_code, error.provider_error_type} & _REFUSALS)


def is_broken(error: ModelAPIError) -> bool:
    """Say whether the connection is what failed."""
    from pydantic_ai.exceptions import ModelConnectionError

    return isinstance(error, ModelConnectionError)


def setback_of(endpoint: Endpoint, error: ModelAPIError) -> Setback:
    """Give the setback that an error of the library stands for."""
    from pydantic_ai.exceptions import ModelConnectionError, ModelHTTPError

    if isinstance(error, ModelHTTPError):
        return _declined(endpoint, error)
    if not isinstance(error, ModelConnectionError):
        return unreadable(endpoint)
    if error.phase not in ("connect", "pool"):
        problem = Unavailable(f"the connection to the model {endpoint.name!r} broke", hint="try again later")
        return Setback(problem, billed=True)
    problem = Unavailable(
        f"the model {endpoint.name!r} cannot be reached at {endpoint.host}",
        hint="see whether the server runs and base_url is right",
    )
    return Setback(problem, again=True)


def unreadable(endpoint: Endpoint) -> Setback:
    """Give the setback of a body that is no chat answer."""
    problem = Unavailable(
        f"the model {endpoint.name!r} at {endpoint.host} sent what is no chat answer",
        hint="see whether base_url leads to an OpenAI-compatible endpoint (it often ends in /v1)",
    )
    return Setback(problem, billed=True)


def _declined(endpoint: Endpoint, error: ModelHTTPError) -> Setback:
    """Say what an HTTP error means for the caller: mend the question, the settings or the key, or wait."""
    from pydantic_ai.exceptions import ModelAuthenticationError, ModelNotFoundError, ModelQuotaExceededError

    where, said = f"{endpoint.host} (HTTP {error.status_code})", _quoted(endpoint, error.body)
    if isinstance(error, ModelAuthenticationError):
        # What the server said is left out: some servers repeat parts of the key.
        named = endpoint.api_key_env
        hint = f"see whether {named} holds a valid key" if named else "name the key's variable in api_key_env"
        return Setback(Invalid(f"the key for the model {endpoint.name!r} was not accepted by {where}", hint=hint))
    if isinstance(error, ModelNotFoundError):
        hint = f"check model and base_url of {endpoint.name!r}"
        return Setback(Invalid(f"there is no model {endpoint.model!r} at {where}{said}", hint=hint))
    if isinstance(error, ModelQuotaExceededError):
        return Setback(Unavailable(f"the quota at {where} is used up{said}", hint="top it up, or choose another model"))
    if error.status_code in AGAIN or error.status_code >= 500:
        busy = Unavailable(f"the model {endpoint.name!r} is not available at {where}{said}", hint="try again later")
        idle = error.status_code in AGAIN
        return Setback(busy, again=idle, billed=not idle, wait_s=error.retry_after or 0.0)
    hint = "mend the question or the genome's parameters"
    return Setback(Invalid(f"the question was declined by {where}{said}", hint=hint))


def _quoted(endpoint: Endpoint, body: object) -> str:
    """What the server said, in one line and without the key; empty if it said nothing readable."""
    said = cast("dict[str, object]", body).get("message") if isinstance(body, dict) else body
    if not isinstance(said, str) or not said.strip() or said.lstrip().startswith("<"):
        return ""
    return ": " + endpoint.without_key(" ".join(said.split()))[:_QUOTED]
