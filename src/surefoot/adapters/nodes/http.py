"""Processes by aiohttp: `GET base_url/health`, and JSON posted to a reasoner's path.

Redirects are not followed, cookies not kept, proxies not asked, answers bounded; a process is asked at no address that
the guard has not judged at this very connection. What it answers is data: it is read as JSON or refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
import orjson
from yarl import URL

from surefoot.adapters.nodes.guard import Guard, Judged
from surefoot.core.errors import Forbidden, SurefootError, Unavailable
from surefoot.core.process import Vital
from surefoot.ports.node import Broken, NotSent, Said

CONNECT_S = 5.0
MOST_BYTES = 1024 * 1024
MOST_HEALTH_BYTES = 16 * 1024
_WELL = frozenset({"", "ok", "healthy", "ready", "up", "pass", "active", "running"})


class HttpNode:
    """All processes, over one pool of connections; implements `ports.node.Node`."""

    def __init__(self, guard: Guard, *, probe_s: float = 2.0, most_bytes: int = MOST_BYTES, most: int = 200) -> None:
        self._guard = guard
        self._probe_s = probe_s
        self._most_bytes = most_bytes
        self._most = most
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def _open(self, base_url: str) -> aiohttp.ClientSession:
        """Give the session for one scheme: a resolver is not told for which of them it resolves a name."""
        tls = base_url.startswith("https:")
        if tls not in self._sessions or self._sessions[tls].closed:
            self._sessions[tls] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._most, use_dns_cache=False, resolver=Judged(self._guard, tls=tls),
                    enable_cleanup_closed=False,
                    force_close=True,  # a kept connection to a killed process costs the request that finds out
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S), trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        return self._sessions[tls]

    async def permit(self, base_url: str) -> str:
        """Give the address in its one spelling; Invalid or Forbidden for one that may not be connected to."""
        return await self._guard.permit(base_url)

    async def vital(self, base_url: str) -> Vital:
        """Ask how a process is, in `probe_s` seconds at most."""
        try:
            async with asyncio.timeout(self._probe_s):
                await self._judged(base_url)
                async with self._open(base_url).get(_url(base_url, "/health"), allow_redirects=False) as answer:
                    raw = await _whole(answer, MOST_HEALTH_BYTES)
                    return _vital(answer.status, raw)
        except TimeoutError:
            return Vital(well=False, because=f"GET /health was not answered in {self._probe_s:g} s")
        except SurefootError as problem:
            return Vital(well=False, because=problem.message)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Vital(well=False, because=f"GET /health: {_plain(error)}")

    async def call(self, base_url: str, path: str, body: object, headers: Mapping[str, str], timeout_s: float) -> Said:
        """Post JSON to a process."""
        raw = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        sent = {"content-type": "application/json", "accept": "application/json", **headers}
        async with asyncio.timeout(timeout_s):
            try:
                await self._judged(base_url)
                response = await self._open(base_url).post(
                    _url(base_url, path), data=raw, headers=sent, allow_redirects=False
                )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, Forbidden, Unavailable) as error:
                raise NotSent(f"the process at {base_url} cannot be reached ({_plain(error)})",
                              hint="check that it runs, and that its base_url is right") from None  # fmt: skip
            except (aiohttp.ClientError, OSError) as error:
                raise _broken(base_url, error) from None
            try:
                async with response:
                    return Said(status=response.status, body=_json(await _whole(response, self._most_bytes)))
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise _broken(base_url, error) from None

    async def aclose(self) -> None:
        """Close all connections."""
        for one in self._sessions.values():
            await one.close()
        self._sessions.clear()

    async def _judged(self, base_url: str) -> None:
        """Judge an address that is none of a name server's; the session's resolver judges the others."""
        url = URL(base_url)
        try:
            ipaddress.ip_address((url.host or "").partition("%")[0])
        except ValueError:
            return
        await self._guard.addresses(url.host or "", url.port or 0, tls=url.scheme == "https")


def _url(base_url: str, path: str) -> URL:
    return URL(base_url + path, encoded=True)


async def _whole(answer: aiohttp.ClientResponse, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for piece in answer.content.iter_any():
        parts.append(piece)
        size += len(piece)
        if size > most:
            answer.close()
            raise ValueError(f"more than {most} bytes")
    return b"".join(parts)


def _json(raw: bytes) -> object:
    """Read JSON; orjson refuses NaN, broken characters and what is nested too deep."""
    return orjson.loads(raw) if raw.strip() else None


def _vital(status: int, raw: bytes) -> Vital:
    if status != 200:
        return Vital(well=False, because=f"GET /health answered {status}")
    try:
        said = _json(raw)
    except ValueError:
        return Vital(well=True)  # a plain "ok" is an answer, too
    told = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    word = str(told.get("status", "")).lower()[:40]
    version, content = (str(told.get(name) or "")[:100] for name in ("version", "content_hash"))
    well = word in _WELL
    return Vital(
        well=well, because="" if well else f"GET /health says {word!r}", version=version, content_hash=content,
    )  # fmt: skip


def _broken(base_url: str, error: Exception) -> Broken:
    return Broken(
        f"the answer of the process at {base_url} did not come whole ({_plain(error)})",
        hint="it may have done the work; look there before you ask again",
    )


def _plain(error: Exception) -> str:
    if isinstance(error, SurefootError):
        return error.message
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or type(error.os_error).__name__
    return (str(error) or type(error).__name__)[:200]
