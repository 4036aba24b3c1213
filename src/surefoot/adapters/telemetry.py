"""Telemetry: what was answered and judged goes to a receiver of OTLP, from a thread of its own.

Whoever tells waits for nothing: it is a place in a bounded queue, or a count of what was lost. The thread sends what
has gathered once a second, tries again while the receiver says that it cannot now, and gives a batch up after a
minute. It redacts before it sends, follows no redirects, and uses no proxies of the environment. At the end there are
`END_S` for all that still waits; what was not taken by then is lost, and counted as that.
"""

from __future__ import annotations

import threading
import time
import urllib.parse
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from surefoot.adapters.clients import client
from surefoot.core.errors import Invalid
from surefoot.core.score import Outcome
from surefoot.core.trace import Trace
from surefoot.core.traceparent import trace_id_of
from surefoot.ports.telemetry import Answered, Told

if TYPE_CHECKING:
    import httpx2

AGAIN = frozenset({429, 502, 503, 504})
EVERY_S, TIMEOUT_S, PAUSE_S, MOST_PAUSE_S, ATTEMPTS = 1.0, 10.0, 0.5, 30.0, 8
END_S = 5.0
BATCH = 256
MOST_PIECES = 64
MOST_REMEMBERED = 20_000
Judged = tuple[str, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where it goes: the address before `/v1/traces`, the headers, and whether texts go along."""

    endpoint: str
    headers: Mapping[str, str]
    texts: bool = False


def headers_in(told: str) -> dict[str, str]:
    """Read headers as OpenTelemetry writes them into the environment: `name=value,name=value`, percent-encoded."""
    pairs = [pair.partition("=") for pair in told.split(",") if pair.strip()]
    return {name.strip().lower(): urllib.parse.unquote(value.strip()) for name, sign, value in pairs if sign}


class OtlpTelemetry:
    """The telemetry of one process; implements `ports.telemetry.Telemetry`. It ends with `close`."""

    def __init__(
        self, receiver: Receiver, redact: Callable[[Trace], Trace], *, most: int, version: str,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:  # fmt: skip
        if not receiver.endpoint.startswith(("http://", "https://")):
            raise Invalid(f"export.otlp_endpoint {receiver.endpoint!r} is no address", hint="write http://HOST:4318")
        self._receiver = receiver
        self._redact = redact
        self._most = most
        self._version = version
        self._queue: deque[Answered | Judged] = deque()
        self._outside: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self._taken = self._lost = self._in_hand = 0
        self._ending = threading.Event()
        self._until = float("inf")
        self._pause = sleep or self._ending.wait
        self._client: httpx2.Client | None = None
        self._thread: threading.Thread | None = None

    def answered(self, one: Answered) -> None:
        """Tell of an answer."""
        self._put(one)

    def judged(self, agent: str, outcome: Outcome) -> None:
        """Tell of a verdict."""
        self._put((agent, outcome))

    def told(self) -> Told:
        """Give how it went."""
        with self._lock:
            return Told(taken=self._taken, lost=self._lost, waiting=len(self._queue) + self._in_hand)

    def close(self) -> None:
        """Send what waits, once, and end; what a slow receiver did not take within `END_S` is lost."""
        with self._lock:
            self._until = min(self._until, time.monotonic() + END_S)
        self._ending.set()
        if self._thread is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))
        with self._lock:
            self._lost += len(self._queue) + self._in_hand
            self._queue.clear()
            self._in_hand = 0

    def _put(self, one: Answered | Judged) -> None:
        with self._lock:
            if len(self._queue) >= self._most or self._ending.is_set():
                self._lost += 1
                return
            self._queue.append(one)
            if self._thread is None:  # few commands have anything to tell
                self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(EVERY_S):
            self._send_all()
        self._send_all()
        if self._client is not None:
            self._client.close()

    def _send_all(self) -> None:
        while batch := self._batch():
            try:
                sent = self._send(batch)
            except Exception:  # noqa: BLE001  whatever it is, the thread goes on, and the loss is counted
                sent = 0
            with self._lock:
                if not self._in_hand:  # given up at the end, and counted there
                    return
                self._taken += sent
                self._lost += len(batch) - sent
                self._in_hand = 0

    def _batch(self) -> list[Answered | Judged]:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._in_hand = len(batch)
        return batch

    def _send(self, batch: list[Answered | Judged]) -> int:
        """Send a batch as up to two requests; gives how much of it was taken, or left out as it should be."""
        from surefoot.adapters.otlp import exporting

        requests = [one for one in batch if isinstance(one, Answered)]
        verdicts = [one for one in batch if not isinstance(one, Answered)]
        for one in requests:
            self._remember(one.trace.id, exporting.outside_id(one))
        wanted = [(one, self._redact(one.trace)) for one in requests if exporting.sampled(one)]
        told = [(agent, one, self._outside.get(one.trace_id) or trace_id_of(one.trace_id)) for agent, one in verdicts]
        traces = exporting.traces_request(wanted, version=self._version, texts=self._receiver.texts)
        logs = exporting.logs_request(told, version=self._version)
        done = len(requests) if not wanted or self._post("/v1/traces", traces.SerializeToString()) else 0
        return done + (len(verdicts) if told and self._post("/v1/logs", logs.SerializeToString()) else 0)

    def _remember(self, ours: str, outside: str) -> None:
        self._outside[ours] = outside
        if len(self._outside) > MOST_REMEMBERED:
            self._outside.popitem(last=False)

    def _post(self, path: str, content: bytes) -> bool:
        """Send until it is taken; false when the receiver refuses it, or keeps failing."""
        pause = PAUSE_S
        for attempt in range(ATTEMPTS):
            status, asked_s = self._posted(path, content)
            if status is not None and status < 300:
                return True
            if (status is not None and status not in AGAIN) or attempt == ATTEMPTS - 1 or self._ending.is_set():
                return False
            self._pause(min(MOST_PAUSE_S, max(pause, asked_s)))
            pause *= 2
        return False

    def _posted(self, path: str, content: bytes) -> tuple[int | None, float]:
        """The status of an answer (None without one), and for how many seconds it asks to be left alone."""
        headers = {"content-type": "application/x-protobuf", **self._receiver.headers}
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            return None, 0.0
        import httpx2

        self._client = self._client or client(TIMEOUT_S)
        try:
            with self._client.stream(
                "POST", self._receiver.endpoint.rstrip("/") + path, content=content, headers=headers,
                timeout=min(TIMEOUT_S, left_s),
            ) as answer:  # fmt: skip
                for _ in islice(answer.iter_raw(), MOST_PIECES):
                    pass  # it is read so that the connection can be used again
                told = answer.headers.get("retry-after", "")
                return answer.status_code, float(told) if told.isdigit() else 0.0
        except (httpx2.TransportError, httpx2.InvalidURL):
            return None, 0.0
