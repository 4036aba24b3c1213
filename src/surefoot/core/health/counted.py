"""What the processes of a server have counted since they began, as lines: what comes in, and what is asked outside.

The figures are over all processes together; a process that has fallen silent is named. Where nobody counts (the
dashboard runs without the gateway) that is said, and nothing is called good.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from surefoot.core.exposition import Reading
from surefoot.core.figure import count, span, things
from surefoot.core.health.sign import Sign, by_share

LAG_WATCH_S, LAG_BAD_S = 2.0, 10.0
QUEUE_WATCH, QUEUE_BAD = 0.5, 0.9
SILENT_S = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Counted:
    """The readings of all processes, by name."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def __bool__(self) -> bool:
        return bool(self._readings)

    def of(self, name: str, **labels: str) -> list[Reading]:
        """Give the readings of a name, and of these labels."""
        full = f"surefoot_{name}"
        mine = [one for one in self._readings if one.name == full]
        return [one for one in mine if all(one.label(key) == value for key, value in labels.items())]

    def sum(self, name: str, **labels: str) -> float:
        """Give the sum over all processes."""
        return sum(one.value for one in self.of(name, **labels))

    def most(self, name: str) -> float:
        """Give the most that a process says; 0 where none says anything."""
        return max((one.value for one in self.of(name)), default=0.0)

    @property
    def began(self) -> datetime | None:
        """When the oldest process began: what is counted is counted since then."""
        began = [one.value for one in self.of("process_start_seconds") if one.value]
        return moment(min(began)) if began else None


def moment(since_epoch_s: float) -> datetime:
    """Give the moment so many seconds after 1970."""
    return _EPOCH + timedelta(seconds=since_epoch_s)


def taking_in(counted: Counted, now: datetime) -> list[Sign]:
    """Give the lines on what comes in."""
    if not counted:
        return [Sign(group="Taking in", name="Server processes", tone="idle", figure="not counted",
                     sentence="No gateway runs in this process, so nothing is counted here.",
                     todo="Start the whole server to see its counts.", command="surefoot serve")]  # fmt: skip
    return [
        _processes(counted, now), _lag(counted), _queue(counted), _refusals(counted), _commits(counted),
        _redactions(counted), _strangers(counted),
    ]  # fmt: skip


def _processes(counted: Counted, now: datetime) -> Sign:
    heard = counted.of("process_laid_seconds")
    silent = sorted(one.label("worker") or "1" for one in heard if now.timestamp() - one.value > SILENT_S)
    if not silent:
        return Sign(group="Taking in", name="Server processes", tone="good", figure=count(len(heard)),
                    sentence=f"All that serve were heard of within {SILENT_S:.0f} seconds.",
                    since=counted.began)  # fmt: skip
    return Sign(
        group="Taking in", name="Server processes", tone="bad", figure=f"{len(heard) - len(silent)} of {len(heard)}",
        sentence=f"Process {', '.join(silent)} has said nothing for {SILENT_S:.0f} seconds.", since=counted.began,
        todo="A dead one is started again by itself; read what it said last.", command="surefoot logs",
    )  # fmt: skip


def _lag(counted: Counted) -> Sign:
    latest = max(counted.of("ingest_at_seconds"), key=lambda one: one.value, default=None)
    held = counted.most("ingest_oldest_seconds")
    if (latest is None or not latest.value) and not held:
        return Sign(group="Taking in", name="Ingest lag", tone="idle", figure="no spans yet",
                    sentence="Nothing came by OpenTelemetry since the server began.")  # fmt: skip
    worker = "" if latest is None else latest.label("worker")
    took = max((one.value for one in counted.of("ingest_lag_seconds") if one.label("worker") == worker), default=0.0)
    lag = max(took, held)
    tone = by_share(lag, watch=LAG_WATCH_S, bad=LAG_BAD_S)
    more = f"; some have waited for {span(held)} now" if held > took else ""
    return Sign(
        group="Taking in", name="Ingest lag", tone=tone, figure=span(lag),
        sentence=f"The newest spans were in the store {span(took)} after they came{more}.",
        since=moment(latest.value) if latest is not None and latest.value else None,
        todo="" if tone == "good" else "See whether the disk of the store is busy or full.",
        command="" if tone == "good" else "surefoot doctor",
    )  # fmt: skip


def _queue(counted: Counted) -> Sign:
    waiting, room = counted.sum("gateway_recorder_waiting"), counted.sum("gateway_recorder_room")
    tone = by_share(waiting / room if room else 0.0, watch=QUEUE_WATCH, bad=QUEUE_BAD)
    some = "Entries wait to be written; a full queue refuses what comes."
    return Sign(
        group="Taking in", name="Recorder queue", tone=tone, figure=f"{count(waiting)} of {count(room)}",
        sentence=some if waiting else "Nothing waits to be written.",
        todo="" if tone == "good" else "See whether the disk of the store is busy or full.",
        command="" if tone == "good" else "surefoot doctor",
    )  # fmt: skip


def _refusals(counted: Counted) -> Sign:
    refused, failed = counted.sum("gateway_recorder_refused_total"), counted.sum("gateway_recorder_failed_total")
    spans = counted.sum("spans_total", state="refused")
    if not refused + failed + spans:
        return Sign(group="Taking in", name="Refusals", tone="good", figure="0", since=counted.began,
                    sentence="Nothing that came was refused.")  # fmt: skip
    return Sign(
        group="Taking in", name="Refusals", tone="watch", figure=count(refused + failed + spans), since=counted.began,
        sentence=f"{things(refused, 'entry', 'entries')} had no room, {count(failed)} the store did not take, "
        f"{things(spans, 'span')} could not be read.",
        todo="Callers were told to try again; the log says why.", command="surefoot logs",
    )  # fmt: skip


def _commits(counted: Counted) -> Sign:
    written, commits = counted.sum("gateway_recorder_written_total"), counted.sum("gateway_recorder_commits_total")
    said = f"{things(written, 'entry', 'entries')} in all, {written / max(commits, 1):.1f} at a time."
    return Sign(group="Taking in", name="Group commits", tone="good" if commits else "idle", figure=count(commits),
                since=counted.began, sentence=said if commits else "Nothing was written yet.")  # fmt: skip


def _redactions(counted: Counted) -> Sign:
    kinds: dict[str, float] = {}
    for one in counted.of("redactions_total"):
        kinds[one.label("kind")] = kinds.get(one.label("kind"), 0.0) + one.value
    most = sorted(((n, kind) for kind, n in kinds.items() if n), reverse=True)[:5]
    said = f"Taken out before it was stored: {', '.join(f'{count(n)} {kind}' for n, kind in most)}."
    return Sign(
        group="Taking in", name="Redactions", tone="good" if most else "idle", figure=count(sum(kinds.values())),
        since=counted.began, sentence=said if most else "Nothing had to be taken out of what came.",
    )  # fmt: skip


def _strangers(counted: Counted) -> Sign:
    unknown, many = counted.sum("refused_tokens_total"), counted.sum("limited_requests_total")
    if not unknown + many:
        return Sign(group="Taking in", name="Turned away", tone="good", figure="0", since=counted.began,
                    sentence="Whoever asked had a good token and kept within the limits.")  # fmt: skip
    return Sign(
        group="Taking in", name="Turned away", tone="watch", figure=count(unknown + many), since=counted.began,
        sentence=f"{things(unknown, 'request')} came with no good token, {count(many)} came too often.",
        todo="See whether an app uses a token that expired." if unknown else "See whose limit is too low.",
        command="surefoot token list",
    )  # fmt: skip


def upstreams(counted: Counted, now: datetime) -> list[Sign]:
    """Give a line for each upstream that was asked."""
    if not counted:
        return []
    names = sorted({one.label("upstream") for one in counted.of("gateway_breaker_open")})
    return [_upstream(name, counted, now) for name in names] or [
        Sign(group="Outside", name="Upstreams", tone="idle", figure="none asked",
             sentence="No request went to an upstream since the server began.")
    ]  # fmt: skip


def _upstream(name: str, counted: Counted, now: datetime) -> Sign:
    said = counted.of("gateway_breaker_open", upstream=name)
    left = sum(bool(one.value) for one in said)
    if not left:
        return Sign(group="Outside", name=f"Upstream {name}", tone="good", figure="asked", since=counted.began,
                    sentence="Requests go to it freely.")  # fmt: skip
    rests = max((one.value for one in counted.of("gateway_breaker_open_seconds", upstream=name)), default=0.0)
    who = f" by {left} of {len(said)} processes" if len(said) > 1 else ""
    return Sign(
        group="Outside", name=f"Upstream {name}", tone="bad", figure="left alone",
        since=now - timedelta(seconds=rests) if rests else None,
        sentence=f"It failed again and again and is left alone{who}; now and then one request tries it.",
        todo="See whether it is up, and whether its key is good.", command="surefoot doctor",
    )  # fmt: skip
