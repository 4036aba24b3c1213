"""`kill -9` at random moments of a tick on a repository: git is never left half done, and the next tick goes on.

The victim is a real process with a real coding agent, real gates and real git. Half of the time it is killed alone, so
that what it started runs on without it; half of the time together with its whole process group, so that git dies in the
middle of its own writing, too. Everything is looked at right after the kill, and at the end after three whole ticks.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "repo"))

import itertools

from nights import LOOP, Night, kept
from planted import HIDDEN, changed_files, git, passing

from surefoot.adapters.store import open_store
from surefoot.core.audit import verify
from surefoot.core.budget import Budget
from surefoot.core.repo.files import NAMES

VICTIM = Path(__file__).with_name("repo_victim.py")
TICKS = 3
USD = 0.05


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A repository before its first tick, whose coding agent tells what it costs."""
    return Night.make(tmp_path_factory.mktemp("kill"), "priced", budget="day_ticks = 1000\n")


def started(night: Night) -> subprocess.Popen[str]:
    """Start the victim and wait until it is at work."""
    process = subprocess.Popen(
        [sys.executable, str(VICTIM)], cwd=night.top, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", f"the victim did not start: {line}{process.communicate()[1]}"
    return process


def ended(process: subprocess.Popen[str], *, within_s: float, group: bool) -> bool:
    """Wait for the victim to end by itself; kill -9 when the time is up. Gives whether it ended."""
    try:
        said, errors = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if group else process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    assert process.returncode == 0, said + errors
    return True


def not_half_done(night: Night, before: dict[str, str]) -> None:
    """What must hold at any moment: the person's part is untouched, and the loop's branch stands after a whole tick."""
    now = night.untouched()
    for name in before.keys() - {"worktrees"}:  # what a killed tick left is swept by the next one
        assert now[name] == before[name], name
    git(night.top, "fsck", "--strict", "--no-dangling")
    commits = night.commits()
    assert not commits or commits[-1][2].kind == "state"
    for (_, _, one), (_, _, following) in itertools.pairwise(commits):
        assert one.kind == "state" or (following.kind, following.lever, following.tick) == (
            "state",
            one.lever,
            one.tick,
        )
    assert len(commits) == 2 * sum(lever.status == "shipped" for lever in (night.backlog() if commits else ()))


def whole(night: Night, before: dict[str, str]) -> None:
    """What must hold at the end: every tick applied once and paid once, and nothing left lying about."""
    assert night.untouched() == before
    commits, done = night.commits(), ticks(night)
    assert done >= TICKS
    assert [(one.kind, one.lever, one.tick) for _, _, one in commits] == [
        (kind, f"L-00{number}", number) for number in range(1, done + 1) for kind in ("lever", "state")
    ]
    assert passing(night.top, LOOP) == set(list(HIDDEN)[:done])
    for number, lever in enumerate(night.backlog()[:done], start=1):
        assert [(one.tick, one.outcome) for one in lever.log] == [(number, "shipped")]
    for sha, _, one in commits:
        assert one.kind == "lever" or set(changed_files(night.top, sha)) <= set(NAMES)
    booked(night, done)


def booked(night: Night, done: int) -> None:
    """The record is whole, each tick began and ended once, and its money was set aside once and settled once."""
    store = open_store(night.top / ".surefoot" / "surefoot.db")
    try:
        found = store.read_now(lambda tx: verify(tx.audit.all()))
        assert found.intact, found.problem
        actions = store.read_now(lambda tx: [one.action for one in tx.audit.all()])
        assert (actions.count("tick-started"), actions.count("tick-ended")) == (done, done)
        for number in range(1, done + 1):
            ledger = store.read_now(lambda tx, n=number: tx.ledgers.get(f"shop/tick/{n}", Budget(usd=2.0)))
            assert ledger.reserved == ()
            assert (ledger.settled.calls, ledger.settled.usd) == (1, pytest.approx(USD))
    finally:
        store.close()


def survive(prepared: Night, place: Path, *, kills: int, seed: int) -> list[float]:
    """Kill ticks at `kills` random moments in all; gives the moments."""
    chance, moments = random.Random(seed), list[float]()
    began = time.monotonic()
    reference = kept(prepared, place / "reference")
    before = reference.untouched()
    assert ended(started(reference), within_s=60, group=False)
    longest = time.monotonic() - began
    rounds = 0
    while len(moments) < kills:
        rounds += 1
        night = kept(prepared, place / f"round-{rounds}")
        for _ in range(12):
            if len(moments) >= kills or ticks(night) >= TICKS:
                break
            moment = chance.uniform(0, longest)
            if not ended(started(night), within_s=moment, group=chance.random() < 0.5):
                moments.append(moment)
            not_half_done(night, before)
        while True:  # the first one in peace finishes what was begun, then runs a tick of its own
            assert ended(started(night), within_s=60, group=False)
            if ticks(night) >= TICKS:
                break
        whole(night, before)
    return moments


def ticks(night: Night) -> int:
    """How many ticks stand on the loop's branch."""
    return sum(one.kind == "state" for _, _, one in night.commits())


@pytest.mark.slow
def test_a_tick_killed_a_few_times_is_finished_and_applied_once(prepared: Night, tmp_path: Path) -> None:
    survive(prepared, tmp_path, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [31, 32])
def test_a_tick_survives_kill_nine_at_random_moments(prepared: Night, tmp_path: Path, seed: int) -> None:
    assert len(survive(prepared, tmp_path, kills=10, seed=seed)) == 10
