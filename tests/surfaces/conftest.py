"""A shell for tests: commands run in this process or in one of their own, on a real store in a directory of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import surefoot.app
from surefoot.app import App, build
from surefoot.cli import main
from surefoot.cli.desk import KEYS, WITH_REPO
from surefoot.config import Settings
from surefoot.core.agent import Habits
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Cost
from surefoot.core.rollout import RolloutSettings
from surefoot.core.starter import starting_genome
from surefoot.core.token import any_agent
from surefoot.engine.observe import observe
from surefoot.engine.operate import reconcile, start_rollout
from surefoot.engine.register import create_agent, offer_version
from surefoot.engine.serve import serve
from surefoot.ports import Answer, Model, Question

SOURCE = Path(__file__).parents[2] / "src"
LABELS = ("billing", "refund")
EAGER = RolloutSettings(
    win_threshold=2, ledger_slots=None, min_fresh_labels=1, hard_guard=1e6, soft_guard=1e6, holdback_percent=0
)


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


class Scripted:
    """Answers what stands after `label:` in the text when the prompt says GOOD, the second label when it says BAD."""

    name = "scripted"

    def price(self, question: Question) -> Cost:
        return Cost(calls=1)

    async def answer(self, question: Question) -> Answer:
        right = question.user.rpartition("label:")[2].strip()
        usual = LABELS[1] if "BAD" in question.system else LABELS[0]
        return Answer(text=right if "GOOD" in question.system else usual, cost=Cost(calls=1))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; commands in this process find the scripted model there."""
    monkeypatch.chdir(tmp_path)

    def with_scripted(settings: Settings, *, models: Mapping[str, Model] | None = None, **given: Any) -> App:
        return build(settings, models={"scripted": Scripted(), **(models or {})}, **given)

    monkeypatch.setattr(surefoot.app, "build", with_scripted)
    # The workflow engine's log handler keeps the stream of the test that came first.
    logging.getLogger("dbos").handlers.clear()
    return tmp_path


@pytest.fixture
def cli(desk: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process, expect an exit code, and hold its JSON against the documented keys."""

    def run(*arguments: str, code: int = 0) -> Ran:
        capsys.readouterr()
        got = main(list(arguments))
        seen = capsys.readouterr()
        assert got == code, f"{arguments} gave {got}\n{seen.out}\n{seen.err}"
        assert "Traceback" not in seen.err + seen.out
        ran = Ran(got, seen.out, seen.err)
        if "--json" in arguments and "error" not in ran.json:
            assert set(ran.json) == documented(arguments), arguments
        return ran

    return run


def documented(arguments: Sequence[str]) -> set[str]:
    """The keys at the top of a command's JSON document, as its reference names them."""
    words = [word for word in arguments if not word.startswith("-")]
    names = (" ".join(words[:2]), words[0], f"{words[0]} lines")  # `token NAME` is `token lines NAME`
    name = next(name for name in names if name in KEYS)
    of_repo = {"--repo", "--lever", "add", "rank", "close", "reopen"} & set(arguments) and name in WITH_REPO
    keys = WITH_REPO[name] if of_repo else KEYS[name]
    heads = [part.partition(":")[0].split() for part in keys.split(";")]
    return {key.removesuffix("[]") for head in heads for key in head}


@pytest.fixture
def scene(desk: Path, ready: Callable[[str], Path]) -> Scene:
    """The store behind the commands, for setting a scene and for looking at what became of it."""
    return Scene(desk, ready)


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Stores that many tests begin with, each made once and then copied."""
    made: dict[str, Path] = {}

    def named(name: str) -> Path:
        if name not in made:
            made[name] = directory = tmp_path_factory.mktemp(name)
            scene = Scene(directory, None)
            scene.do(lambda app: an_agent(app, "support") if name == "agent" else a_win(app))
        return made[name] / ".surefoot"

    return named


@pytest.fixture
def shell(desk: Path, environment: dict[str, str]) -> Callable[..., Ran]:
    """Run a command in a process of its own."""

    def run(*arguments: str, code: int | None = 0, **more: Any) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "surefoot", *arguments],
            **{"cwd": desk, "env": environment, "capture_output": True, "text": True, "timeout": 60, **more},
        )
        assert code is None or done.returncode == code, (
            f"{arguments} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        assert "Traceback" not in done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """What a process of its own sees: this source tree, and nobody's keys."""
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


class Scene:
    """Sets a scene in the store of a directory."""

    good = Block(id="good", kind="rule", text="GOOD: answer what stands after label:")
    labels = LABELS

    def __init__(self, directory: Path, ready: Callable[[str], Path] | None) -> None:
        self._ready = ready
        self.directory = directory
        self.store = directory / ".surefoot" / "surefoot.db"

    @contextmanager
    def app(self) -> Generator[App]:
        """The store, open."""
        app = build(Settings(store=self.store), models={"scripted": Scripted()})
        try:
            yield app
        finally:
            app.close()

    def do(self, work: Callable[[App], Coroutine[Any, Any, Any]]) -> Any:
        """Do something on the store."""
        with self.app() as app:
            return asyncio.run(work(app))

    def see(self, work: Callable[[Any], Any]) -> Any:
        """Read something from the store."""
        with self.app() as app:
            return app.store.read_now(work)

    def agent(self, name: str = "support", **habits: Any) -> Genome:
        """An agent on the scripted model, whose rollouts are quickly won."""
        if self._ready is not None and (name, habits, self.store.exists()) == ("support", {}, False):
            shutil.copytree(self._ready("agent"), self.store.parent)
            return starting_genome(LABELS)
        return self.do(lambda app: an_agent(app, name, **habits))

    def traffic(self, count: int, *, agent: str = "support") -> list[str]:
        """Requests of as many users, each labelled at once; one in two is about a refund."""
        return self.do(lambda app: traffic(app, count, agent=agent))

    def candidate(self, genome: Genome, *, by: str = "ann", word: str = "GOOD") -> None:
        """Offer the better genome, or with another word a worse one, as the next version."""
        offered = Genome((*genome.blocks, replace(self.good, text=f"{word}: answer what stands after label:")))
        self.do(lambda app: offer_version(app.ports, "support", offered, by=by, rationale="knows the answer"))

    def waiting(self) -> str:
        """Version 2, proposed by ann, has won its canary and waits for a person; gives the id of the request."""
        assert self._ready is not None
        shutil.copytree(self._ready("win"), self.store.parent)
        return self.see(lambda tx: tx.approvals.all(None)[0].id)


async def an_agent(app: App, name: str, **habits: Any) -> Genome:
    genome = starting_genome(LABELS)
    kept = replace(Habits(model="scripted", rollout=EAGER), **habits)
    await create_agent(app.ports, name, genome, by="founder", labels=LABELS, habits=kept)
    return genome


async def traffic(app: App, count: int, *, agent: str, start: int = 0) -> list[str]:
    traces: list[str] = []
    for number in range(start, start + count):
        right = LABELS[number % 2]
        served = await serve(app.ports, agent, f"request {number} label:{right}", source=f"user-{number}")
        await observe(app.ports, served.trace_id, expected=right, sees=any_agent)
        traces.append(served.trace_id)
    return traces


async def a_win(app: App) -> None:
    genome = await an_agent(app, "support")
    await traffic(app, 60, agent="support")
    better = Genome((*genome.blocks, Scene.good))
    await offer_version(app.ports, "support", better, by="ann", rationale="knows the answer")
    rollout = await start_rollout(app.ports, "support", 2, by="bob", forced_by="bob")
    for turn in range(1, 40):
        row = await reconcile(app.ports, rollout.id)
        if row.evidence["state"] == "awaiting_approval":
            break
        await traffic(app, 40, agent="support", start=1000 * turn)
