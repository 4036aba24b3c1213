"""Signs of life: `/health` says that the process answers, `/ready` that it can serve and record, `/metrics` how much.

Readiness is looked at once a second at most, however often it is asked for, because it writes to the store. The counts
of all workers are shown by whoever is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from starlette.types import Receive, Scope, Send

from surefoot.core.errors import Forbidden, SurefootError, Unavailable
from surefoot.core.exposition import Sample, family, labelled, labels, merged
from surefoot.core.token import must_may
from surefoot.gateway.admission import admitted
from surefoot.gateway.answers import answer, document, headers_of, refuse
from surefoot.gateway.house import House
from surefoot.ports.vitals import Totals

LOOKED_S = 1.0
PATIENCE_S = 2.0
_KIND = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class Signs:
    """The three routes."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._since = time.monotonic()
        self._began = time.time()
        self._schema = ""
        self._looked_at = float("-inf")
        self._problem: SurefootError | None = None
        self._looking = asyncio.Lock()

    async def health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Say that the process answers."""
        await document(send, {"status": "ok", "up_s": round(time.monotonic() - self._since, 1)})

    async def ready(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Say whether requests may come: the store can be written, is of the known age, and the recorder has room."""
        load = self._house.recorder.load()
        problem = await self._store_problem()
        if self._house.presence.leaving:
            problem = Unavailable("this server is about to end", hint="ask another one")
        elif load.waiting >= load.most:
            problem = Unavailable("the recorder is full", hint="look at the disk of the store")
        if problem is not None:
            await refuse(send, problem)
            return
        await document(send, {"status": "ready", "waiting": load.waiting})

    async def metrics(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Give the counts in the text format of Prometheus, to whoever may look at all agents."""
        try:
            if not await self._house.admission.empty():
                token = (await admitted(scope, headers_of(scope), self._house.admission)).token
                must_may(token, "look")
                if token.agents:
                    raise Forbidden("this token is held to some agents, and the counts are of all",
                                    hint="use one that is good for all agents")  # fmt: skip
            text = await self.everything()
        except SurefootError as error:
            await refuse(send, error)
            return
        await answer(send, 200, text.encode(), [_KIND])

    def mine(self) -> str:
        """Give the counts of this worker; where there are several, each sample says which one it is of."""
        house = self._house
        told = house.tally.text(
            house.recorder.load(), retries=house.forwarding.retries, fallbacks=house.forwarding.fallbacks,
            stale=house.routing.stale, unkept=house.routing.unkept,
            breakers={name: not one.closed for name, one in house.forwarding.breakers.items()},
        )  # fmt: skip
        own = "\n".join([
            *house.measures.lines(),
            *family("refused_tokens_total", "counter", "requests with no token or an unknown one",
                    [("", house.admission.refused)]),
            *family("limited_requests_total", "counter", "requests refused because too many came",
                    [("", house.admission.limited)]),
            *_of_spans(house),
            *_of_the_worker(house, self._began),
        ])  # fmt: skip
        text = f"{told}{own}\n"
        return text if house.presence.panel.folder is None else labelled(text, house.presence.worker)

    async def everything(self) -> str:
        """Give the counts of all workers, and what lies in the store."""
        house = self._house
        now = house.ports.clock()
        totals = await house.ports.store.read(lambda tx: tx.vitals.totals(now))
        return merged([await self.everyone(), "\n".join(_of_the_store(totals))])

    async def everyone(self) -> str:
        """Give the counts of all workers."""
        presence = self._house.presence
        others = await asyncio.to_thread(presence.panel.others, presence.worker)
        return merged([self.mine(), *others])

    async def _store_problem(self) -> SurefootError | None:
        """What is wrong with the store, as it was found a second ago at most."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= LOOKED_S:
                self._problem = await self._looked()
                self._looked_at = time.monotonic()
        return self._problem

    async def _looked(self) -> SurefootError | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self._house.ports.store.write(lambda tx: tx.vitals.schema())
        except TimeoutError:
            return Unavailable("the store does not answer", hint="surefoot doctor looks at it")
        except SurefootError as error:
            return error
        self._schema = self._schema or found
        if found != self._schema:
            return Unavailable(f"the store has become schema {found}", hint="start the server anew")
        return None


def _of_the_store(totals: Totals) -> Iterator[str]:
    def by(first: str, second: str, counts: dict[tuple[str, str], int]) -> list[Sample]:
        return [(labels(**{first: one, second: two}), n) for (one, two), n in sorted(counts.items())]

    def alone(name: str, counts: dict[str, int]) -> list[Sample]:
        return [(labels(**{name: one}), n) for one, n in sorted(counts.items())]

    failed = {agent: n for (agent, verdict), n in totals.verdicts.items() if verdict == "failure"}
    yield from family("rollouts", "gauge", "rollouts by agent and state", by("agent", "state", dict(totals.rollouts)))
    yield from family("verdicts", "gauge", "what is known of requests, by agent and verdict",
                      by("agent", "verdict", dict(totals.verdicts)))  # fmt: skip
    yield from family("failures", "gauge", "failures that stand, by agent", alone("agent", failed))
    yield from family(
        "approvals_open", "gauge", "requests that wait for a person", alone("agent", dict(totals.approvals))
    )
    yield from family("notices", "gauge", "notices to people by state", alone("state", dict(totals.notices)))
    yield from family("workflows", "gauge", "workflows that have not ended", alone("state", dict(totals.workflows)))


def _of_spans(house: House) -> list[str]:
    """Counts of what instrumented programs sent here, and of what an observer outside was told."""
    taking, told = house.taking, house.ports.telemetry.told()
    return [
        *family("spans_total", "counter", "spans and evaluations by what became of them", [
            ('{state="kept"}', taking.lodging.kept), ('{state="repeated"}', taking.lodging.repeated),
            ('{state="refused"}', taking.refused.total()),
        ]),
        *family("spans_waiting_bytes", "gauge", "bytes of requests of OpenTelemetry in hand",
                [("", taking.waiting_bytes)]),
        *family("export_total", "counter", "answers and verdicts for the observer outside, by what became of them", [
            ('{state="taken"}', told.taken), ('{state="lost"}', told.lost),
        ]),
        *family("export_waiting", "gauge", "answers and verdicts that wait to be sent", [("", told.waiting)]),
    ]  # fmt: skip


def _of_the_worker(house: House, began: float) -> list[str]:
    """What an operator asks of each worker: since when it is there, what waits in it, and what it leaves alone."""
    clock, lag = time.monotonic(), house.measures.lag
    rests = [(labels(upstream=name), round(clock - one.opened_at, 1))
             for name, one in sorted(house.forwarding.breakers.items()) if one.opened_at is not None]  # fmt: skip
    return [
        *family("process_start_seconds", "gauge", "when this worker began, in seconds since 1970",
                [("", round(began, 3))]),
        *family("process_laid_seconds", "gauge", "when these counts were taken, in seconds since 1970",
                [("", round(time.time(), 3))]),
        *family("gateway_recorder_room", "gauge", "entries that may wait to be written",
                [("", house.recorder.load().most)]),
        *family("gateway_breaker_open_seconds", "gauge", "how long upstreams have been left alone", rests),
        *family("ingest_lag_seconds", "gauge", "from the first byte of the latest spans until they were durable",
                [("", round(lag.took, 6))]),
        *family("ingest_at_seconds", "gauge", "when the latest spans were durable, in seconds since 1970",
                [("", round(lag.at, 3))]),
        *family("ingest_oldest_seconds", "gauge", "how long the oldest spans in hand have waited",
                [("", round(lag.oldest(time.perf_counter()), 6))]),
        *family("redactions_total", "counter", "what was taken out of what came in, by kind",
                ((labels(kind=kind), n) for kind, n in sorted(house.redacted.items()))),
    ]  # fmt: skip
