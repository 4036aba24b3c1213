"""Enrol: a process announces itself, says that it lives, and leaves.

A version string that is new becomes a candidate of ours, which takes no traffic before its rollout; one that is known
must come with the same content, whoever registers it. The first process of an agent that nobody with the right to
operate has let in waits for that, so that a token for programs cannot put a program before users. S1-21 to S1-24.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from surefoot.core.agent import Agent, Habits
from surefoot.core.build import Build, Reasoner, genome_of, is_build, must_be_same
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.policy import Policy
from surefoot.core.process import Process, admitted, examined, process_id, renewed
from surefoot.core.version import Version
from surefoot.engine.fit import must_be_schemas
from surefoot.engine.register import create_agent
from surefoot.ports import Ports, Tx
from surefoot.ports.node import Node, Schemas

MODEL = "process"
MOST_BUILDS = 1_000
MOST_OF_ONE = 100
MOST_PROCESSES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a process says of itself; `content` may stand for its hash, and with both they must agree."""

    agent: str
    version: str
    base_url: str
    content_hash: str = ""
    content: str = ""
    reasoners: tuple[Reasoner, ...] = ()
    skills: tuple[Reasoner, ...] = ()
    tags: tuple[str, ...] = ()
    state: str = "ready"

    @property
    def build(self) -> Build:
        """The build that it announces; Invalid where it does not say what is in it, or says two things."""
        made = hashlib.sha256(self.content.encode("utf-8", "surrogatepass")).hexdigest() if self.content else ""
        given = self.content_hash.lower()
        if not made and not given:
            raise Invalid(
                f"{self.agent} {self.version} does not say what is in it",
                hint="send content_hash (the SHA-256 of its prompt and code), or the content itself",
            )
        if made and given and made != given:
            raise Invalid("content_hash is not the SHA-256 of the content", hint="send one of the two")
        return Build(
            agent=self.agent, version=self.version, content_hash=made or given, reasoners=self.reasoners,
            skills=self.skills,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """An instance as it is registered, its build, and whether the version or the agent is new."""

    process: Process
    build: Build
    new_version: bool
    new_agent: bool


async def register(
    ports: Ports, node: Node, announced: Announced, *, by: str, operates: bool, ttl: timedelta,
    schemas: Schemas | None = None,
) -> Enrolled:  # fmt: skip
    """Register a process; Conflict for a known version with other content, Forbidden for an address out of bounds.

    Invalid for schemas that nobody could be held to.
    """
    base_url = await node.permit(announced.base_url)
    build = announced.build
    await must_be_schemas(schemas, build)
    new_agent = await _agent_there(ports, build, by=by)

    def work(tx: Tx) -> Enrolled:
        known = tx.builds.named(build.agent, build.version)
        if known is not None:
            must_be_same(known, build)
        kept = known or _made(tx, ports, build, by=by)
        process = _registered(tx, ports, announced, kept, base_url, by=by, operates=operates, ttl=ttl)
        return Enrolled(process=process, build=kept, new_version=known is None, new_agent=new_agent)

    done = await ports.store.write(work)
    return replace(done, process=await examine(ports, node, done.process, done.build))


async def _agent_there(ports: Ports, build: Build, *, by: str) -> bool:
    """Create the agent if it is new; it is report-only, since no improver can rewrite a program that it cannot see."""
    names = await ports.store.read(lambda tx: {one.name for one in tx.agents.all()})
    if build.agent in names:
        return False
    with contextlib.suppress(Conflict):  # another instance was faster
        await create_agent(
            ports, build.agent, genome_of(build), by=by, policy=Policy(autonomy="report_only"),
            habits=Habits(model=MODEL),
        )  # fmt: skip
        return True
    return False


def _made(tx: Tx, ports: Ports, build: Build, *, by: str) -> Build:
    """Make a version of a build that is new; the first build of an agent is the version it was created with."""
    agent, genome = tx.agents.get(build.agent), genome_of(build)
    if not is_build(tx.versions.genome(agent.base)):
        raise Conflict(
            f"the versions of {agent.name} are genomes that a model speaks, not processes",
            hint="register the process under an agent name of its own",
        )
    versions = tx.versions.all(agent.name)
    same = next((one.number for one in versions if one.genome == genome.digest), None)
    if same is None:
        if len(versions) >= MOST_BUILDS:
            raise Conflict(f"{agent.name} has {MOST_BUILDS} versions", hint="register under another agent name")
        same = _candidate(tx, ports, agent, build, len(versions) + 1, by=by)
    made = replace(build, number=same)
    tx.builds.add(made)
    return made


def _candidate(tx: Tx, ports: Ports, agent: Agent, build: Build, number: int, *, by: str) -> int:
    now, genome = ports.clock(), genome_of(build)
    version = Version(
        agent=agent.name, number=number, genome=genome.digest, parent=agent.live, author=by,
        rationale=f"a process registered as {build.version}", state="candidate", created_at=now,
    )  # fmt: skip
    tx.versions.add(version, genome)
    tx.audit.append(
        at=now, actor=by, action="candidate", subject=f"{agent.name}/{version.label}",
        payload={"genome": genome.digest, "parent": agent.live, "process": build.version,
                 "content": build.content_hash},
    )  # fmt: skip
    return number


def _registered(
    tx: Tx, ports: Ports, announced: Announced, build: Build, base_url: str, *, by: str, operates: bool, ttl: timedelta
) -> Process:  # fmt: skip
    now, name = ports.clock(), process_id(build.agent, build.version, base_url)
    if operates:
        _let_in(tx, build.agent, now=now, by=by)
    known = _is_let_in(tx, build.agent)
    if (before := tx.processes.find(name)) is not None:
        again = renewed(before, now, ttl, says=announced.state)
        return tx.processes.swap(replace(
            again, tags=announced.tags, by=by, registered_at=now, let_in=before.let_in or known
        ))  # fmt: skip
    if len(tx.processes.of(build.agent)) >= MOST_OF_ONE or tx.processes.count() >= MOST_PROCESSES:
        raise Conflict(
            f"there are {MOST_OF_ONE} processes of {build.agent}, or {MOST_PROCESSES} in all",
            hint="end those that are gone: DELETE /api/v1/agents/{agent}/processes/{id}",
        )
    fresh = Process(
        id=name, agent=build.agent, version=build.version, number=build.number, base_url=base_url, registered_at=now,
        seen_at=now, lease_until=now + ttl, by=by, tags=announced.tags, let_in=known,
    )  # fmt: skip
    process = renewed(fresh, now, ttl, says=announced.state)
    tx.processes.add(process)
    tx.audit.append(
        at=now, actor=by, action="process-registered", subject=f"{build.agent}/v{build.number}",
        payload={"process": name, "version": build.version, "base_url": base_url, "let_in": known},
    )  # fmt: skip
    return process


async def examine(ports: Ports, node: Node, process: Process, build: Build) -> Process:
    """Ask a process how it is, and write down what changed; somebody who wrote meanwhile was faster."""
    vital = await node.vital(process.base_url)

    def work(tx: Tx) -> Process:
        found = tx.processes.find(process.id)
        if found is None:
            return process
        after = examined(found, vital, build.content_hash)
        return found if after == found else tx.processes.swap(after)

    if examined(process, vital, build.content_hash) == process:
        return process
    return await ports.store.write(work)


async def heartbeat(
    ports: Ports, node: Node, agent: str, process: str, *, says: str, ttl: timedelta
) -> Process:  # fmt: skip
    """Renew the lease of a process; one that was not well is asked at once how it is."""
    now = ports.clock()

    def work(tx: Tx) -> tuple[Process, Build]:
        after = tx.processes.swap(renewed(_there(tx, agent, process), now, ttl, says=says))
        return after, _build(tx, after)

    after, build = await ports.store.write(work)
    return after if after.health == "healthy" else await examine(ports, node, after, build)


async def leave(ports: Ports, agent: str, process: str, *, by: str) -> Process:
    """Forget a process: it is asked nothing any more. Its version stays, as versions do."""

    def work(tx: Tx) -> Process:
        found = _there(tx, agent, process)
        tx.processes.remove(process)
        tx.audit.append(at=ports.clock(), actor=by, action="process-ended", subject=f"{agent}/v{found.number}",
                        payload={"process": process, "version": found.version})  # fmt: skip
        return found

    return await ports.store.write(work)


async def admit(ports: Ports, agent: str, process: str, *, by: str) -> Process:
    """Let a process in, and those of its agent that come later."""
    now = ports.clock()

    def work(tx: Tx) -> Process:
        after = tx.processes.swap(admitted(_there(tx, agent, process)))
        _let_in(tx, agent, now=now, by=by)
        tx.audit.append(at=now, actor=by, action="process-admitted", subject=f"{agent}/v{after.number}",
                        payload={"process": process, "version": after.version})  # fmt: skip
        return after

    return await ports.store.write(work)


async def processes(ports: Ports, agent: str) -> tuple[Agent, Sequence[Build], Sequence[Process]]:
    """Give an agent with its builds and their instances."""
    return await ports.store.read(lambda tx: (tx.agents.get(agent), tx.builds.all(agent), tx.processes.of(agent)))


def _there(tx: Tx, agent: str, process: str) -> Process:
    found = tx.processes.find(process)
    if found is None or found.agent != agent:
        raise NotFound(f"{agent} has no process {process!r}", hint="register it again; a registration gives the id")
    return found


def _build(tx: Tx, process: Process) -> Build:
    build = tx.builds.named(process.agent, process.version)
    assert build is not None, "a process has a build"
    return build


def _is_let_in(tx: Tx, agent: str) -> bool:
    return tx.marks.get(f"{agent}/let-in") is not None


def _let_in(tx: Tx, agent: str, *, now: datetime, by: str) -> None:
    if not _is_let_in(tx, agent):
        tx.marks.add(f"{agent}/let-in", {"by": by}, now)
