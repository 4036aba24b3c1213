"""HTTP clients: how ours are made that talk to models and to a receiver of telemetry.

None follows a redirect, since the key in its headers is meant for the address in the settings alone. None takes a proxy
of the environment to an address on this machine. All share one TLS context, which takes longer to make than a request.
Others have reasons to be others: the gateway's way to its upstreams is about microseconds, webhooks and processes are
reached at addresses that were judged just before, and the SDK knows no adapters.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

Note = Callable[["httpx2.Response"], Awaitable[None]]


def client(timeout_s: float) -> httpx2.Client:
    """Give a client for plain code that asks no proxy; each step of a request may take so long."""
    import httpx2

    return httpx2.Client(verify=trust(), timeout=timeout_s, trust_env=False, follow_redirects=False)


def async_client(timeout_s: float, *, loopback: bool, on_answer: Note | None = None) -> httpx2.AsyncClient:
    """Give a client for coroutines; `on_answer` hears of each answer that begins to arrive."""
    import httpx2

    hooks: dict[str, list[Callable[..., Any]]] = {"response": [on_answer]} if on_answer is not None else {}
    return httpx2.AsyncClient(
        verify=trust(), timeout=timeout_s, trust_env=not loopback, follow_redirects=False, event_hooks=hooks
    )


@cache
def trust() -> ssl.SSLContext:
    """Give what every client trusts; the first time it takes a while."""
    import httpx2

    return httpx2.create_ssl_context()
