"""Who is let in: a Surefoot token, with the upstream's key from the environment or with the app's own.

A token comes as `Authorization: Bearer`, and then the upstream is asked with the key that the settings name; or it
comes as `X-Surefoot-Token`, and then the `Authorization` beside it is the app's own key, which goes to the upstream as
it is. What is presented is compared and passed on; it is kept, logged and repeated nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import Scope

from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Token
from surefoot.engine.admit import Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Who is asking, and the key that goes to the upstream instead of its own, if the app brought one."""

    token: Token
    authorization: str = field(default="", repr=False)


async def admitted(scope: Scope, headers: Mapping[str, str], admission: Admission) -> Guest:
    """Give who is asking; Unauthenticated for nobody we know, TooMany for who asks too often."""
    client = scope.get("client")
    address = client[0] if client else ""
    if presented := headers.get("x-surefoot-token", ""):
        token = await admission.admit(presented.strip(), address=address)
        return Guest(token=token, authorization=headers.get("authorization", ""))
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("this takes a token", hint="use it as the API key of your OpenAI client")
    return Guest(token=await admission.admit(bearer.strip(), address=address))
