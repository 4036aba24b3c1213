"""Execute: give a request to the version that it belongs to, and write down how it ended.

Who serves is decided as everywhere: the unit (session, else actor, else workflow, else the request) keeps its version,
by the rollout's hash and pins; nothing else chooses, so no older or unversioned process can get in front (S1-29 to
S1-32). If the assigned version has no healthy process, the live one stands in: the request is then a failure of the
version that was assigned, in a trace of its own that no later outcome can turn into a success, and what the stand-in
answered counts for no arm (intention to treat). If the live one has none either, nobody is asked and that is a failure
too. The holdback is an exception: the version it holds back is often not running any more, and says nothing then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from surefoot.core.build import Build
from surefoot.core.errors import Invalid, NotFound, Unavailable
from surefoot.core.execution import Execution, sent
from surefoot.core.process import Process, chosen, counted
from surefoot.core.rollout.standing import HOLDBACK
from surefoot.core.trace import Trace
from surefoot.engine.fit import must_fit
from surefoot.engine.serve import Seat, seated, storable
from surefoot.engine.settle import failed_before, text_of, trace_of, veiled
from surefoot.ports import Ports, Tx
from surefoot.ports.node import Schemas
from surefoot.ports.recorder import Full

_NAMES = ("session", "actor", "workflow", "parent", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks of an agent; `target` is `AGENT.REASONER`."""

    target: str
    input: object
    by: str
    session: str = ""
    actor: str = ""
    workflow: str = ""
    parent: str = ""
    source: str = ""
    webhook: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seated:
    """Which process of which build gets a request, and why it is not the assigned one where it is not."""

    build: Build
    process: Process
    path: str
    stood_in_for: str = ""


class NobodyThere(Unavailable):
    """No healthy process of the version that should serve: see which there are, and start one."""


def split(target: str) -> tuple[str, str]:
    """Give the agent and the reasoner of `AGENT.REASONER`."""
    agent, _, reasoner = target.partition(".")
    if not agent or not reasoner:
        raise Invalid(f"{target!r} names no reasoner", hint="ask for AGENT.REASONER, such as classifier.classify")
    return agent, reasoner


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """How a server takes care of an execution: for how long at most, under which name, and until when it is believed.

    `asynchronous` ones wait for their turn, of which there may be `most_waiting`; for the others a caller waits. There
    may be `most_open` that are not over, `most_open_of_agent` of one agent.
    """

    deadline: timedelta
    owner: str
    held: timedelta
    asynchronous: bool
    most_waiting: int
    most_open: int
    most_open_of_agent: int


async def opened(
    ports: Ports, asked: Request, handling: Handling, schemas: Schemas | None = None
) -> Execution:  # fmt: skip
    """Decide who serves, and write the execution down before anything is sent.

    NotFound for a reasoner that is not offered, Invalid for input that does not fit, NobodyThere where no process can
    serve, Full where too many wait.
    """
    agent, reasoner = split(asked.target)
    name, now, named = ports.new_id(), ports.clock(), _names(ports, asked)
    unit = named.session or named.actor or named.workflow or name
    live = await ports.store.read(lambda tx: _offered(tx, agent, reasoner))
    await must_fit(schemas, live, reasoner, asked.input)
    seat, kept = await seated(ports, agent, unit), veiled(ports, asked.input)
    trace = Trace(
        id=name, agent=agent, version=seat.version, unit=unit, input=text_of(kept), output="", finish="error", at=now,
        rollout=seat.rollout, arm=seat.arm, weight_percent=seat.assignment.weight_percent,
        epoch=seat.assignment.epoch, source=named.source, slices=dict(named.slices), session=named.session,
        actor=named.actor,
    )  # fmt: skip

    def work(tx: Tx) -> Execution | NobodyThere:
        if handling.asynchronous and tx.executions.waiting() >= handling.most_waiting:
            raise Full(f"{handling.most_waiting} executions wait to be sent", hint="try again in a moment")
        _room(tx, agent, handling)
        found = _seat(tx, ports, seat, trace, reasoner)
        if isinstance(found, NobodyThere):
            return found  # and not raised: the failure that it is has to be kept
        one = _first(found, trace, replace(named, input=asked.input), kept, handling)
        tx.executions.add(one)
        return one

    done = await ports.store.write(work)
    if isinstance(done, NobodyThere):
        raise done
    return done


def _room(tx: Tx, agent: str, handling: Handling) -> None:
    """Raise Full where too many are open: whoever answers that it will report, and never does, fills nothing up."""
    every, mine = tx.executions.open(agent)
    if mine >= handling.most_open_of_agent:
        raise Full(f"{mine} executions of {agent} are open", hint="let its processes report, or cancel some")
    if every >= handling.most_open:
        raise Full(f"{every} executions are open", hint="try again in a moment")


def _first(found: Seated, trace: Trace, named: Request, kept: object, handling: Handling) -> Execution:
    """Give an execution as it begins; one whose caller waits is sent at once, which saves a write."""
    if found.stood_in_for:  # what a stand-in answers counts for no arm
        trace = replace(trace, rollout="", arm="incumbent", weight_percent=0.0, epoch=0)
    until = trace.at + handling.held
    one = Execution(
        id=trace.id, agent=trace.agent, reasoner=split(named.target)[1], version=found.build.version,
        number=found.build.number, process=found.process.id, base_url=found.process.base_url, path=found.path,
        unit=trace.unit, at=trace.at, deadline=trace.at + handling.deadline, by=named.by, input=kept,
        intact=kept == named.input, asynchronous=handling.asynchronous, rollout=trace.rollout, arm=trace.arm,
        weight_percent=trace.weight_percent, epoch=trace.epoch, stood_in_for=found.stood_in_for,
        source=named.source, session=named.session, actor=named.actor, workflow=named.workflow,
        parent=named.parent, webhook=named.webhook, owner=handling.owner, held_until=until, slices=dict(named.slices),
    )  # fmt: skip
    return one if handling.asynchronous else sent(one, handling.owner, until, trace.at)


def _names(ports: Ports, asked: Request) -> Request:
    """Give a request with all its names as they may be stored."""
    changed = {name: ports.redact_name(storable(getattr(asked, name))) for name in _NAMES}
    slices = ports.redact_slices({storable(name): storable(value) for name, value in asked.slices.items()})
    return replace(asked, **changed, slices=slices)


def _offered(tx: Tx, agent: str, reasoner: str) -> Build:
    """Give the live version if it offers the reasoner, else NotFound: a newer one cannot serve everybody yet."""
    live, builds = tx.builds.numbered(agent, tx.agents.get(agent).live), tx.builds.all(agent)
    if live is None:
        raise Invalid(
            f"the versions of {agent} are no processes, so they have no reasoners",
            hint="ask for it by /v1/chat/completions; or register a process under an agent name of its own",
        )
    if live.path_of(reasoner) is None:
        newer = [build.version for build in builds if build.path_of(reasoner)]
        names = sorted(one.name for one in (*live.reasoners, *live.skills))
        raise NotFound(
            f"{agent} {live.version}, which is live, has no reasoner {reasoner!r}",
            hint=f"it has {', '.join(names[:20]) or 'none'}" + (f"; {newer[-1]} would have it" if newer else ""),
        )
    return live


def _seat(tx: Tx, ports: Ports, seat: Seat, trace: Trace, reasoner: str) -> Seated | NobodyThere:
    found = _able(tx, trace.agent, seat.version, reasoner, trace.id, trace.at)
    if isinstance(found, Seated):
        return found
    blamed = not trace.rollout.endswith(HOLDBACK)
    if blamed:
        failed_before(tx, replace(trace, id=ports.new_id()), found)
    live = tx.agents.get(trace.agent).live
    if live != seat.version:
        stand_in = _able(tx, trace.agent, live, reasoner, trace.id, trace.at)
        if isinstance(stand_in, Seated):
            return replace(stand_in, stood_in_for=_called(tx, trace.agent, seat.version))
        found = f"{found}; {stand_in}"
    return NobodyThere(found, hint=f"start one, or look: surefoot processes {trace.agent}")


def _able(
    tx: Tx, agent: str, number: int, reasoner: str, key: str, now: datetime, but: Iterable[str] = ()
) -> Seated | str:
    """Give a healthy process of one version for a request, or the sentence that says why there is none."""
    build = tx.builds.numbered(agent, number)
    if build is None:
        return f"{agent} v{number} is no process"
    path = build.path_of(reasoner)
    if path is None:
        return f"{agent} {build.version} has no reasoner {reasoner!r}"
    there = tx.processes.of(agent, number)
    process = chosen(there, now, key, but=frozenset(but))
    if process is None:
        seen = ", ".join(f"{count} {word}" for word, count in sorted(counted(there, now).items())) or "none registered"
        return f"{agent} {build.version} has no healthy process ({seen})"
    return Seated(build=build, process=process, path=path)


def _called(tx: Tx, agent: str, number: int) -> str:
    build = tx.builds.numbered(agent, number)
    return build.version if build else f"v{number}"


def elsewhere(tx: Tx, ports: Ports, one: Execution, because: str, tried: Iterable[str]) -> Execution:
    """Give an execution to another process, since nobody heard of it yet; as it is where there is no other.

    The next instance of the same version, else the live version in its stead.
    """
    now, live = ports.clock(), tx.agents.get(one.agent).live
    again = _able(tx, one.agent, one.number, one.reasoner, one.id, now, tried)
    if isinstance(again, str) and live != one.number:
        again = _able(tx, one.agent, live, one.reasoner, one.id, now, tried)
        if isinstance(again, Seated):
            if not one.rollout.endswith(HOLDBACK):
                failed_before(tx, replace(trace_of(one, now), id=ports.new_id()), because)
            one = replace(one, rollout="", arm="incumbent", weight_percent=0.0, epoch=0, stood_in_for=one.version)
    if isinstance(again, str):
        return one
    return replace(
        one, version=again.build.version, number=again.build.number, process=again.process.id,
        base_url=again.process.base_url, path=again.path,
    )  # fmt: skip
