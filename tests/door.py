"""Ways to knock at a server on loopback: a request in, its status, headers and text out."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, ClassVar

V1 = "/api/v1"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def tag(self) -> str:
        return self.headers["etag"]


class Door:
    """A running server; `under` is where its paths begin, `usual` whose token is shown where nobody is named."""

    under: ClassVar[str] = ""
    usual: ClassVar[str] = ""

    def __init__(self, port: int, app: Any) -> None:
        self.port, self.app = port, app

    def ask(self, method: str, path: str, body: Any = None, *, by: str = "", **headers: str) -> Answer:
        """Send a request in the name of `by`, whose token is sf_ and the name."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        sent = {"Content-Type": "application/json"} if raw is not None else {}
        sent |= {"Authorization": f"Bearer sf_{by}"} if by else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"{self.under}{path}", raw, sent)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read().decode())
        finally:
            connection.close()

    def get(self, path: str, by: str | None = None, **headers: str) -> Answer:
        return self.ask("GET", path, by=self._who(by), **headers)

    def post(self, path: str, body: Any = None, by: str | None = None, **headers: str) -> Answer:
        return self.ask("POST", path, {} if body is None else body, by=self._who(by), **headers)

    def put(self, path: str, body: Any, by: str | None = None, **headers: str) -> Answer:
        return self.ask("PUT", path, body, by=self._who(by), **headers)

    def delete(self, path: str, by: str | None = None, **headers: str) -> Answer:
        return self.ask("DELETE", path, by=self._who(by), **headers)

    def _who(self, by: str | None) -> str:
        return self.usual if by is None else by


def problem(answer: Answer, status: int, code: str) -> str:
    """Hold an error against the one shape, and give its message."""
    assert answer.status == status, answer.text
    assert set(answer.json) == {"code", "message", "hint"}
    assert answer.json["code"] == code, answer.text
    return answer.json["message"]
