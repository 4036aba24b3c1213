"""One version of a classifier as a process of its own: standard library only, no package of Surefoot's.

    VERSION=1.0.0 PORT=9001 SUREFOOT_URL=http://127.0.0.1:8420 SUREFOOT_TOKEN=sf_... python classifier.py

The prompt comes from the environment or is the one baked in; it is what makes the version. The process serves
`GET /health` and `POST /reasoners/classify`, registers itself, and says every few minutes that it lives.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AGENT = os.environ.get("AGENT", "tickets")
VERSION = os.environ.get("VERSION", "1.0.0")
PROMPT = os.environ.get("PROMPT", "invoice refund payment = billing; everything else = other")
CONTENT_HASH = hashlib.sha256(PROMPT.encode()).hexdigest()
SUREFOOT, TOKEN = os.environ.get("SUREFOOT_URL", ""), os.environ.get("SUREFOOT_TOKEN", "")


def classify(given: dict[str, str]) -> dict[str, str]:
    """Answer with the label of the first rule that has a word of the text; a model would stand here."""
    words = given["text"].lower().split()
    for rule in PROMPT.split(";"):
        known, _, label = rule.rpartition("=")
        if "everything else" in known or set(known.split()) & set(words):
            return {"label": label.strip(), "said_by": VERSION}
    return {"label": "other", "said_by": VERSION}


class Handler(BaseHTTPRequestHandler):
    """Two routes: how it is, and the reasoner."""

    def do_GET(self) -> None:
        self.answer(200, {"status": "ok", "version": VERSION, "content_hash": CONTENT_HASH})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/reasoners/classify":
            return self.answer(404, {"error": f"there is no {self.path}"})
        try:
            self.answer(200, classify(json.loads(body)))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.answer(422, {"error": 'send {"text": ...}'})

    def answer(self, status: int, document: dict[str, str]) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing for each request."""


def post(path: str, document: dict[str, object]) -> dict[str, str]:
    """Say something to Surefoot."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = json.dumps(document).encode()
    request = urllib.request.Request(f"{SUREFOOT}/api/v1{path}", body, headers)  # noqa: S310  the address is ours
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as refused:  # which says why, and what to do
        raise OSError(f"Surefoot answers {refused.code}: {refused.read().decode()}") from None


def beat(process: str) -> None:
    """Say that the process lives; if Surefoot is away the next minute is soon enough."""
    try:
        post(f"/agents/{AGENT}/processes/{process}/heartbeat", {"state": "ready"})
    except OSError as away:
        print(f"no heartbeat: {away}", flush=True)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    over = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: over.set())
    print(f"{AGENT} {VERSION} on http://127.0.0.1:{server.server_port}", flush=True)
    mine = post(f"/agents/{AGENT}/processes", {
        "version": VERSION, "base_url": f"http://127.0.0.1:{server.server_port}", "content_hash": CONTENT_HASH,
        "reasoners": [{"name": "classify", "input_schema": {"type": "object", "required": ["text"]}}],
    }) if SUREFOOT else {}  # fmt: skip
    print(f"registered as {mine['id']}, {mine['status']}" if mine else "not registered", flush=True)
    while not over.wait(60):
        if mine:
            beat(mine["id"])
    server.shutdown()


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(str(error))
