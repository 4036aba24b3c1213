"""What a form sends, read with bounds: its length, its fields, one value each."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from surefoot.core.errors import Invalid

MOST_BYTES = 64 * 1024
MOST_FIELDS = 40


async def read_form(request: Request) -> dict[str, str]:
    """Give the fields of a form; Invalid for what is no form of ours, or too long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Invalid("this takes a form", hint="send application/x-www-form-urlencoded")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise Invalid(f"the form is longer than {MOST_BYTES} bytes", hint="say it shorter")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Invalid("the form cannot be read", hint="reload the page and try again") from None
    return {name: value.replace("\r\n", "\n") for name, value in pairs}
