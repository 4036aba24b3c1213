"""What goes back to an exporter: a receipt with what was refused, or a `google.rpc.Status`.

Both messages are three fields long, so they are written by hand.
"""

from __future__ import annotations

import json
from typing import Literal

from surefoot.adapters.otlp.body import field, varint

_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 409: 9, 413: 3, 415: 3, 429: 8, 500: 13, 503: 14}
UNKNOWN = 2


def receipt(what: Literal["spans", "logs"], rejected: int, why: str, *, as_json: bool) -> bytes:
    """Give the answer to a request that was taken, with `partial_success` only where something is to be said."""
    if not rejected and not why:
        return b"{}" if as_json else b""
    if as_json:
        name = "rejectedSpans" if what == "spans" else "rejectedLogRecords"
        said = {name: str(rejected), "errorMessage": why}
        return json.dumps({"partialSuccess": said}, ensure_ascii=False).encode()
    return field(b"\x0a", (b"\x08" + varint(rejected) if rejected else b"") + field(b"\x12", why.encode()))


def problem(status: int, message: str, *, as_json: bool) -> bytes:
    """Give a `google.rpc.Status` for an answer with this status of HTTP."""
    code = _CODES.get(status, UNKNOWN)
    if as_json:
        return json.dumps({"code": code, "message": message}, ensure_ascii=False).encode()
    return b"\x08" + varint(code) + field(b"\x12", message.encode())
