"""The largest body that is read at all; a longer one is refused before it fills the memory."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from surefoot.api.problems import answer

MOST_BYTES = 256 * 1024


class Capped:
    """An application whose request bodies are bounded, whether they announce their length or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the bound, and hand it on whole."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > MOST_BYTES:
                refusal = answer(413, "invalid", f"the body is longer than {MOST_BYTES} bytes", "send less at once")
                await refusal(scope, receive, send)
                return
        if _half_a_letter(body):
            refusal = answer(422, "invalid", "a text holds half of a character", "send whole ones (no lone \\ud800)")
            await refusal(scope, receive, send)
            return
        handed = False

        async def whole() -> Message:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, whole, send)


def _half_a_letter(body: bytes) -> bool:
    """Whether JSON spells out half of a character, which no text that is stored or sent can hold."""
    if b"\\ud" not in body.lower():
        return False
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):  # the route says what is wrong with it
        return False
    return False
