"""An upstream that speaks OpenAI's protocol and fails on demand; the last user message says how.

`fault:NAME` somewhere in it: 429 500 503 400 401 (each once with `once`), hang, delay, malformed, truncated, cut,
slow, stall, length, refused, redirect, gzip; badjson, badtool and loop for calls of tools. Tools are called when there
are some and nothing was called yet. A body with `say` gets exactly that: a document, or a list of lines as a stream.
What arrived is in `seen`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


class Upstream:
    """The application and what it saw."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.failed: set[str] = set()
        self.broken_off = 0
        self.down = False
        self.gap_s = 0.0
        self.app = Starlette(routes=[
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/responses", self.responses, methods=["POST"]),
            Route("/v1/embeddings", self.embeddings, methods=["POST"]),
        ])  # fmt: skip

    async def chat(self, request: Request) -> Response:
        body = await self._arrived(request)
        fault = self._fault(body)
        if (early := await self._early(fault, request)) is not None:
            return early
        if isinstance(say := body.get("say"), list):
            return StreamingResponse((f"{line}\n\n" for line in say), media_type="text/event-stream")
        if say is not None:
            return JSONResponse(say)
        message, finish = self._said(body, fault)
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if body.get("stream"):
            return StreamingResponse(self._streamed(head, message, finish, fault, body), media_type="text/event-stream")
        choice = {"index": 0, "message": message, "finish_reason": finish}
        document = {
            **head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": USAGE,
            "unknown_field": {"a": [1]},
        }
        if fault == "gzip":
            packed = gzip.compress(json.dumps(document).encode())
            return Response(packed, headers={"content-encoding": "gzip"}, media_type="application/json")
        return JSONResponse(
            document, headers={"x-request-id": "req-7", "x-ratelimit-remaining": "9", "set-cookie": "a=b"}
        )

    async def responses(self, request: Request) -> Response:
        body = await self._arrived(request)
        text = f"echo {body.get('instructions') or ''}|{json.dumps(body.get('input'))}"
        document = {
            "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": body["model"],
            "output": [{"type": "message", "id": "m", "status": "completed", "role": "assistant",
                        "content": [{"type": "output_text", "text": text, "annotations": []}]}],
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "usage": {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11,
                      "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
        }  # fmt: skip
        if not body.get("stream"):
            return JSONResponse(document)
        events = [{"type": "response.output_text.delta", "delta": text, "item_id": "m", "output_index": 0,
                   "content_index": 0, "sequence_number": 1, "logprobs": []},
                  {"type": "response.completed", "response": document, "sequence_number": 2}]  # fmt: skip
        lines = [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events]
        return StreamingResponse(iter(lines), media_type="text/event-stream")

    async def embeddings(self, request: Request) -> Response:
        body = await self._arrived(request)
        row = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        return JSONResponse({"object": "list", "data": [row], "model": body["model"],
                             "usage": {"prompt_tokens": 1, "total_tokens": 1}})  # fmt: skip

    async def _arrived(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        self.seen.append(body)
        self.headers.append(dict(request.headers))
        return body

    def _fault(self, body: dict[str, Any]) -> str:
        last = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "user"), "")
        found = re.search(r"fault:(\w+)( once)?", last if isinstance(last, str) else json.dumps(last))
        if found is None or (found[2] and found[0] in self.failed):
            return ""
        self.failed.add(found[0])
        return found[1]

    async def _early(self, fault: str, request: Request) -> Response | None:
        if self.down:
            return JSONResponse({"error": {"message": "down", "type": "server_error"}}, 503)
        if fault.isdigit():
            error = {"error": {"message": f"upstream says {fault}", "type": "stub", "param": "x", "code": "c"}}
            return JSONResponse(error, int(fault), headers={"x-request-id": "req-bad", "retry-after": "0.01"})
        if fault == "hang":
            while not await request.is_disconnected():  # noqa: ASYNC110  Starlette has no other way
                await asyncio.sleep(0.01)
            self.broken_off += 1
        if fault == "delay":
            await asyncio.sleep(0.15)
        if fault == "malformed":
            return Response(b'{"choices": [{"message": ', media_type="application/json")
        if fault == "redirect":
            return Response(b"", 307, headers={"location": "http://127.0.0.1:1/elsewhere"})
        return None

    def _said(self, body: dict[str, Any], fault: str) -> tuple[dict[str, Any], str]:
        called = any(m["role"] == "tool" for m in body["messages"])
        if body.get("tools") and (not called or fault == "loop"):
            name = "no_such_tool" if fault == "badtool" else body["tools"][0]["function"]["name"]
            function = {"name": name, "arguments": '{"city": ' if fault == "badjson" else '{"city": "Berlin"}'}
            call = {"id": "call_1", "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
        if body.get("response_format"):
            return {"role": "assistant", "content": '{"label": "billing"}'}, "stop"
        last = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "user"), "")
        system = " ".join(str(m["content"]) for m in body["messages"] if m["role"] == "system")
        text = f"[{system[:40]}] {last}"
        return {"role": "assistant", "content": text}, {"length": "length", "refused": "content_filter"}.get(
            fault, "stop"
        )

    async def _streamed(
        self, head: dict[str, Any], message: dict[str, Any], finish: str, fault: str, body: dict[str, Any]
    ) -> AsyncIterator[str]:
        def event(delta: dict[str, Any], end: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": end}
            return f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"

        try:
            yield event({"role": "assistant", "content": ""})
            for call in message.get("tool_calls") or []:
                yield event({"tool_calls": [{"index": 0, **call}]})
            for number, word in enumerate((message["content"] or "").split()):
                if number == 1 and fault == "cut":
                    raise ConnectionResetError
                if number == 1 and fault == "truncated":
                    return
                if number == 1 and fault == "stall":
                    await asyncio.sleep(60)
                yield event({"content": f"{word} "})
                await asyncio.sleep(0.05 if fault == "slow" else self.gap_s)
            yield event({}, finish)
            if (body.get("stream_options") or {}).get("include_usage"):
                last = {**head, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
                yield f"data: {json.dumps(last)}\n\n"
            yield "data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self.broken_off += 1
            raise
