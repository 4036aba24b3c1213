"""Commands that stand for an agent's users: ask, outcome, import."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surefoot.cli.agents import AgentName
from surefoot.cli.desk import Desk, command

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.agent import Agent
    from surefoot.core.case import Case, Split
    from surefoot.ports import Ports
    from surefoot.rehearsal.rows import Row

Said = Literal["success", "failure", "unknown"]
Kind = Literal["cases", "traffic"]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "ask", section="Traffic", keys="agent answer version finish trace")(ask)
    command(app, "outcome", section="Traffic", keys="trace verdict score expected source feedback at")(outcome)
    command(app, "import", section="Traffic", keys="agent file as rows added splits successes failures")(import_file)


async def ask(
    desk: Desk,
    agent: AgentName,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="what to ask; - reads standard input")],
    unit: Annotated[str, typer.Option(metavar="ID", help="session or user, who always meets the same version")] = "",
    slices: Annotated[
        list[str] | None, typer.Option("--slice", metavar="K=V", help="a trait of the request; repeatable")
    ] = None,
    source: Annotated[str, typer.Option(metavar="ID", help="who is behind the request")] = "",
    session: Annotated[str, typer.Option(metavar="ID", help="the conversation it belongs to")] = "",
    external_id: Annotated[str, typer.Option("--external-id", metavar="ID", help="what you call the request")] = "",
) -> None:
    """Ask an agent one thing, as one of its users would.

    The trace that is printed takes the outcome later.
    """
    from surefoot.core.asker import Asker
    from surefoot.core.errors import Invalid
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.serve import serve

    said = sys.stdin.read() if text == "-" else text
    if not said.strip():
        raise Invalid("there is nothing to ask", hint="give a text")
    traits = pairs(slices or [])
    with desk.app() as app:
        await agent_named(app.ports, agent, sees=any_agent)
        with desk.waiting(f"{agent} answers"):
            served = await serve(app.ports, agent, said, unit=unit, source=source, slices=traits,
                                 asker=Asker(session=session, external_id=external_id))  # fmt: skip

    def page(screen: Screen) -> None:
        screen.line(served.text)
        screen.note(
            f"v{served.version}, trace {served.trace_id}" + ("" if served.finish == "stop" else f", {served.finish}")
        )

    desk.give({"agent": agent, "answer": served.text, "version": served.version, "finish": served.finish,
               "trace": served.trace_id}, page)  # fmt: skip


def pairs(given: Sequence[str]) -> dict[str, str]:
    """Read `name=value` options; Invalid for one that is none."""
    from surefoot.core.errors import Invalid

    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals):
            raise Invalid(f"--slice {pair!r} names no value", hint="write it as name=value")
        found[name.strip()] = value.strip()
    return found


async def outcome(
    desk: Desk,
    trace: Annotated[str, typer.Argument(metavar="[TRACE]", help="the trace that `ask` printed")] = "",
    external_id: Annotated[
        str, typer.Option("--external-id", metavar="ID", help="instead: what the app calls the request")
    ] = "",
    agent: Annotated[str, typer.Option(metavar="AGENT", help="whose request --external-id names")] = "",
    expected: Annotated[str, typer.Option(metavar="LABEL", help="the answer that would have been right")] = "",
    verdict: Annotated[
        Said | None,
        typer.Option(metavar="success|failure|unknown", help="what to say where no answer was right or wrong"),
    ] = None,
    score: Annotated[float | None, typer.Option(metavar="0…1", help="how good it was")] = None,
    source: Annotated[str, typer.Option(metavar="ID", help="who says so")] = "person",
    feedback: Annotated[str, typer.Option(metavar="TEXT", help="in their own words")] = "",
) -> None:
    """Say what became of a request.

    Late, twice and corrected is welcome; the last word that is not unknown counts.
    """
    from surefoot.core.errors import SurefootError
    from surefoot.core.token import any_agent
    from surefoot.engine.observe import Said as Told
    from surefoot.engine.observe import observe_all

    told = Told(
        trace_id=trace, external_id=external_id, agent=agent, expected=expected, verdict=verdict, score=score,
        source=source, feedback=feedback,
    )  # fmt: skip
    with desk.app() as app:
        (seen,) = await observe_all(app.ports, [told], sees=any_agent)
    if isinstance(seen, SurefootError):
        raise seen

    def page(screen: Screen) -> None:
        wanted = f", expected {seen.expected}" if seen.expected else ""
        screen.line(f"{seen.verdict}{wanted}", {"success": "green", "failure": "red"}.get(seen.verdict, ""))

    desk.give({
        "trace": seen.trace_id, "verdict": seen.verdict, "score": seen.score, "expected": seen.expected,
        "source": seen.source, "feedback": seen.feedback, "at": seen.at,
    }, page)  # fmt: skip


async def import_file(
    desk: Desk,
    agent: AgentName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help="`input` and `expected` on each line, `slice` if you like")
    ],
    kind: Annotated[
        Kind,
        typer.Option(
            "--as", metavar="cases|traffic", help="cases: split by hash; traffic: every row is served and labelled"
        ),
    ] = "cases",
    by: Annotated[str, typer.Option(metavar="NAME", help="who imports it")] = "operator",
) -> None:
    """Bring labelled data in, as cases or as traffic.

    Cases are split by hash, to test with; traffic is answered by the agent, which is then told the truth. Nothing
    is stored when a line is wrong. An improver only ever sees the split `shown`.
    """
    from surefoot.core.token import any_agent
    from surefoot.engine.inspect import agent_named
    from surefoot.engine.register import add_cases
    from surefoot.rehearsal.rows import load_rows

    with desk.app() as app:
        record = await agent_named(app.ports, agent, sees=any_agent)
        rows = load_rows(file)
        _check_labels(record, rows, file)
        document: dict[str, Any] = {"agent": agent, "file": file, "as": kind, "rows": len(rows)}
        if kind == "cases":
            cases = await _cases(app.ports, record, rows)
            added = await add_cases(app.ports, cases, by=by)
            splits = dict(Counter(case.split for case in cases))
            document |= {"added": added, "splits": splits, "successes": None, "failures": None}
        else:
            with desk.progress(f"{agent} answers", len(rows)) as count:
                said = await _served(app.ports, agent, rows, file, count)
            document |= {"added": len(rows), "splits": None, "successes": said["success"], "failures": said["failure"]}

    def page(screen: Screen) -> None:
        if kind == "cases":
            screen.line(f"{document['added']} of {len(rows)} rows are new cases of {agent}")
            screen.line(", ".join(f"{split} {count}" for split, count in sorted(document["splits"].items())))
            return
        screen.line(
            f"{agent} answered {len(rows)} requests: {document['successes']} right, {document['failures']} wrong"
        )
        screen.note(f"next: surefoot failures {agent}, surefoot tick {agent}")

    desk.give(document, page)


def _check_labels(agent: Agent, rows: Sequence[Row], file: Path) -> None:
    """Refuse the whole file for a label that the agent does not have, before anything is stored."""
    from surefoot.core.errors import Invalid
    from surefoot.rehearsal.rows import parse_rows

    known = {label.lower() for label in agent.labels}
    strange = next((row for row in rows if known and row.expected.lower() not in known), None)
    if strange is None:
        return
    where = str(file)
    for number, line in enumerate(_lines(file), start=1):
        if line.strip() and parse_rows([line], where)[0].expected == strange.expected:
            where = f"{file}, line {number}"
            break
    raise Invalid(
        f"{where}: {strange.expected!r} is not a label of agent {agent.name!r}",
        hint=f"its labels are {', '.join(sorted(agent.labels))}; mend the line, or leave it out",
    )


def _lines(file: Path) -> list[str]:
    import gzip

    raw = file.read_bytes()
    return (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode().split("\n")


async def _cases(ports: Ports, agent: Agent, rows: Sequence[Row]) -> list[Case]:
    """Split rows as traffic is split: by group and hash, near-duplicates of known cases staying with them."""
    from surefoot.core.case import Case, case_id, groups, split_of

    known = await ports.store.read(lambda tx: tx.cases.groups(agent.name))
    group_of = groups([text for text, _, _ in known] + [row.input for row in rows])
    settled: dict[str, tuple[str, Split]] = {}
    for found, (_, group, split) in zip(group_of, known, strict=False):
        settled.setdefault(found, (group, split))
    cases: list[Case] = []
    for row, found in zip(rows, group_of[len(known) :], strict=True):
        group, split = settled.get(found) or (found, split_of(agent.salt, found, agent.habits.shares))
        cases.append(Case(
            id=case_id(agent.name, row.input, row.expected), agent=agent.name, group=group, input=row.input,
            expected=row.expected, split=split, slices={"slice": row.slice} if row.slice else {}, origin="file",
        ))  # fmt: skip
    return cases


async def _served(ports: Ports, agent: str, rows: Sequence[Row], file: Path, count: Callable[[], None]) -> Counter[str]:
    from surefoot.core.errors import SurefootError
    from surefoot.core.token import any_agent
    from surefoot.engine.observe import observe
    from surefoot.engine.serve import serve

    said: Counter[str] = Counter()
    for number, row in enumerate(rows, start=1):
        slices = {"slice": row.slice} if row.slice else {}
        try:
            served = await serve(ports, agent, row.input, source=f"file:{file.name}:{number}", slices=slices)
        except SurefootError as problem:
            message = f"row {number} of {file} was not answered: {problem.message}"
            raise type(problem)(message, hint=f"{problem.hint}; the {number - 1} rows before it are in") from problem
        said[(await observe(ports, served.trace_id, expected=row.expected, source="file", sees=any_agent)).verdict] += 1
        count()
    return said
