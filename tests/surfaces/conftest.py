"""A shell for tests: commands run in this process or in one of their own, on a real store in a directory of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

import surefoot.app
from surefoot.app import App, build
from surefoot.cli import main
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Cost
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.engine.observe import observe
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.ports import Answer, Model, Question

SOURCE = Path(__file__).parents[2] / "src"
LABELS = ("billing", "refund")
EAGER = RolloutSettings(win_threshold=2, ledger_slots=None, min_fresh_labels=1, hard_guard=1e6, soft_guard=1e6)


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        return self.json["error"]


class Surefoot(Protocol):
    def __call__(self, *arguments: str, code: int = 0) -> Ran: ...


class Scripted:
    """Answers what stands after `label:` in the text, when the prompt says GOOD; else the first label."""

    name = "scripted"

    def price(self, question: Question) -> Cost:
        return Cost(calls=1)

    async def answer(self, question: Question) -> Answer:
        right = question.user.rpartition("label:")[2].strip()
        return Answer(text=right if "GOOD" in question.system else LABELS[0], cost=Cost(calls=1))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; commands in this process find the scripted model there."""
    monkeypatch.chdir(tmp_path)

    def with_scripted(settings: Settings, *, models: Mapping[str, Model] | None = None, **given: Any) -> App:
        return build(settings, models={"scripted": Scripted(), **(models or {})}, **given)

    monkeypatch.setattr(surefoot.app, "build", with_scripted)
    return tmp_path


@pytest.fixture
def surefoot_cli(desk: Path, capsys: pytest.CaptureFixture[str]) -> Surefoot:
    """Run a command in this process and expect an exit code."""

    def run(*arguments: str, code: int = 0) -> Ran:
        capsys.readouterr()
        got = main(list(arguments))
        seen = capsys.readouterr()
        assert got == code, f"{arguments} gave {got}\n{seen.out}\n{seen.err}"
        assert "Traceback" not in seen.err + seen.out
        return Ran(got, seen.out, seen.err)

    return run


def shell(*arguments: str, cwd: Path, code: int | None = 0, **more: Any) -> Ran:
    """Run a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "surefoot", *arguments], cwd=cwd, env=environment(), capture_output=True, text=True,
        timeout=60, **more,
    )  # fmt: skip
    assert code is None or done.returncode == code, f"{arguments} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """What a process of its own sees: this source tree, and a writable home."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def opened(directory: Path) -> Iterator[App]:
    """The store of a directory, for setting a scene and for looking behind it."""
    app = build(Settings(store=directory / ".surefoot" / "surefoot.db"), models={"scripted": Scripted()})
    try:
        yield app
    finally:
        app.close()


def done(directory: Path, work: Callable[[App], Coroutine[Any, Any, Any]]) -> Any:
    """Do something on the store of a directory."""
    with opened(directory) as app:
        return asyncio.run(work(app))


GOOD = Block(id="good", kind="rule", text="GOOD: answer what stands after label:")


def better(genome: Genome) -> Genome:
    """The genome with the one rule that makes the scripted model right."""
    return Genome((*genome.blocks, GOOD))


async def an_agent(app: App, name: str = "support", **habits: Any) -> Genome:
    """An agent on the scripted model, whose rollouts are quickly won."""
    genome = starting_genome(LABELS)
    kept = replace(Habits(model="scripted", rollout=EAGER), **habits)
    await create_agent(app.ports, name, genome, by="founder", labels=LABELS, habits=kept)
    return genome


async def traffic(app: App, count: int, *, agent: str = "support", start: int = 0) -> list[str]:
    """Requests of as many users, each labelled at once; one in two is about a refund."""
    traces: list[str] = []
    for number in range(start, start + count):
        right = LABELS[number % 2]
        served = await serve(app.ports, agent, f"request {number} label:{right}", source=f"user-{number}")
        await observe(app.ports, served.trace_id, expected=right)
        traces.append(served.trace_id)
    return traces


async def a_request_for_approval(app: App) -> str:
    """An agent whose better version, proposed by ann, has won its canary and waits for a person; gives the request."""
    genome = await an_agent(app)
    await traffic(app, 60)
    await offer_version(app.ports, "support", better(genome), by="ann", rationale="knows the answer")
    rollout = await start_rollout(app.ports, "support", 2, by="bob")
    for turn in range(1, 40):
        row = await reconcile(app.ports, rollout.id)
        if row.evidence["state"] == "awaiting_approval":
            break
        await traffic(app, 40, start=1000 * turn)
    return (await app.store.read(lambda tx: tx.rollouts.get(rollout.id))).approval
