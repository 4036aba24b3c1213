"""Commands on agents and their versions: init, agents, versions, diff."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.core.agent import Agent, Habits
    from surefoot.core.diff import Change
    from surefoot.core.genome import Genome
    from surefoot.core.guardrail import Bounds
    from surefoot.core.policy import Policy
    from surefoot.core.version import Version
    from surefoot.engine.inspect import Overview

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="the agent's name")]
Autonomy = Literal["report_only", "propose", "canary", "auto"]
Stakes = Literal["normal", "high"]
WhenDone = Literal["advise", "stop"]
TOML = """\
# Surefoot's settings. Every key may be left out; docs/reference/configuration.md lists them all.

{store}
# "full" survives power loss, at a disk flush per write.
# durability = "normal"

# A model of your own: any endpoint that speaks OpenAI's protocol. Use it with `surefoot init NAME --model small`.
# [models.small]
# model = "qwen3:8b"
# base_url = "http://127.0.0.1:11434/v1"
# api_key_env = "MY_KEY"       # the variable that holds the key, never the key itself
# price_in = 0.0               # USD per million tokens
# price_out = 0.0

# Lets that model write the proposals: `surefoot init NAME --improver reflect`. (Top-level key: keep it above [models].)
# improver_model = "small"
"""

FREE_ARMS = 3
# An evolution asks the agent's own model on shown cases again and again.
GEPA_CALLS = 400


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "init", section="Start", keys="agent live genome labels model improver store settings next[]")(init)
    command(app, "agents", section="Look", keys="agents[]: name live state tick model improver labels cases requests "
            "successes failures unknown draft rollout weight_percent waits[] created_at")(agents)  # fmt: skip
    command(app, "versions", section="Look", keys="agent live versions[]: number state parent author rationale genome "
            "created_at live; lineage[]: version at by why")(versions)  # fmt: skip
    command(app, "diff", section="Look", keys="agent before after changes[]: id kind lines[] before after")(diff)


async def init(
    desk: Desk,
    name: Annotated[
        str, typer.Argument(metavar="[NAME|DIR]", help="lower-case letters, digits, '-' and '_'; with --repo: where")
    ] = "",
    labels: Annotated[str, typer.Option(metavar="A,B,C", help="the labels it may answer with")] = "",
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="read the genome from a directory")
    ] = None,
    task: Annotated[str, typer.Option(help="what it is to do, in a sentence (with --labels)")] = "",
    model: Annotated[str, typer.Option(help="local-lexical, openai:MODEL, or a name under [models]")] = "local-lexical",
    improver: Annotated[
        str, typer.Option(help="who writes proposals: lexical (no model), reflect, gepa, or an installed one")
    ] = "lexical",
    autonomy: Annotated[
        Autonomy, typer.Option(metavar="report_only|propose|canary|auto", help="what the loop may do without a person")
    ] = "canary",
    stakes: Annotated[Stakes, typer.Option(metavar="normal|high", help="high: reports only")] = "normal",
    min_failures: Annotated[int, typer.Option(min=1, help="failures before anything is proposed")] = 20,
    min_sources: Annotated[int, typer.Option(min=1, help="distinct sources of them (1: a single tenant)")] = 5,
    when_done: Annotated[
        WhenDone, typer.Option(metavar="advise|stop", help="what to do where freezing the agent is recommended")
    ] = "advise",
    tick_calls: Annotated[int | None, typer.Option(min=0, help="model calls a tick may make")] = None,
    tick_usd: Annotated[float | None, typer.Option(min=0, help="US dollars a tick may spend")] = None,
    day_usd: Annotated[float | None, typer.Option(min=0, help="US dollars a day may cost")] = None,
    arms: Annotated[
        int, typer.Option(min=0, max=7, help="proposals that compete for each lever (0: 3 where they are free, else 1)")
    ] = 0,
    by: Annotated[str, typer.Option(metavar="NAME", help="who creates it (default: your login)")] = "",
    repo: Annotated[bool, typer.Option("--repo", help="set up the loop on the git repository in DIR")] = False,
    mission: Annotated[str, typer.Option(metavar="TEXT", help="with --repo: what the repository is to become")] = "",
    coding_agent: Annotated[
        str, typer.Option("--agent", metavar="claude|codex|gemini", help="with --repo: who does the work")
    ] = "",
    program: Annotated[str, typer.Option("--command", metavar="WORDS", help="with --repo: any program instead")] = "",
    gate: Annotated[
        list[str] | None, typer.Option(metavar="KIND=COMMAND", help="with --repo: a gate, in place of those found")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="with --repo: ask nothing")] = False,
) -> None:
    """Create an agent, whose version 1 is live at once.

    Give its labels, or a directory with agent.toml. Writes a surefoot.toml with comments where there is none.
    With --repo it writes genome.md, levers.md, loop-prompt.md and surefoot.toml into a git repository instead.
    """
    if repo:
        from surefoot.cli.repo import init_repo

        where = Path(name or ".")
        await init_repo(desk, where, mission=mission, agent=coding_agent, program=program, gates=gate or (), yes=yes)
        return
    _needed(name)
    from surefoot.core.policy import Policy

    answers = tuple(label.strip() for label in labels.split(",") if label.strip())
    genome = _first_genome(answers, source, task)
    habits = _habits(model, improver, arms=arms, tick_calls=tick_calls, tick_usd=tick_usd, day_usd=day_usd)
    policy = Policy(autonomy=autonomy, stakes=stakes, min_failures=min_failures, min_sources=min_sources,
                    when_done=when_done)  # fmt: skip
    await _created(desk, name, genome, answers, policy, habits, by)


def _needed(name: str) -> None:
    from surefoot.core.errors import Invalid

    if not name:
        raise Invalid("a new agent needs a name", hint="surefoot init NAME --labels a,b,c; or surefoot init --repo")


async def _created(
    desk: Desk, name: str, genome: Genome, answers: tuple[str, ...], policy: Policy, habits: Habits, by: str
) -> None:
    """Create the agent and say what comes next."""
    from surefoot.engine.register import create_agent

    with desk.app(create=True) as app:
        _check_names(app, habits)
        agent = await create_agent(
            app.ports, name, genome, by=by or login(), labels=answers, policy=policy, habits=habits,
            bounds=_bounds(answers),
        )  # fmt: skip
        store = app.settings.store
    wrote = _settings_file(desk, store)
    following = _next_steps(agent, bool(answers))
    document = {
        "agent": name, "live": 1, "genome": genome.digest, "labels": list(answers), "model": habits.model,
        "improver": habits.improver, "store": store, "settings": wrote, "next": following,
    }  # fmt: skip

    def page(screen: Screen) -> None:
        screen.line(f"agent {name} is created; v1 is live in {store}", "green")
        if wrote:
            screen.note(f"wrote {wrote}")
        screen.line("next:")
        for step in following:
            screen.line(f"  {step}")

    desk.give(document, page)


def _habits(
    model: str, improver: str, *, arms: int, tick_calls: int | None, tick_usd: float | None, day_usd: float | None
) -> Habits:
    """The usual habits with what was chosen on the command line."""
    from dataclasses import replace

    from surefoot.core.agent import Habits
    from surefoot.core.budget import Budget

    usual = Habits()
    most = usual.improver_budget if improver != "gepa" else replace(usual.improver_budget, calls=GEPA_CALLS)
    return replace(
        usual, model=model, improver=improver, improver_budget=most,
        arms=arms or (FREE_ARMS if improver == "lexical" else 1),
        tick_budget=Budget(calls=usual.tick_budget.calls if tick_calls is None else tick_calls,
                           usd=usual.tick_budget.usd if tick_usd is None else tick_usd),
        day_budget=Budget(usd=usual.day_budget.usd if day_usd is None else day_usd),
    )  # fmt: skip


def _bounds(labels: tuple[str, ...]) -> Bounds:
    from surefoot.core.starter import starting_bounds

    return starting_bounds(labels)


def _first_genome(labels: tuple[str, ...], source: Path | None, task: str) -> Genome:
    from surefoot.core.errors import Invalid
    from surefoot.core.starter import DEFAULT_TASK, starting_genome

    if source is not None:
        if task:
            raise Invalid("--task goes with --labels, not with --from", hint="write the task into the directory")
        return read_genome(source)
    if not labels:
        raise Invalid("a new agent needs labels or a genome", hint="give --labels a,b,c or --from DIR")
    return starting_genome(labels, task=task or DEFAULT_TASK)


def read_genome(directory: Path) -> Genome:
    """Read the directory form of a genome."""
    from surefoot.core.errors import Invalid, NotFound
    from surefoot.core.folder import MANIFEST, from_files

    if not (directory / MANIFEST).is_file():
        raise NotFound(
            f"there is no {directory / MANIFEST}", hint="surefoot show AGENT --files DIR writes such a directory"
        )
    paths = [directory / MANIFEST, *(path for path in sorted(directory.rglob("*.md")) if path.is_file())]
    files: dict[str, str] = {}
    for path in paths:
        try:
            files[path.relative_to(directory).as_posix()] = path.read_bytes().decode()
        except UnicodeDecodeError:
            raise Invalid(f"{path} is not UTF-8 text", hint="save it as UTF-8") from None
    try:
        return from_files(files)
    except Invalid as problem:
        raise Invalid(f"{directory}: {problem.message}", hint=problem.hint) from None


def write_genome(directory: Path, genome: Genome) -> list[str]:
    """Write the directory form of a genome; Conflict when another one is there."""
    from surefoot.core.errors import Conflict
    from surefoot.core.folder import to_files

    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty", hint="name a new directory, or empty this one")
    written: list[str] = []
    for name, text in to_files(genome).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        written.append(str(path))
    return written


def _check_names(app: App, habits: Habits) -> None:
    """Find out now, not in the first tick, that a model or an improver does not exist."""
    app.ports.model_named(habits.model)
    app.ports.improver_named(habits.improver)


def login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id
        return "operator"


def _settings_file(desk: Desk, store: Path) -> str:
    """Write surefoot.toml unless there is one; a directory that cannot be written is only remarked."""
    import json

    from surefoot.config import DEFAULT_STORE, FILE

    path = Path(FILE)
    if path.exists():
        return ""
    line = f"store = {json.dumps(str(store))}"
    try:
        path.write_text(TOML.format(store=f"# {line}" if store == DEFAULT_STORE else line), encoding="utf-8")
    except OSError as error:
        desk.remark(f"note: {FILE} was not written ({error.strerror})")
        return ""
    return str(path)


def _next_steps(agent: Agent, labelled: bool) -> list[str]:
    say = " --expected LABEL" if labelled else " --verdict success|failure"
    return [
        f'surefoot ask {agent.name} "some text"      asks it, and prints the id of the trace',
        f"surefoot outcome TRACE{say}      says what would have been right",
        f"surefoot import {agent.name} FILE.jsonl --as traffic      serves and labels a whole file",
        f"surefoot loop {agent.name}      improves it from what went wrong",
    ]


async def agents(desk: Desk) -> None:
    """List the agents of this store."""
    from surefoot.engine.inspect import overview

    with desk.app() as app:
        found = await overview(app.ports)

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import percent

        if not found:
            screen.note("no agent yet: surefoot init NAME creates one")
            return
        rows: list[tuple[object, ...]] = []
        for one in found:
            known = one.verdicts.success + one.verdicts.failure
            rows.append((
                one.agent.name, f"v{one.agent.live}", "stopped" if one.agent.stopped else "running", one.agent.tick,
                known + one.verdicts.unknown, percent(one.verdicts.failure / known if known else None),
                len(one.draft.accepted), rolling(one), ", ".join(one.waits) or "-", one.agent.habits.model,
            ))  # fmt: skip
        screen.table(("agent", "live", "state", "ticks", "requests", "failing", "draft", "rollout", "waits",
                      "model"), rows)  # fmt: skip

    desk.give({"agents": [summary_document(one) for one in found]}, page)


def rolling(one: Overview) -> str:
    """Give where the rollout in progress is, in few words."""
    rollout = one.rollout
    return "-" if rollout is None else f"v{rollout.challenger} {rollout.state} {rollout.weight_percent:g} %"


def summary_document(one: Overview) -> dict[str, Any]:
    """Give an agent at a glance, for programs."""
    agent, rollout = one.agent, one.rollout
    return {
        "name": agent.name, "live": agent.live, "state": "stopped" if agent.stopped else "running", "tick": agent.tick,
        "model": agent.habits.model, "improver": agent.habits.improver, "labels": list(agent.labels),
        "cases": dict(one.cases), "requests": one.verdicts.success + one.verdicts.failure + one.verdicts.unknown,
        "successes": one.verdicts.success, "failures": one.verdicts.failure, "unknown": one.verdicts.unknown,
        "draft": len(one.draft.accepted), "rollout": rollout.id if rollout else None,
        "weight_percent": rollout.weight_percent if rollout else None, "waits": list(one.waits),
        "created_at": agent.created_at,
    }  # fmt: skip


async def versions(desk: Desk, agent: AgentName) -> None:
    """List an agent's versions, and which was live when and why."""
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named

    with desk.app() as app:
        record = await agent_named(app.ports, agent, sees=any_agent)
        found, lineage = await app.store.read(lambda tx: (tx.versions.all(agent), tx.agents.lineage(agent)))

    def page(screen: Screen) -> None:
        from surefoot.cli.screen import short, when

        screen.table(("", "version", "state", "parent", "created", "author", "why"), (
            ("*" if one.number == record.live else "", one.label, one.state, f"v{one.parent}" if one.parent else "-",
             when(one.created_at), one.author, short(one.rationale, 70))
            for one in found
        ), wide="why")  # fmt: skip
        screen.line()
        screen.title("live since")
        screen.table(("at", "version", "by", "why"), (
            (when(at), f"v{number}", by, short(why)) for number, at, by, why in lineage
        ), wide="why")  # fmt: skip

    desk.give({
        "agent": agent, "live": record.live,
        "versions": [version_document(one) | {"live": one.number == record.live} for one in found],
        "lineage": [{"version": number, "at": at, "by": by, "why": why} for number, at, by, why in lineage],
    }, page)  # fmt: skip


def version_document(one: Version) -> dict[str, Any]:
    """Give the record of a version, for programs."""
    return {
        "number": one.number, "state": one.state, "parent": one.parent, "author": one.author,
        "rationale": one.rationale, "genome": one.genome, "created_at": one.created_at,
    }  # fmt: skip


async def diff(
    desk: Desk,
    agent: AgentName,
    a: Annotated[str, typer.Argument(metavar="A", help="3, v3, live or draft")],
    b: Annotated[str, typer.Argument(metavar="[B]", help="without it: what A changed against its parent")] = "",
) -> None:
    """Show the difference between two versions, block by block."""
    from surefoot.core.diff import changes
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named, base_of, picture

    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        first, second = (a, b) if b else (await base_of(app.ports, agent, a), a)
        before, after = await picture(app.ports, agent, first), await picture(app.ports, agent, second)
    found = changes(before.genome, after.genome)

    def page(screen: Screen) -> None:
        screen.note(f"{agent}: from {before.name} to {after.name}")
        screen.changes(found)

    desk.give({
        "agent": agent, "before": before.name, "after": after.name, "changes": [change_document(one) for one in found],
    }, page)  # fmt: skip


def change_document(change: Change) -> dict[str, Any]:
    """Give the JSON form of one change."""
    return {
        "id": change.id, "kind": change.kind, "lines": change.lines(),
        "before": change.before.document() if change.before else None,
        "after": change.after.document() if change.after else None,
    }  # fmt: skip
