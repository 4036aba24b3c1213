"""Intake: `POST /v1/traces` and `/v1/logs`, where an OpenTelemetry exporter sends what instrumented code did.

In this order: who sends, is there room for it, what was sent (protobuf or JSON, packed or not), and only after the
commit the answer. Errors have OTLP's own form, a `google.rpc.Status`, in the encoding of the request; what is wrong
with single spans is told in the receipt of the others. Exporters send again after 429 and 503, and after nothing else.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

from starlette.types import Receive, Scope, Send

from surefoot.core.errors import Invalid, SurefootError
from surefoot.core.token import must_may
from surefoot.gateway.admission import admitted
from surefoot.gateway.answers import ClientGone, RawHeaders, TooLong, answer, headers_of, retry_after, status_of
from surefoot.gateway.house import House

What = Literal["spans", "logs"]
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_STEP = 65_536


class NoSuchForm(Invalid):
    """The body comes in a form that is not read."""


class Intake:
    """One of the two routes, as an ASGI application."""

    def __init__(self, house: House, what: What) -> None:
        self._house = house
        self._taking = house.taking
        self._what: What = what
        self._most = house.manners.most_otlp_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = headers_of(scope)
        as_json = headers.get("content-type", "").partition(";")[0].strip().lower() == JSON
        try:
            await self._answered(scope, headers, receive, send, as_json=as_json)
        except ClientGone:
            self._house.tally.gone += 1
        except SurefootError as error:
            await self._refused(send, error, as_json=as_json)
        except Exception:
            await self._said(send, 500, "Surefoot made a mistake; please report it, with its log", as_json=as_json)
            raise

    async def _answered(
        self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send, *, as_json: bool
    ) -> None:
        guest = await admitted(scope, headers, self._house.admission)
        must_may(guest.token, "record")
        _must_be_known(headers, as_json=as_json)
        with self._taking.room() as take:
            content = await self._read(receive, headers, take)
            keep = self._taking.traces if self._what == "spans" else self._taking.logs
            receipt = await keep(content, sees=guest.token.sees, as_json=as_json)
        said = self._taking.packer.receipt(self._what, receipt.rejected, receipt.why, as_json=as_json)
        await answer(send, 200, said, _form(as_json))

    async def _read(self, receive: Receive, headers: dict[str, str], take: Callable[[int], None]) -> bytes:
        """Read the body, and unpack it piece by piece, so that a small one cannot become a large one unseen."""
        unpacker = zlib.decompressobj(31) if headers.get("content-encoding", "identity") == "gzip" else None
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._most:
            raise self._too_long()
        parts, size, more = list[bytes](), 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            more = message.get("more_body", False)
            for part in _unpacked(unpacker, message.get("body", b"")):
                size += len(part)
                if size > self._most:
                    raise self._too_long()
                take(len(part))
                parts.append(part)
        if unpacker is not None and not unpacker.eof:
            raise Invalid("the packed body breaks off", hint="send all of it")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_long(self) -> TooLong:
        return TooLong(
            f"the request is longer than {self._most} bytes", hint="send smaller batches, or raise gateway.otlp_bytes"
        )  # fmt: skip

    async def _refused(self, send: Send, error: SurefootError, *, as_json: bool) -> None:
        status = 415 if isinstance(error, NoSuchForm) else status_of(error)
        more: RawHeaders = [(b"www-authenticate", b"Bearer")] if status == 401 else []
        if status in (429, 503):
            more.append((b"retry-after", str(retry_after(error)).encode()))
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        await self._said(send, status, message, more, as_json=as_json)

    async def _said(
        self, send: Send, status: int, message: str, more: RawHeaders | None = None, *, as_json: bool
    ) -> None:
        said = self._taking.packer.problem(status, message, as_json=as_json)
        await answer(send, status, said, [*_form(as_json), *(more or [])])


def _must_be_known(headers: dict[str, str], *, as_json: bool) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not as_json and kind != PROTOBUF:
        raise NoSuchForm(f"the content type {kind[:80]!r} is not read", hint=f"send {PROTOBUF} or {JSON}")
    packing = headers.get("content-encoding", "identity")
    if packing not in ("identity", "gzip", ""):
        raise NoSuchForm(f"the content encoding {packing[:80]!r} is not read", hint="send it as it is, or as gzip")


def _form(as_json: bool) -> RawHeaders:
    return [(b"content-type", (JSON if as_json else PROTOBUF).encode())]


def _unpacked(unpacker: Any, part: bytes) -> Iterator[bytes]:
    """Give the pieces of a part, none longer than a step; Invalid for what is not packed."""
    if unpacker is None:
        yield part
        return
    try:
        while part and not unpacker.eof:
            yield unpacker.decompress(part, _STEP)
            part = unpacker.unconsumed_tail
    except zlib.error:
        raise Invalid("the body is not gzip", hint="send it as it is, or packed with gzip") from None
    if unpacker.eof and (unpacker.unused_data or part):
        raise Invalid("something comes after the end of the packed body", hint="send one gzip stream")
