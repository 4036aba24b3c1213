"""A chat endpoint on loopback that speaks the protocol over real HTTP and misbehaves to order.

Each request takes the next act of the script, and the last act for ever after. An act is a function from the request's
body to what the server does; `said`, `called` and the others below make them.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the server does once: wait, then send a status and bytes, or hang, or break off after `cut_at` bytes."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hangs: bool = False
    cut_at: int | None = None


Script = Act | Callable[[Body], Act]


def answered(message: Body, *, finish: str | None = "stop", usage: Body | None = None, **rest: Any) -> Act:
    """A whole chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    document = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "stub", "choices": [choice]}
    return Act(body=json.dumps(document | ({"usage": usage} if usage else {})).encode(), **rest)


def tokens(prompt: int, completion: int) -> Body:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def said(text: str, *, finish: str | None = "stop", usage: Body | None = None, **rest: Any) -> Act:
    """An answer in words."""
    return answered({"content": text}, finish=finish, usage=tokens(20, 5) if usage is None else usage, **rest)


def called(arguments: object, *, usage: Body | None = None, **rest: Any) -> Act:
    """An answer by the tool that the request asked for; a text is sent as it is."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = {"id": "call_1", "type": "function", "function": {"name": "answer", "arguments": text}}
    message = {"content": None, "tool_calls": [call]}
    return answered(message, finish="tool_calls", usage=usage or tokens(20, 5), **rest)


def failed(status: int, message: str = "stub", *, code: str | None = None, **headers: str) -> Act:
    """An HTTP error in the protocol's form; `retry_after="1"` becomes the header Retry-After."""
    error = {"message": message, "type": "stub", "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Act(body=json.dumps({"error": error}).encode(), status=status, headers=named)


class OpenAIStub:
    """The server; `requests` are the bodies that came, `headers` their headers."""

    def __init__(self, script: Iterable[Script] = ()) -> None:
        self.script = list(script) or [said("ok")]
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.asked = threading.Event()
        self._turn = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next_act(self, body: Body, headers: dict[str, str]) -> Act:
        with self._turn:
            step = self.script[min(len(self.requests), len(self.script) - 1)]
            self.requests.append(body)
            self.headers.append(headers)
            self.asked.set()
        return step(body) if callable(step) else step

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                act = stub.next_act(body, {name.lower(): value for name, value in self.headers.items()})
                if act.hangs:
                    stub._closing.wait(30)
                    return
                time.sleep(act.delay_s)
                self.send_response(act.status)
                for name, value in {"content-type": "application/json", **act.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(act.body)))
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(act.body[: act.cut_at])

            def log_request(self, code: object = "-", size: object = "-") -> None:
                pass

        return Handler
