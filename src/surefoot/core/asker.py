"""An asker: what an app says of the request it sends, so that it can be found again: session, person, its own id.

Our own headers come first, then those that other gateways use, then the fields of OpenAI's bodies, then `metadata`.
Nothing of it is checked or believed; it names, and grants nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

MOST_NAME_CHARS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Whose request it is: the conversation, the person, and what the app calls the request; each empty if unsaid."""

    session: str = ""
    actor: str = ""
    external_id: str = ""


def asker_of(body: Mapping[str, Any], headers: Mapping[str, str]) -> Asker:
    """Give what a request says of itself; headers are in lower case, names are held to 512 characters."""
    metadata: object = body.get("metadata")
    more: Mapping[str, Any] = cast("Mapping[str, Any]", metadata) if isinstance(metadata, dict) else {}
    return Asker(
        session=_first(
            headers.get("x-surefoot-session"), headers.get("x-session-id"), more.get("session_id"),
            _id(body.get("conversation")), more.get("conversation_id"),
        ),
        actor=_first(
            headers.get("x-surefoot-actor"), headers.get("x-actor-id"), body.get("user"),
            body.get("safety_identifier"), more.get("actor_id"), more.get("user_id"),
        ),
        external_id=_first(
            headers.get("x-surefoot-external-id"), headers.get("x-external-id"), more.get("external_id"),
        ),
    )  # fmt: skip


def _first(*values: object) -> str:
    for value in values:
        if isinstance(value, str) and (named := value.strip()):
            return named[:MOST_NAME_CHARS]
    return ""


def _id(value: object) -> object:
    return cast("Mapping[str, Any]", value).get("id") if isinstance(value, dict) else value
