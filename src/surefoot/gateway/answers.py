"""What goes back to the app: bodies over ASGI, and errors in the shape that OpenAI's clients understand."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound, SurefootError, Unavailable
from surefoot.core.rate import TooMany
from surefoot.core.signature import Unauthenticated
from surefoot.engine.forward import TooLate
from surefoot.gateway.scale import TooHeavy
from surefoot.ports.recorder import Full
from surefoot.ports.upstream import Unreached

RawHeaders = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
# The nearest family counts; a class stands before the one it is made from.
_STATUS: tuple[tuple[type[SurefootError], int, str], ...] = (
    (Unauthenticated, 401, "authentication_error"), (Forbidden, 403, "permission_error"),
    (NotFound, 404, "invalid_request_error"), (Conflict, 409, "invalid_request_error"),
    (Invalid, 400, "invalid_request_error"), (TooLate, 504, "server_error"), (Full, 429, "server_error"),
    (TooMany, 429, "rate_limit_error"),
    (Unreached, 502, "server_error"), (Unavailable, 503, "server_error"),
)  # fmt: skip


class TooLong(Invalid):
    """The body is longer than what is read at all."""


def status_of(error: SurefootError) -> int:
    """Give the status of an error."""
    if isinstance(error, TooLong):
        return 413
    return next((status for kind, status, _ in _STATUS if isinstance(error, kind)), 500)


def error_body(error: SurefootError) -> bytes:
    """Give an error as OpenAI's clients read it, with our code and our hint."""
    kind = next((kind for family, _, kind in _STATUS if isinstance(error, family)), "server_error")
    message = f"{error.message}; {error.hint}" if error.hint else error.message
    return orjson.dumps(
        {"error": {"message": message, "type": kind, "param": None, "code": error.code, "hint": error.hint}}
    )


def retry_after(error: SurefootError) -> int:
    """Give the whole seconds after which it is worth trying again."""
    return max(1, math.ceil(float(getattr(error, "retry_after_s", 1))))


async def refuse(send: Send, error: SurefootError, headers: RawHeaders | None = None) -> int:
    """Answer with an error; gives its status."""
    status = status_of(error)
    extra: RawHeaders = [JSON, *(headers or [])]
    if status == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    if status == 429 or isinstance(error, TooHeavy):
        extra.append((b"retry-after", str(retry_after(error)).encode()))
    await answer(send, status, error_body(error), extra)
    return status


def mistake_body(error: Exception) -> bytes:
    """Give what the app is told of a mistake of ours: that it was one, and nothing of what was in it."""
    text = f"Surefoot made a mistake ({type(error).__name__}); please report it, with its log"
    return orjson.dumps({"error": {"message": text, "type": "server_error", "param": None, "code": "internal"}})


async def mistake(send: Send, error: Exception) -> None:
    """Answer that we made a mistake, unless an answer has begun."""
    with contextlib.suppress(RuntimeError):
        await answer(send, 500, mistake_body(error), [JSON])


async def answer(send: Send, status: int, body: bytes, headers: RawHeaders) -> None:
    """Answer with a whole body."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def document(send: Send, value: Any) -> None:
    """Answer with a JSON document."""
    await answer(send, 200, orjson.dumps(value), [JSON])


def raw(headers: list[tuple[str, str]]) -> RawHeaders:
    """Give headers as they go over ASGI."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def read_body(receive: Receive, headers: dict[str, str], most: int) -> bytes:
    """Read the body of a request; TooLong when it is longer than `most`, whether it says so or not."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise TooLong(f"the body is longer than {most} bytes", hint="send less, or raise gateway.max_body_bytes")
    if headers.get("content-encoding", "identity") != "identity":
        raise Invalid("the body is compressed", hint="send it as it is")
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise TooLong(f"the body is longer than {most} bytes", hint="send less, or raise gateway.max_body_bytes")
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class ClientGone(Exception):
    """The client went away before its answer."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Give the headers of a request by their names in lower case; the first of each."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return found
