"""A model of this process as an upstream, so that the gateway works offline and in tests, with no server behind it.

It speaks /chat/completions only, one system prompt and one question, as `ports.Model` does. What it cannot answer gets
a clear 400, never prose: tools, pictures, several answers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.wire import STEERING, asked, text_of
from surefoot.ports.model import Answer, Model, Question
from surefoot.ports.upstream import Call, Unreached

_FINISHES = {"stop": "stop", "length": "length", "refused": "content_filter"}
_UNKNOWN = ("tools", "functions", "audio", "modalities")


class InsideReply:
    """An answer that is there already; implements `ports.upstream.Reply`."""

    def __init__(self, status: int, pieces: list[bytes], kind: str = "application/json") -> None:
        self._pieces = pieces
        self.status = status
        self.headers = [("content-type", kind)]

    async def read(self) -> bytes:
        """Give the whole body."""
        return b"".join(self._pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece."""
        for piece in self._pieces:
            yield piece

    def close(self) -> None:
        """Nothing to let go of."""


class InsideUpstream:
    """One model of this process; implements `ports.upstream.Upstream`."""

    def __init__(self, name: str, model: Model) -> None:
        self._model = model
        self.name = name
        self.model = name

    async def send(self, call: Call) -> InsideReply:
        """Answer a request; Unreached when the model cannot."""
        body: dict[str, Any] = json.loads(call.body)
        try:
            answer = await self._model.answer(self._question(call.path, body))
        except Invalid as problem:
            return _refusal(f"{problem.message}; {problem.hint}")
        except Unavailable as problem:
            raise Unreached(problem.message, hint=problem.hint) from None
        if body.get("stream"):
            return InsideReply(200, _events(self.name, answer), "text/event-stream")
        return InsideReply(200, [_line(_document(self.name, answer))])

    def cost_usd(self, tokens_in: int, tokens_out: int) -> float:
        """It costs nothing."""
        return 0.0

    def _question(self, path: str, body: dict[str, Any]) -> Question:
        if path != "/chat/completions":
            raise Invalid(f"{self.name} does not speak {path}", hint="use /chat/completions")
        if unknown := [name for name in _UNKNOWN if body.get(name)]:
            raise Invalid(f"{self.name} knows no {unknown[0]}", hint="choose a language model: surefoot init --model")
        if body.get("n") not in (None, 1):
            raise Invalid(f"{self.name} gives one answer", hint="leave out n")
        system = [text_of(one.get("content")) for one in body["messages"] if one["role"] in ("system", "developer")]
        params = {name: json.dumps(body[name]) for name in STEERING if name in body}
        return Question(system="\n\n".join(system), user=asked("chat", body), params=params)


def _document(name: str, answer: Answer) -> dict[str, Any]:
    return {
        "id": "chatcmpl-inside", "object": "chat.completion", "created": 0, "model": name,
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": answer.text}, "logprobs": None,
            "finish_reason": _FINISHES.get(answer.finish),
        }],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }  # fmt: skip


def _events(name: str, answer: Answer) -> list[bytes]:
    def event(delta: dict[str, str], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + _line({
            "id": "chatcmpl-inside", "object": "chat.completion.chunk", "created": 0, "model": name, "choices": [choice]
        }) + b"\n\n"  # fmt: skip

    whole = event({"role": "assistant", "content": answer.text}, None)
    return [whole, event({}, _FINISHES.get(answer.finish)), b"data: [DONE]\n\n"]


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _refusal(message: str) -> InsideReply:
    return InsideReply(400, [_line({"error": {"message": message, "type": "invalid_request_error", "param": None,
                                              "code": "invalid"}})])  # fmt: skip
