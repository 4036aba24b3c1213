"""The name a request asks for: is it this machine, spoken to by itself?

A page of another site can make a browser on this machine send requests here (DNS rebinding), but only under a name of
its own. Where no token protects anything, only the names that every machine has for itself are answered.
"""

from __future__ import annotations

HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})


def name_of(host: str) -> str:
    """Give the name in a Host header, without its port."""
    host = host.strip().lower()
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


def is_here(host: str) -> bool:
    """Whether a Host header names this machine itself."""
    return name_of(host) in HERE
