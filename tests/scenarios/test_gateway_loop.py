"""The whole loop through the gateway: an app with an OpenAI client and people with HTTP; nothing else.

Tickets are asked by the unmodified client, their labels come hours later by HTTP, an operator asks for ticks by HTTP
(processes of their own do them), a canary serves a share of the visitors, a person approves by HTTP, the new version is
live, and an operator steps back by HTTP. Time is the story's, and that of the machine while a tick runs; the offline
model answers behind the gateway, so this says nothing about language models.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx2 as httpx
import pytest
import uvicorn
from openai import AsyncOpenAI

from surefoot.config import Settings, TokenSettings
from surefoot.core.budget import Budget
from surefoot.core.token import hashed
from surefoot.engine.route import FRESH_S
from surefoot.rehearsal.clock import StoryClock
from surefoot.rehearsal.rows import Row, drawn
from surefoot.rehearsal.stage import Stage, staged
from surefoot.rehearsal.story import LIVE, Cast, Story, cast_of
from surefoot.rehearsal.tickets import TASK, shipped_tickets
from surefoot.rehearsal.traffic import Weather

AGENT, SEED, TICKS = "support", 5, 2
LABELS = ("billing", "delivery", "refund", "technical", "warranty")
TOKENS: dict[str, tuple[str, Literal["agent", "reviewer", "operator"]]] = {
    "shop": ("sf_the-app", "agent"),
    "rita": ("sf_reviewer", "reviewer"),
    "ops": ("sf_operator", "operator"),
}
LOOK = timedelta(hours=2)


@dataclass
class Shop:
    """An app that sorts tickets with an OpenAI client, and learns hours later which label was right."""

    client: AsyncOpenAI
    http: httpx.AsyncClient
    clock: StoryClock
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    late: list[tuple[float, str, str]] = field(default_factory=list)
    visitors: int = 0
    served: list[tuple[str, int]] = field(default_factory=list)

    async def ask(self, text: str, session: str, **given: Any) -> tuple[str, int, str]:
        """Give the answer, its version and the id of its trace."""
        raw = await self.client.chat.completions.with_raw_response.create(
            model=AGENT, messages=[{"role": "user", "content": text}],
            extra_headers={"X-Surefoot-Session": session, "X-Surefoot-Actor": session}, **given,
        )  # fmt: skip
        answer = raw.parse()
        said = str(answer.choices[0].message.content)
        return said, int(raw.headers["x-surefoot-version"]), raw.headers["x-surefoot-trace-id"]

    async def visit(self, row: Row) -> None:
        """One visitor asks once; of most the label comes later."""
        self.clock.advance(self.clock() + timedelta(seconds=self.chance.expovariate(1200 / 86_400)))
        await self.post(self.clock().timestamp())
        self.visitors += 1
        name = f"visitor-{self.visitors}"
        _, version, trace_id = await self.ask(row.input, name)
        self.served.append((name, version))
        if self.chance.random() < 0.85:
            due = self.clock().timestamp() + self.chance.expovariate(1 / (6 * 3600))
            heapq.heappush(self.late, (due, trace_id, row.expected))

    async def post(self, until: float) -> None:
        """Say by HTTP what has come out by now."""
        while self.late and self.late[0][0] <= until:
            due, trace_id, expected = heapq.heappop(self.late)
            self.clock.advance(datetime.fromtimestamp(due, tz=self.clock().tzinfo))
            told = {"trace_id": trace_id, "expected": expected}
            done = await self.http.post(f"/api/v1/agents/{AGENT}/outcomes", json=told, headers=bearer("shop"))
            assert done.status_code == 201, done.text

    async def stretch(self, rows: Sequence[Row], length: timedelta) -> None:
        """Let visitors come for a while."""
        until = self.clock() + length
        while self.clock() < until:
            await self.visit(self.chance.choice(rows))


def bearer(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[who][0]}"}


@asynccontextmanager
async def serving(stage: Stage) -> AsyncGenerator[str]:
    """Serve the gateway with the API behind it on loopback; gives the address."""
    gateway = stage.app.gateway(behind=stage.app.api(loopback=True))
    config = uvicorn.Config(gateway, port=0, log_level="critical", access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    going = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await going
        await gateway.aclose()


@dataclass
class Loop:
    """The chapters of the story; people and programs reach the server by HTTP only."""

    stage: Stage
    shop: Shop
    cast: Cast

    async def get(self, path: str, who: str = "ops") -> Any:
        found = await self.shop.http.get(f"/api/v1{path}", headers=bearer(who))
        assert found.status_code == 200, found.text
        return found.json()

    async def post(self, path: str, body: Any, who: str = "ops", status: int = 0) -> Any:
        done = await self.shop.http.post(f"/api/v1{path}", json=body, headers=bearer(who))
        assert done.status_code == status if status else done.status_code < 300, done.text
        return done.json()

    async def serves(self) -> int:
        """Give the version that a new visitor gets; what was committed holds a moment later."""
        await asyncio.sleep(FRESH_S)
        self.shop.visitors += 1
        return (await self.shop.ask("where is my parcel", f"visitor-{self.shop.visitors}"))[1]

    async def right(self, version: int) -> float:
        """The share of untouched rows that a version gets right; it is pinned, so no part of any experiment."""
        operator = self.shop.client.with_options(api_key=TOKENS["ops"][0], default_query={"version": str(version)})
        asker = Shop(client=operator, http=self.shop.http, clock=self.stage.clock)
        untouched = self.cast.parts["untouched"]
        said = [(await asker.ask(row.input, "exam"))[0].strip() for row in untouched]
        return sum(one == row.expected for one, row in zip(said, untouched, strict=True)) / len(untouched)

    async def learn(self) -> None:
        """Version 1 serves; labels come late, some never."""
        live = [row for split in LIVE for row in self.cast.parts[split]]
        self.shop.chance.shuffle(live)
        for row in live:
            await self.shop.visit(row)
        await self.shop.post(float("inf"))
        assert {version for _, version in self.shop.served} == {1}

    async def improve(self) -> str:
        """An operator asks for ticks until a release opens a canary; gives the rollout.

        Each is a job that a process of its own does, by the clock of this machine: the story catches up with it.
        """
        seen = dict[str, Any]()
        for number in range(TICKS):
            self.stage.clock.advance(datetime.now(UTC))
            asked = await self.post(f"/agents/{AGENT}/ticks", {"release": number == TICKS - 1}, status=202)
            seen = await self.ended(asked["id"])
            self.stage.clock.advance(datetime.now(UTC))
            if rollout := str(seen["result"].get("rollout") or ""):
                return rollout
        raise AssertionError(seen)

    async def ended(self, job: str) -> Any:
        """Look at a job until it has ended well."""
        async with asyncio.timeout(150):
            while (seen := await self.get(f"/jobs/{job}"))["state"] in ("waiting", "running"):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        assert (seen["state"], seen["exit_code"]) == ("done", 0), seen
        return seen

    async def canary(self, rollout: str) -> list[float]:
        """Look every two hours, by what visitors of the gateway got, until it is decided; gives the shares."""
        shares = [0.0]
        for _ in range(40):
            found = await self.post(f"/rollouts/{rollout}/step", {})
            state, share = found["state"], found["weight_percent"]
            if state == "awaiting_approval":
                decided = await self.approved()
                state, share = decided["rollout_state"], decided["weight_percent"]
            shares += [share] if share != shares[-1] else []
            if state == "promoted":
                return shares
            assert state in ("canary", "ramping", "awaiting_approval", "majority"), found
            await asyncio.sleep(FRESH_S)
            await self.shop.stretch(self.cast.parts["later"], LOOK)
        raise AssertionError(shares)

    async def approved(self) -> Any:
        """A reviewer decides on what was looked at; the app's own token may not."""
        (waiting,) = (await self.get("/approvals", "rita"))["approvals"]
        body = {"decision": "approved", **{name: waiting[name] for name in ("version_hash", "evidence_hash")}}
        path = f"/approvals/{waiting['id']}/decision"
        await self.post(path, body, "shop", status=403)
        decided = await self.post(path, body, "rita")
        assert (decided["state"], decided["decided_by"]) == ("approved", "rita")
        return decided


@asynccontextmanager
async def looped(folder: Path) -> AsyncGenerator[Loop]:
    """Everything set up: an agent whose prompt only names its labels, sealed cases, tokens, a server, a worker."""
    rows = drawn([row for row in shipped_tickets() if row.expected in LABELS], 800, seed=SEED)
    cast = cast_of(AGENT, rows, seed=SEED, task=TASK, model="local-lexical", ticks=TICKS, weather=Weather())
    tokens = {name: TokenSettings(sha256=hashed(token), role=role) for name, (token, role) in TOKENS.items()}
    async with (
        staged(folder / "store.db", seed=SEED, settings=Settings(tokens=tokens), budget=Budget(usd=1.0)) as stage,
        serving(stage) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as http,
        AsyncOpenAI(api_key=TOKENS["shop"][0], base_url=f"{url}/v1", max_retries=0, timeout=30) as client,
    ):
        await Story(stage, cast, lambda _name, _facts: None).begin()
        yield Loop(stage=stage, shop=Shop(client=client, http=http, clock=stage.clock), cast=cast)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_an_app_with_an_openai_client_goes_round_the_whole_loop(tmp_path: Path) -> None:
    async with looped(tmp_path) as loop:
        await loop.learn()
        assert (await loop.get(f"/agents/{AGENT}"))["live"] == 1
        rollout = await loop.improve()
        challenger = (await loop.get(f"/rollouts/{rollout}"))["challenger"]
        before, after = await loop.right(1), await loop.right(challenger)
        assert after > before, "on what neither the improver nor the gate has seen"

        first = len(loop.shop.served)
        shares = await loop.canary(rollout)
        assert {version for _, version in loop.shop.served[first:]} == {1, challenger}
        assert shares[1] < shares[-1]
        assert (await loop.get(f"/agents/{AGENT}"))["live"] == challenger
        assert await loop.serves() == challenger

        back = await loop.post(f"/agents/{AGENT}/rollback", {"reason": "a rehearsal"})
        assert (back["live"], back["before"]) == (1, challenger)
        assert await loop.serves() == 1
        assert (await loop.get("/audit/verify"))["intact"]
        entries = (await loop.get("/audit?limit=500"))["entries"]
        assert {"rita", "ops"} <= {entry["actor"] for entry in entries}
        print(f"{len(loop.shop.served)} visitors; shares {shares}; right {before:.3f}, then {after:.3f}")
