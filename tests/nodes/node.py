"""A process of a version, for tests: argv is its version and its port, the environment makes it a liar or ill.

`made` gives the same as a server for a thread of the tests, where nobody has to be killed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Node(ThreadingHTTPServer):
    """What one process knows of itself."""

    def __init__(self, version: str, port: int, environ: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.version = version
        self.says = environ.get("NODE_SAYS_VERSION", "")
        self.hash = environ.get("NODE_SAYS_HASH", "")
        self.ill = environ.get("NODE_ILL", "")
        self.counts = {"classify": 0}

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Node

    def do_GET(self) -> None:
        if self.path == "/counts":
            return self.answer(200, self.server.counts)
        if self.path.startswith("/ill"):
            self.server.ill = self.path.partition("=")[2]
            return self.answer(200, {})
        if self.server.ill == "yes":
            return self.answer(503, {"status": "ill"})
        if self.server.ill == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/health")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if self.server.ill == "endless":
            return self.answer(200, {"status": "x" * 200_000})
        told = {"status": "ok"} | ({"version": self.server.says} if self.server.says else {})
        told |= {"content_hash": self.server.hash} if self.server.hash else {}
        return self.answer(200, told)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        name = self.path.rpartition("/")[2]
        self.server.counts[name] = self.server.counts.get(name, 0) + 1
        if name == "classify":
            headers = {key: value for key, value in self.headers.items() if key.startswith("X-")}
            return self.answer(200, {"said_by": self.server.version, "echo": body, "headers": headers})
        if name == "slow":
            time.sleep(float((body or {}).get("seconds", 3)))
            return self.answer(200, {"said_by": self.server.version})
        if name == "late":  # it takes the work over and reports by itself
            threading.Thread(
                target=report, args=(self.server.version, self.headers["X-Execution-ID"], body), daemon=True
            ).start()
            return self.answer(202, {})
        if name == "broken":
            kind = (body or {}).get("kind", "500")
            if kind == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"half":')
                self.close_connection = True
                return None
            if kind == "text":
                return self.raw(200, b"this is no JSON")
            if kind == "huge":
                return self.raw(200, b'"' + b"x" * 3_000_000 + b'"')
            if kind == "deep":
                return self.raw(200, b"[" * 5000 + b"]" * 5000)
            return self.answer(int(kind), {"error": "as you wished, mail me at jo@example.com"})
        return self.answer(404, {})

    def answer(self, status: int, document: object) -> None:
        self.raw(status, json.dumps(document).encode())

    def raw(self, status: int, raw: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None: ...


def report(version: str, execution: str, body: dict[str, object]) -> None:
    time.sleep(float(body.get("seconds", 0.2)))  # pyright: ignore[reportArgumentType]
    if "home" not in body:
        return  # nobody waits for a report
    url = f"{body['home']}/api/v1/executions/{execution}/status"
    told = json.dumps({"status": "succeeded", "result": {"said_by": version, "late": True}}).encode()
    headers = {"Authorization": "Bearer sf_app", "Content-Type": "application/json"}
    for _ in range(240):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, told, headers), timeout=5):
                return
        except OSError:
            time.sleep(0.25)


if __name__ == "__main__":
    server = Node(sys.argv[1], int(sys.argv[2]), os.environ)
    print(server.server_port, flush=True)
    server.serve_forever()
