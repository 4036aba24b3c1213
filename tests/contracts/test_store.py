"""The contract of `ports.Store`: one suite for every implementation, on real files and with real concurrency."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surefoot.adapters.store import open_store
from surefoot.core.agent import Agent, Habits
from surefoot.core.approval import Approval
from surefoot.core.audit import verify
from surefoot.core.backlog import Lever
from surefoot.core.budget import Budget
from surefoot.core.case import Case, case_id
from surefoot.core.draft import Accepted, Draft
from surefoot.core.edit import Edit
from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.evidence.rollout import Stratum
from surefoot.core.genome import Block, Genome
from surefoot.core.lesson import Lesson
from surefoot.core.policy import Policy
from surefoot.core.proposal import Cost, Proposal
from surefoot.core.rollout import RolloutSettings
from surefoot.core.rollout.standing import Reconcile, Rollout
from surefoot.core.score import Outcome, settled
from surefoot.core.slots import Look
from surefoot.core.trace import Pin, Trace
from surefoot.core.version import Version
from surefoot.ports import Filed, Verdicts

SOURCE = Path(__file__).parents[2] / "src"
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
OPENERS: dict[str, Callable[[Path], Any]] = {
    "sqlite": open_store,
    "sqlite, durable": lambda path: open_store(path, durability="full"),
}
ODD = "Straße ☃ \x00 \u202e\U0001f600 'quoted\" -- ; DROP TABLE traces\r\n\t"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was built once; copying its file is ten times faster."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    open_store(path).close()
    return path


@pytest.fixture(params=OPENERS)
def opener(request: pytest.FixtureRequest, tmp_path: Path, empty: Path) -> Iterator[Callable[[], Any]]:
    """Opens the same store again and again."""
    stores: list[Any] = []
    shutil.copy(empty, tmp_path / "store.db")

    def opened() -> Any:
        stores.append(OPENERS[request.param](tmp_path / "store.db"))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(opener: Callable[[], Any]) -> Any:
    return opener()


@pytest.fixture
def one(tmp_path: Path, empty: Path) -> Iterator[Any]:
    """A store of the usual kind, for what does not depend on the kind."""
    shutil.copy(empty, tmp_path / "one.db")
    store = open_store(tmp_path / "one.db")
    yield store
    store.close()


def moment(seconds: float = 0) -> datetime:
    return NOW + timedelta(seconds=seconds)


def agent(name: str = "support", **more: Any) -> Agent:
    return Agent(name=name, base="b" * 64, live=1, created_at=NOW, **more)


def genome(text: str = "Be kind.") -> Genome:
    return Genome((Block(id="role", kind="section", text=text, locked=True),))


def version(number: int = 1, text: str = "Be kind.", name: str = "support", **more: Any) -> Version:
    return Version(**{
        "agent": name, "number": number, "genome": genome(text).digest, "parent": None, "author": "ann",
        "rationale": "r", "state": "candidate", "created_at": NOW, **more,
    })  # fmt: skip


def trace(trace_id: str = "t1", at: float | datetime = 0, name: str = "support", **more: Any) -> Trace:
    return Trace(**{
        "id": trace_id, "agent": name, "version": 1, "unit": "u", "input": "hello", "output": " Billing ",
        "finish": "stop", "at": at if isinstance(at, datetime) else moment(at), "source": "ann", **more,
    })  # fmt: skip


def outcome(trace_id: str = "t1", verdict: str = "failure", at: float = 0, **more: Any) -> Outcome:
    return Outcome(**{"trace_id": trace_id, "verdict": verdict, "at": moment(at), "source": "test", **more})


def case(number: int = 1, split: str = "shown", name: str = "support", **more: Any) -> Case:
    text = f"text {number}"
    return Case(**{
        "id": case_id(name, text, "billing"), "agent": name, "group": f"g{number}", "input": text,
        "expected": "billing", "split": split, **more,
    })  # fmt: skip


def rollout(rollout_id: str = "r1", name: str = "support", **more: Any) -> Rollout:
    return Rollout(**{
        "id": rollout_id, "agent": name, "challenger": 2, "incumbent": 1, "settings": RolloutSettings(),
        "state": "canary", "weight_percent": 5.0, "epoch": 1, "started_at": NOW, "salt": rollout_id, **more,
    })  # fmt: skip


def approval(approval_id: str = "a1", name: str = "support", **more: Any) -> Approval:
    return Approval(**{
        "id": approval_id, "agent": name, "rollout": "r1", "version": 2, "version_digest": "v" * 64,
        "evidence_digest": "e" * 64, "proposers": ("ann", "improver:lexical"), "requested_at": NOW,
        "expires_at": moment(72 * 3600), **more,
    })  # fmt: skip


def write(store: Any, work: Callable[[Any], Any]) -> Any:
    return store.write_now(work)


def read(store: Any, work: Callable[[Any], Any]) -> Any:
    return store.read_now(work)


# Transactions -------------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_for_everybody_and_after_a_restart(opener):
    store, other = opener(), opener()
    write(store, lambda tx: tx.agents.add(agent()))
    assert read(other, lambda tx: tx.agents.get("support")) == agent()
    store.close()
    assert read(opener(), lambda tx: tx.agents.get("support")) == agent()


def test_nothing_is_kept_of_a_write_that_raises(store):
    def half(tx):
        tx.agents.add(agent())
        tx.traces.add(trace())
        tx.audit.append(at=NOW, actor="a", action="b", subject="c", payload={})
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        write(store, half)
    assert read(store, lambda tx: (tx.agents.all(), tx.audit.all())) == ([], [])
    with pytest.raises(NotFound):
        read(store, lambda tx: tx.traces.get("t1"))
    write(store, lambda tx: tx.agents.add(agent()))


def test_a_read_is_one_view_though_somebody_writes_meanwhile(opener):
    store, other = opener(), opener()
    write(store, lambda tx: tx.agents.add(agent()))

    def twice(tx):
        before = tx.agents.all()
        thread = threading.Thread(target=lambda: write(other, lambda o: o.agents.add(agent("second"))))
        thread.start()
        thread.join()
        return before, tx.agents.all()

    before, after = read(store, twice)
    assert before == after == [agent()]
    assert len(read(store, lambda tx: tx.agents.all())) == 2


def test_writers_queue_so_that_a_read_and_a_write_of_one_transaction_belong_together(opener):
    stores = [opener() for _ in range(4)]
    write(stores[0], lambda tx: tx.marks.add("n", {"n": 0}, NOW))
    write(stores[0], lambda tx: tx.drafts.swap(Draft(agent="support", on=1)))

    def count(store):
        for _ in range(10):
            write(store, lambda tx: tx.drafts.swap(replace(d := tx.drafts.get("support"), ticks=d.ticks + 1)))

    threads = [threading.Thread(target=count, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(stores[0], lambda tx: tx.drafts.get("support")).ticks == 40


async def test_many_tasks_write_at_once_and_none_is_lost(store):
    await asyncio.gather(*(store.write(lambda tx, n=n: tx.traces.add(trace(f"t{n}"))) for n in range(60)))
    counts = await store.read(lambda tx: tx.outcomes.labelled("support"))
    assert counts == Verdicts(unknown=60)


async def test_the_event_loop_goes_on_while_a_transaction_runs(store):
    gate = threading.Event()
    slow = asyncio.create_task(store.write(lambda tx: gate.wait(5)))
    for _ in range(20):
        await asyncio.sleep(0.001)
    gate.set()
    assert await slow


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing_and_keep_one_chain(tmp_path):
    path = tmp_path / "store.db"
    program = (
        "import sys; from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from surefoot.adapters.store import open_store\n"
        "from surefoot.core.score import Outcome\n"
        "from surefoot.core.trace import Trace\n"
        "store, me, now = open_store(Path(sys.argv[1])), sys.argv[2], datetime.now(UTC)\n"
        "for n in range(60):\n"
        "    def work(tx):\n"
        "        t = f'{me}-{n}'\n"
        "        tx.traces.add(Trace(id=t, agent='support', version=1, unit=t, input=t, output='x', finish='stop',\n"
        "                            at=now))\n"
        "        tx.outcomes.add(Outcome(trace_id=t, verdict='failure', at=now, source='test'))\n"
        "        tx.audit.append(at=now, actor=me, action='wrote', subject=t, payload={})\n"
        "    store.write_now(work)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(n)], env=environ, stderr=subprocess.PIPE)
        for n in range(4)
    ]
    errors = [process.communicate(timeout=100)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors
    store = open_store(path)
    entries = read(store, lambda tx: tx.audit.all())
    assert len(entries) == 240
    assert verify(entries).intact
    assert len(read(store, lambda tx: tx.outcomes.failures("support", limit=500))) == 240
    store.close()


# Agents and versions ------------------------------------------------------------------------------------------------


def test_an_agent_comes_back_as_it_was_with_every_setting(store):
    rich = agent(
        labels=("a", ODD), stopped=True, tick=7, last_tick_at=moment(1.000001), salt="s",
        policy=Policy(autonomy="propose", cooldown=timedelta(minutes=90), min_sources=1),
        habits=Habits(day_budget=Budget(usd=1e-9), rollout=RolloutSettings(ledger_slots=None), shares={"shown": 1.0}),
    )  # fmt: skip
    write(store, lambda tx: tx.agents.add(rich))
    assert read(store, lambda tx: tx.agents.get("support")) == rich


def test_an_agent_is_swapped_only_over_the_revision_it_was_read_at(store):
    write(store, lambda tx: tx.agents.add(agent()))
    first = write(store, lambda tx: tx.agents.swap(replace(tx.agents.get("support"), live=2)))
    assert (first.revision, first.live) == (1, 2)
    with pytest.raises(Conflict, match="agent support was changed by somebody else"):
        write(store, lambda tx: tx.agents.swap(agent()))
    assert read(store, lambda tx: tx.agents.get("support")).live == 2
    with pytest.raises(Conflict, match="already is an agent"):
        write(store, lambda tx: tx.agents.add(agent()))


def test_of_many_who_swap_the_same_revision_one_wins(opener):
    stores = [opener() for _ in range(5)]
    write(stores[0], lambda tx: tx.agents.add(agent()))
    won: list[int] = []

    def swap(number: int) -> None:
        try:
            write(stores[number], lambda tx: tx.agents.swap(replace(agent(), live=10 + number)))
            won.append(number)
        except Conflict:
            pass

    threads = [threading.Thread(target=swap, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert read(stores[0], lambda tx: tx.agents.get("support")).live == 10 + won[0]


def test_an_unknown_agent_is_answered_without_a_word_of_the_others_since_nobody_knows_who_asks(store):
    write(store, lambda tx: tx.agents.add(agent("zeta")) or tx.agents.add(agent("alpha")))
    with pytest.raises(NotFound, match="'ghost'") as some:
        read(store, lambda tx: tx.agents.get("ghost"))
    assert "alpha" not in f"{some.value.message} {some.value.hint}"
    assert [found.name for found in read(store, lambda tx: tx.agents.all())] == ["alpha", "zeta"]


def test_the_lineage_keeps_its_order_and_its_words(store):
    def work(tx):
        for number in (1, 2, 1):
            tx.agents.moved_live("support", number, at=moment(number), by="ann", why=ODD)
        tx.agents.moved_live("other", 9, at=NOW, by="bob", why="")

    write(store, work)
    assert read(store, lambda tx: tx.agents.lineage("support")) == [
        (1, moment(1), "ann", ODD), (2, moment(2), "ann", ODD), (1, moment(1), "ann", ODD)
    ]  # fmt: skip


def test_versions_are_immutable(store):
    write(store, lambda tx: tx.versions.add(version(), genome()))
    for again, text in ((version(1, "other"), "other"), (version(2), "Be kind.")):
        with pytest.raises(Conflict, match=r"this very genome"):
            write(store, lambda tx, v=again, t=text: tx.versions.add(v, genome(t)))
    assert read(store, lambda tx: tx.versions.all("support")) == [version()]
    write(store, lambda tx: tx.versions.add(version(name="other"), genome()))
    assert read(store, lambda tx: tx.versions.all("other")) == [version(name="other")]


def test_a_genome_comes_back_byte_for_byte_and_is_kept_once(store):
    rich = Genome((
        Block(id="role", kind="section", text=ODD, locked=True, pinned=True),
        Block(id="r.1", kind="rule", text="x", applies_to=(("tenant", "ä"),), evidence=("c1",), learned_at="tick-1",
              worth=0.1),
        Block(id="e", kind="example", text="in", answer="out"), Block(id="p", kind="param", text="1e-7"),
    ))  # fmt: skip
    first = write(store, lambda tx: tx.versions.keep(rich))
    assert write(store, lambda tx: tx.versions.keep(rich)) == first == rich.digest
    back = read(store, lambda tx: tx.versions.genome(rich.digest))
    assert back == rich
    assert (back.digest, back.locked_digest) == (rich.digest, rich.locked_digest)
    with pytest.raises(NotFound, match="no genome"):
        read(store, lambda tx: tx.versions.genome("0" * 64))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_genome_keeps_its_address_in_the_store(one, text, worth):
    block = Block(id="x", kind="rule", text=text, answer=text[::-1], evidence=(text,), worth=worth)
    address = write(one, lambda tx: tx.versions.keep(Genome((block,))))
    assert read(one, lambda tx: tx.versions.genome(address)).digest == address


def test_a_version_moves_along_its_arrows_only(store):
    write(store, lambda tx: tx.versions.add(version(), genome()))
    with pytest.raises(Conflict, match="cannot become live"):
        write(store, lambda tx: tx.versions.move("support", 1, "live"))
    assert write(store, lambda tx: tx.versions.move("support", 1, "canary")).state == "canary"
    assert write(store, lambda tx: tx.versions.move("support", 1, "rolled_back")).state == "rolled_back"
    with pytest.raises(Conflict, match="only a person"):
        write(store, lambda tx: tx.versions.move("support", 1, "live"))
    assert write(store, lambda tx: tx.versions.move("support", 1, "live", forced_by="ann")).state == "live"
    assert read(store, lambda tx: tx.versions.get("support", 1)) == version(state="live")
    with pytest.raises(NotFound, match="v7"):
        write(store, lambda tx: tx.versions.move("support", 7, "canary"))


# Traffic ------------------------------------------------------------------------------------------------------------


def test_a_trace_comes_back_to_the_microsecond_in_any_script_and_zone(store):
    there = timezone(timedelta(hours=5, minutes=45))
    rich = trace(
        input=ODD, output=ODD, unit=ODD, source=ODD, slices={"tenant": ODD, "": ""}, rollout="r1", arm="challenger",
        weight_percent=5.25, epoch=3, latency_s=1e-6, cost_usd=1e-9, at=datetime(2026, 1, 5, 8, 0, 0, 1, tzinfo=there),
    )  # fmt: skip
    write(store, lambda tx: tx.traces.add(rich))
    back = read(store, lambda tx: tx.traces.get("t1"))
    assert back == rich
    assert back.at.utcoffset() == timedelta(0)
    with pytest.raises(NotFound, match="'t2'"):
        read(store, lambda tx: tx.traces.get("t2"))


def test_text_that_utf8_cannot_carry_is_refused_in_words(store):
    with pytest.raises(Invalid, match="no valid Unicode"):
        write(store, lambda tx: tx.traces.add(trace(input="broken \ud800")))
    with pytest.raises(Invalid, match=r"udcff"):
        write(store, lambda tx: tx.audit.append(at=NOW, actor="\udcff", action="x", subject="x", payload={}))
    assert read(store, lambda tx: tx.audit.all()) == []


def test_a_trace_is_never_written_over(store):
    write(store, lambda tx: tx.traces.add(trace()))
    with pytest.raises(Exception, match="traces"):
        write(store, lambda tx: tx.traces.add(trace(input="another")))
    assert read(store, lambda tx: tx.traces.get("t1")).input == "hello"


def test_the_first_pin_of_a_unit_stands(store):
    first = Pin(rollout="r1", unit=ODD, arm="challenger", weight_percent=5.0, epoch=1)
    second = replace(first, arm="incumbent", weight_percent=25.0, epoch=2)
    assert read(store, lambda tx: tx.traces.pinned("r1", ODD)) is None
    assert write(store, lambda tx: tx.traces.pin(first)) == first
    assert write(store, lambda tx: tx.traces.pin(second)) == first
    assert write(store, lambda tx: tx.traces.pin(replace(second, rollout="r2"))).rollout == "r2"
    assert read(store, lambda tx: tx.rollouts.assigned("r1")) == [(1, 5.0, 1, 0)]


def test_of_many_first_pins_at_once_one_stands_for_all(opener):
    stores = [opener() for _ in range(5)]
    got: list[Pin] = []

    def pin(number: int) -> None:
        mine = Pin(rollout="r1", unit="u", arm="incumbent", weight_percent=5.0, epoch=number)
        got.append(write(stores[number], lambda tx: tx.traces.pin(mine)))

    threads = [threading.Thread(target=pin, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 5
    assert len(set(got)) == 1


def test_uncased_traces_come_oldest_first_with_their_last_expectation_until_they_are_marked(store):
    def work(tx):
        for number in (3, 1, 2, 4):
            tx.traces.add(trace(f"t{number}", number))
        tx.outcomes.add(outcome("t2", expected="billing"))
        tx.outcomes.add(outcome("t1", expected="wrong"))
        tx.outcomes.add(outcome("t1", "unknown", expected="refund"))
        tx.outcomes.add(outcome("t1", "success"))
        tx.outcomes.add(outcome("t3", "failure"))
        tx.traces.add(trace("theirs", name="other"))
        tx.outcomes.add(outcome("theirs", expected="x"))

    write(store, work)
    found = read(store, lambda tx: tx.traces.uncased("support", 10))
    assert [(one.id, said.expected) for one, said in found] == [("t1", "refund"), ("t2", "billing")]
    assert [one.id for one, _ in read(store, lambda tx: tx.traces.uncased("support", 1))] == ["t1"]
    write(store, lambda tx: tx.traces.cased(["t1"]))
    write(store, lambda tx: tx.traces.cased([]))
    assert [one.id for one, _ in read(store, lambda tx: tx.traces.uncased("support", 10))] == ["t2"]


def test_a_failure_row_holds_input_prediction_and_expectation_as_they_are_compared(store):
    def work(tx):
        tx.traces.add(trace(input=ODD, slices={"k": "v"}, version=3))
        tx.outcomes.add(outcome(expected="  Refund "))

    write(store, work)
    (found,) = read(store, lambda tx: tx.outcomes.failures("support", limit=5))
    assert (found.input, found.predicted, found.expected, found.version, found.source, found.slices) == (
        ODD, "billing", "Refund", 3, "ann", {"k": "v"}
    )  # fmt: skip


def test_a_failure_for_no_trace_is_refused_and_leaves_no_outcome(store):
    with pytest.raises(NotFound):
        write(store, lambda tx: tx.outcomes.add(outcome("ghost")))
    assert read(store, lambda tx: tx.outcomes.of("ghost")) == []


class UndoneError(Exception):
    """Ends a write so that nothing of it is kept: one store serves many examples."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["success", "failure", "unknown"])), max_size=14),
    st.integers(1, 4),
)
def test_the_last_known_outcome_counts_whatever_came_in_whatever_order(one, said, limit):
    def failed_at(number: int) -> int:
        return max(at for at, (who, verdict) in enumerate(said) if who == number and verdict == "failure")

    def work(tx):
        for number in range(4):
            tx.traces.add(trace(f"t{number}"))
        for at, (number, verdict) in enumerate(said):
            tx.outcomes.add(outcome(f"t{number}", verdict, at))
        counts = [settled(tx.outcomes.of(f"t{number}")) for number in range(4)]
        verdicts = ["unknown" if found is None else found.verdict for found in counts]
        standing = [number for number, verdict in enumerate(verdicts) if verdict == "failure"]
        wanted = [f"t{number}" for number in sorted(standing, key=failed_at, reverse=True)]
        assert [found.trace_id for found in tx.outcomes.failures("support", limit=limit)] == wanted[:limit]
        assert tx.outcomes.labelled("support") == Verdicts(
            success=verdicts.count("success"), failure=verdicts.count("failure"), unknown=verdicts.count("unknown")
        )
        raise UndoneError

    with pytest.raises(UndoneError):
        write(one, work)


def test_failures_and_counts_are_an_agent_s_own_and_a_version_s_own(store):
    def work(tx):
        tx.traces.add(trace("a", version=1))
        tx.traces.add(trace("b", version=2))
        tx.traces.add(trace("c", name="other"))
        for name in "abc":
            tx.outcomes.add(outcome(name))
        tx.outcomes.add(outcome("b", "success"))

    write(store, work)
    assert [one.trace_id for one in read(store, lambda tx: tx.outcomes.failures("support", limit=9))] == ["a"]
    assert [one.trace_id for one in read(store, lambda tx: tx.outcomes.failures("other", limit=9))] == ["c"]
    assert read(store, lambda tx: tx.outcomes.labelled("support", version=2)) == Verdicts(success=1)
    assert read(store, lambda tx: tx.outcomes.labelled("support")) == Verdicts(success=1, failure=1)
    assert read(store, lambda tx: tx.outcomes.labelled("nobody")) == Verdicts()


# Cases, scores, backlog ---------------------------------------------------------------------------------------------


def test_a_case_that_is_there_stays_as_it_is_and_new_ones_are_counted(store):
    assert write(store, lambda tx: tx.cases.add([case(1), case(2), case(1)])) == 2
    assert write(store, lambda tx: tx.cases.add([case(1, "sealed", must_pass=True), case(3)])) == 1
    assert write(store, lambda tx: tx.cases.add([])) == 0
    assert read(store, lambda tx: tx.cases.of("support", ("shown", "sealed"))) == [case(1), case(2), case(3)]


def test_cases_come_by_split_oldest_first_and_the_newest_first_when_limited(store):
    def work(tx):
        tx.cases.add([case(n, "shown" if n % 2 else "val", slices={"k": str(n)}) for n in range(6)])
        tx.cases.add([case(9, "shown", name="other")])

    write(store, work)
    assert [one.group for one in read(store, lambda tx: tx.cases.of("support", ("shown",)))] == ["g1", "g3", "g5"]
    assert [one.group for one in read(store, lambda tx: tx.cases.of("support", ("shown",), limit=2))] == ["g5", "g3"]
    assert read(store, lambda tx: tx.cases.of("support", ())) == []
    assert read(store, lambda tx: tx.cases.counts("support")) == {"shown": 3, "val": 3}
    assert read(store, lambda tx: tx.cases.groups("support"))[0] == ("text 0", "g0", "val")


def test_a_score_is_kept_once_per_genome_model_case_and_repeat(store):
    write(store, lambda tx: tx.scores.add("g", "m", [("c1", 0, "yes", 1.0), ("c1", 1, ODD, 0.0)]))
    write(store, lambda tx: tx.scores.add("g", "m", [("c1", 0, "changed", 0.0), ("c2", 0, "x", 0.5)]))
    assert read(store, lambda tx: tx.scores.known("g", "m", ["c1", "c2", "c3"])) == {
        ("c1", 0): ("yes", 1.0), ("c1", 1): (ODD, 0.0), ("c2", 0): ("x", 0.5)
    }  # fmt: skip
    assert read(store, lambda tx: tx.scores.known("g", "m", ["c2"])) == {("c2", 0): ("x", 0.5)}
    assert read(store, lambda tx: tx.scores.known("g", "other", ["c1"])) == {}
    write(store, lambda tx: tx.scores.add("g", "m", []))


def test_a_lever_is_replaced_whole_and_its_log_only_grows(store):
    lever = Lever(id="L-1", agent="support", gap="missed:x", title=ODD, impact=0.25, failures=3)
    write(store, lambda tx: tx.levers.put(lever) or tx.levers.note("support", "L-1", NOW, "open"))
    after = replace(lever, state="drafted", tries=2)
    write(store, lambda tx: tx.levers.put(after) or tx.levers.note("support", "L-1", moment(1), ODD))
    assert read(store, lambda tx: tx.levers.get("support", "L-1")) == after
    assert read(store, lambda tx: tx.levers.all("support")) == [after]
    assert read(store, lambda tx: tx.levers.log("support", "L-1")) == [(NOW, "open"), (moment(1), ODD)]
    with pytest.raises(NotFound, match="'L-2'") as missing:
        read(store, lambda tx: tx.levers.get("support", "L-2"))
    assert missing.value.hint == "levers: L-1"
    assert read(store, lambda tx: tx.levers.all("other")) == []


def test_a_proposal_comes_back_with_every_edit_and_takes_its_verdict(store):
    edit = Edit(kind="add", target="r", text=ODD, applies_to=(("a", "b"),), evidence=("c1", "c2"), gap="g")
    filed = Filed(
        id="P-1", agent="support", tick=1, lever="L-1", on=1, state="proposed", at=NOW,
        evidence={"drift": 0.1, "x": [1]},
        proposal=Proposal(improver="i", edits=(edit,), rationale="r", cost=Cost(calls=1, tokens=2, usd=0.3)),
    )  # fmt: skip
    write(store, lambda tx: tx.proposals.put(filed))
    assert read(store, lambda tx: tx.proposals.get("P-1")) == filed
    later = replace(filed, id="P-0", at=moment(1))
    write(store, lambda tx: tx.proposals.put(later) or tx.proposals.put(replace(filed, state="accepted")))
    assert [(one.id, one.state) for one in read(store, lambda tx: tx.proposals.all("support"))] == [
        ("P-1", "accepted"), ("P-0", "proposed")
    ]  # fmt: skip
    with pytest.raises(NotFound):
        read(store, lambda tx: tx.proposals.get("P-9"))


def test_a_draft_is_begun_once_and_then_swapped_by_revision(store):
    part = Accepted(
        proposal="P-1",
        lever="L-1",
        improver="i",
        edits=(Edit(kind="add", target="r", text="x"),),
        evidence="e",
        rationale="r",
    )
    assert read(store, lambda tx: tx.drafts.get("support")) is None
    first = write(store, lambda tx: tx.drafts.swap(Draft(agent="support", on=1, accepted=(part,))))
    assert first.revision == 1
    assert read(store, lambda tx: tx.drafts.get("support")) == first
    with pytest.raises(Conflict, match="begun by somebody else"):
        write(store, lambda tx: tx.drafts.swap(Draft(agent="support", on=1)))
    second = write(store, lambda tx: tx.drafts.swap(replace(first, ticks=1)))
    with pytest.raises(Conflict, match="changed by somebody else"):
        write(store, lambda tx: tx.drafts.swap(replace(first, ticks=9)))
    assert read(store, lambda tx: tx.drafts.get("support")) == second


def test_a_genome_has_one_look_and_its_evidence_stays(store):
    look = Look(digest="d1", at=NOW, verdict="inconclusive", cases=10)
    write(store, lambda tx: tx.looks.add("support", look, {"p": 0.5}))
    write(store, lambda tx: tx.looks.add("support", replace(look, verdict="pass"), {"p": 0.0}))
    write(store, lambda tx: tx.looks.add("support", replace(look, digest="d2"), {}))
    write(store, lambda tx: tx.looks.add("other", look, {}))
    assert read(store, lambda tx: tx.looks.all("support")) == [look, replace(look, digest="d2")]
    assert read(store, lambda tx: tx.looks.evidence("support", "d1")) == {"p": 0.5}
    assert read(store, lambda tx: tx.looks.evidence("support", "d9")) is None


def test_lessons_are_appended(store):
    lessons = [Lesson(agent="support", text=f"{n} {ODD}", evidence="e", tick=n, at=moment(n)) for n in range(3)]
    for lesson in lessons:
        write(store, lambda tx, one=lesson: tx.lessons.add(one))
    assert read(store, lambda tx: tx.lessons.all("support")) == lessons
    assert read(store, lambda tx: tx.lessons.all("other")) == []


# Rollouts -----------------------------------------------------------------------------------------------------------


def test_an_agent_has_one_active_rollout_and_may_have_many_that_ended(store):
    write(store, lambda tx: tx.rollouts.add(rollout()))
    for state in ("draft", "canary", "frozen"):
        with pytest.raises(Conflict, match="already has a rollout"):
            write(store, lambda tx, s=state: tx.rollouts.add(rollout("r2", state=s)))
    write(store, lambda tx: tx.rollouts.add(rollout("theirs", name="other")))
    for at, state in enumerate(("promoted", "closed", "rolled_back", "inconclusive", "aborted"), start=2):
        here = read(store, lambda tx: tx.rollouts.active("support"))
        write(store, lambda tx, r=here, s=state: tx.rollouts.swap(replace(r, state=s)))
        assert read(store, lambda tx: tx.rollouts.active("support")) is None
        write(store, lambda tx, n=at: tx.rollouts.add(rollout(f"r{n}", started_at=moment(n))))
    assert [one.id for one in read(store, lambda tx: tx.rollouts.all("support"))] == [f"r{n}" for n in range(1, 7)]


def test_an_ended_rollout_cannot_come_back_beside_an_active_one(store):
    write(store, lambda tx: tx.rollouts.add(rollout(state="rolled_back")))
    write(store, lambda tx: tx.rollouts.add(rollout("r2")))
    old = read(store, lambda tx: tx.rollouts.get("r1"))
    with pytest.raises(Exception, match="rollouts"):
        write(store, lambda tx: tx.rollouts.swap(replace(old, state="canary")))
    assert read(store, lambda tx: tx.rollouts.active("support")).id == "r2"


def test_a_rollout_is_swapped_by_revision_and_keeps_its_terms(store):
    terms = RolloutSettings(ledger_slots=None, baseline_rate=1 / 3, shares_percent=(5.0, 15.0, 25.0, 35.0, 45.0))
    first = rollout(settings=terms, proposers=("ann", "bob"), wish="abort", closed_at=moment(1))
    write(store, lambda tx: tx.rollouts.add(first))
    assert read(store, lambda tx: tx.rollouts.get("r1")) == first
    write(store, lambda tx: tx.rollouts.swap(replace(first, weight_percent=15.0)))
    with pytest.raises(Conflict, match="rollout r1 was changed by somebody else"):
        write(store, lambda tx: tx.rollouts.swap(replace(first, weight_percent=25.0)))
    assert read(store, lambda tx: tx.rollouts.get("r1")).weight_percent == 15.0
    with pytest.raises(NotFound, match="'r9'"):
        read(store, lambda tx: tx.rollouts.get("r9"))


def seen(
    tx: Any, trace_id: str, unit: str, at: float, arm: str = "incumbent", epoch: int = 1, weight: float = 5.0
) -> None:
    tx.traces.pin(Pin(rollout="r1", unit=unit, arm=arm, weight_percent=weight, epoch=epoch))
    tx.traces.add(trace(trace_id, at, rollout="r1", unit=unit, arm=arm, weight_percent=weight, epoch=epoch))


def counted(store: Any) -> list[tuple[int, float, int, int, int, int]]:
    return as_counts(read(store, lambda tx: tx.rollouts.strata("r1")))


def as_counts(strata: list[Stratum]) -> list[tuple[int, float, int, int, int, int]]:
    return [
        (
            one.epoch, one.weight_percent, one.challenger_failures, one.challenger_successes, one.incumbent_failures,
            one.incumbent_successes,
        )
        for one in strata
    ]  # fmt: skip


def test_one_label_a_unit_counts_that_of_its_earliest_labelled_request(store):
    def work(tx):
        for number in range(3):
            seen(tx, f"t{number}", "ann", number)
        tx.outcomes.add(outcome("t2", "success"))

    write(store, work)
    assert counted(store) == [(1, 5.0, 0, 0, 0, 1)]
    write(store, lambda tx: tx.outcomes.add(outcome("t1", "failure")))
    assert counted(store) == [(1, 5.0, 0, 0, 1, 0)]
    write(store, lambda tx: tx.outcomes.add(outcome("t0", "unknown")))
    assert counted(store) == [(1, 5.0, 0, 0, 1, 0)]
    write(store, lambda tx: tx.outcomes.add(outcome("t0", "success")))
    assert counted(store) == [(1, 5.0, 0, 0, 0, 1)]
    write(store, lambda tx: tx.outcomes.add(outcome("t0", "failure")))
    assert counted(store) == [(1, 5.0, 0, 0, 1, 0)]


def test_labels_are_counted_by_epoch_and_arm_and_foreign_ones_are_not(store):
    def work(tx):
        seen(tx, "a", "ann", 1, "challenger")
        seen(tx, "b", "bob", 2, "incumbent")
        seen(tx, "c", "cid", 3, "challenger", 2, 15.0)
        seen(tx, "d", "dan", 4, "incumbent", 2, 15.0)
        seen(tx, "e", "eve", 5, "incumbent", 2, 15.0)
        tx.traces.add(trace("f", 6, unit="ann"))
        tx.traces.add(trace("g", 7, unit="ann", rollout="r2"))
        for name, verdict in zip(
            "abcdefg", ("failure", "success", "success", "failure", "unknown", "failure", "failure"), strict=True
        ):
            tx.outcomes.add(outcome(name, verdict))

    write(store, work)
    assert counted(store) == [(1, 5.0, 1, 0, 0, 1), (2, 15.0, 0, 1, 1, 0)]
    assert read(store, lambda tx: tx.rollouts.assigned("r1")) == [(1, 5.0, 1, 1), (2, 15.0, 1, 2)]
    assert read(store, lambda tx: tx.rollouts.strata("r9")) == []


def test_a_unit_counts_for_the_arm_and_epoch_of_its_pin(store):
    def work(tx):
        seen(tx, "a", "ann", 1, "challenger")
        tx.traces.add(trace("b", 2, rollout="r1", unit="ann", arm="incumbent", version=1, weight_percent=45.0, epoch=7))
        tx.outcomes.add(outcome("b", "success"))

    write(store, work)
    assert counted(store) == [(1, 5.0, 0, 1, 0, 0)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.sampled_from(["success", "failure", "unknown"])), max_size=16
    )
)
def test_counting_in_the_database_agrees_with_counting_by_hand(one, said):
    def work(tx):
        for unit in range(5):
            arm = "challenger" if unit % 2 else "incumbent"
            for request in range(3):
                seen(tx, f"{unit}-{request}", f"u{unit}", request * 10 + unit, arm)
        for unit, request, verdict in said:
            tx.outcomes.add(outcome(f"{unit}-{request}", verdict))
        tally = {"challenger": [0, 0], "incumbent": [0, 0]}
        for unit in range(5):
            for request in range(3):
                known = [v for u, r, v in said if (u, r) == (unit, request) and v != "unknown"]
                if known:
                    tally["challenger" if unit % 2 else "incumbent"][known[-1] == "success"] += 1
                    break
        wanted = (1, 5.0, *tally["challenger"], *tally["incumbent"])
        assert as_counts(tx.rollouts.strata("r1")) == ([wanted] if any(wanted[2:]) else [])
        raise UndoneError

    with pytest.raises(UndoneError):
        write(one, work)


def test_violations_and_reconciles_are_appended(store):
    row = Reconcile(
        rollout="r1", seq=1, at=NOW, action="ramp", reason="started", sentence=ODD, weight_before=0, weight_after=5.0,
        evidence={"e_win": 1e300, "interval": [0.2, 5.0], "none": None},
    )  # fmt: skip
    write(store, lambda tx: tx.rollouts.record(row) or tx.rollouts.record(replace(row, seq=2)))
    assert read(store, lambda tx: tx.rollouts.history("r1")) == [row, replace(row, seq=2)]
    with pytest.raises(Exception, match="reconciles"):
        write(store, lambda tx: tx.rollouts.record(row))
    write(store, lambda tx: tx.rollouts.violated("r1", "t1", ODD, NOW))
    assert read(store, lambda tx: (tx.rollouts.violations("r1"), tx.rollouts.violations("r2"))) == (1, 0)


def test_a_request_is_decided_over_the_state_it_was_read_in(store):
    write(store, lambda tx: tx.approvals.add(approval()) or tx.approvals.add(approval("a0", name="other")))
    assert read(store, lambda tx: tx.approvals.get("a1")) == approval()
    decided = approval(state="approved", decided_by=ODD, decided_at=moment(1), feedback=ODD)
    write(store, lambda tx: tx.approvals.swap(approval(), decided))
    with pytest.raises(Conflict, match="decided by somebody else"):
        write(store, lambda tx: tx.approvals.swap(approval(), approval(state="rejected")))
    assert read(store, lambda tx: tx.approvals.get("a1")) == decided
    assert [one.id for one in read(store, lambda tx: tx.approvals.all())] == ["a0", "a1"]
    assert [one.id for one in read(store, lambda tx: tx.approvals.all("other"))] == ["a0"]
    with pytest.raises(NotFound, match="'a9'"):
        read(store, lambda tx: tx.approvals.get("a9"))


# Money, marks, executors --------------------------------------------------------------------------------------------


def test_money_is_reserved_once_a_key_and_settled_to_what_it_cost(store):
    worst, true = Cost(calls=6, tokens=100, usd=0.5), Cost(calls=2, tokens=30, usd=0.09)
    for _ in range(2):
        write(store, lambda tx: tx.ledgers.reserve("day", "k", worst, NOW))
    ledger = read(store, lambda tx: tx.ledgers.get("day", Budget(usd=1.0)))
    assert (ledger.settled, ledger.reserved, ledger.committed) == (Cost(), (("k", worst),), worst)
    assert ledger.budget == Budget(usd=1.0)
    write(store, lambda tx: tx.ledgers.settle("day", "k", true))
    ledger = read(store, lambda tx: tx.ledgers.get("day", Budget()))
    assert (ledger.settled, ledger.reserved) == (true, ())
    write(store, lambda tx: tx.ledgers.reserve("day", "k", worst, NOW))
    assert read(store, lambda tx: tx.ledgers.get("day", Budget())).committed == true
    assert read(store, lambda tx: tx.ledgers.get("night", Budget())).committed == Cost()


def test_work_that_was_settled_and_is_done_anew_gets_a_key_of_its_own(store):
    cost = Cost(calls=1, usd=0.1)
    for number in range(3):

        def once(tx):
            key = tx.ledgers.free_key("day", "k")
            tx.ledgers.reserve("day", key, cost, NOW)
            assert tx.ledgers.free_key("day", "k") == key, "a reservation that is open is found again"
            tx.ledgers.settle("day", key, cost)

        write(store, once)
        assert read(store, lambda tx: tx.ledgers.get("day", Budget())).committed.calls == number + 1


def test_what_was_done_is_marked_once_and_its_result_is_found_again(store):
    assert read(store, lambda tx: tx.marks.get("k")) is None
    write(store, lambda tx: tx.marks.add("k", {"a": [1, None, ODD]}, NOW))
    assert read(store, lambda tx: tx.marks.get("k")) == {"a": [1, None, ODD]}

    def again(tx):
        tx.lessons.add(Lesson(agent="support", text="x", evidence="", tick=1, at=NOW))
        tx.marks.add("k", {}, NOW)

    with pytest.raises(Conflict, match="k was already done"):
        write(store, again)
    assert read(store, lambda tx: tx.lessons.all("support")) == [], "and what came with it is not done twice"


def test_a_dead_executor_is_claimed_by_one_who_comes(opener):
    stores = [opener() for _ in range(4)]
    for number in range(3):
        write(stores[0], lambda tx, n=number: tx.executors.seen(f"e{n}", "host", 100 + n, moment(n)))
    write(stores[0], lambda tx: tx.executors.seen("e2", "host", 102, moment(99)))
    got: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda s=store: got.append(
            write(s, lambda tx: tx.executors.claim(lambda name, pid, at: at < moment(50)))
        ))
        for store in stores
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(sorted, got)) == [[], [], [], ["e0", "e1"]]
    assert write(stores[0], lambda tx: tx.executors.claim(lambda name, pid, at: True)) == ["e2"]


# The audit record ---------------------------------------------------------------------------------------------------


def fill(store: Any, count: int = 6) -> None:
    for number in range(count):
        write(store, lambda tx, n=number: tx.audit.append(
            at=moment(n), actor=ODD, action=f"action {n}", subject="s",
            payload={"n": n, "x": [1.5, 1e300, None, {"ä": ODD}]},
        ))  # fmt: skip


def test_the_chain_is_whole_over_restarts_and_for_any_payload(opener):
    for _ in range(3):
        store = opener()
        fill(store, 2)
        store.close()
    entries = read(opener(), lambda tx: tx.audit.all())
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert verify(entries).intact


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6,
), max_size=4))  # fmt: skip
def test_any_payload_that_json_can_hold_keeps_the_chain_whole(one, payload):
    write(one, lambda tx: tx.audit.append(at=NOW, actor="a", action="b", subject="c", payload=payload))
    assert verify(read(one, lambda tx: tx.audit.all())[-1:] and read(one, lambda tx: tx.audit.all())).intact


def test_many_who_append_at_once_make_one_chain(opener):
    stores = [opener() for _ in range(4)]
    threads = [threading.Thread(target=fill, args=(store, 8)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = read(stores[0], lambda tx: tx.audit.all())
    assert len(entries) == 32
    assert verify(entries).intact


TAMPERED = {
    "another actor": "UPDATE audit SET actor = 'mallory' WHERE seq = 3",
    "another action": "UPDATE audit SET action = 'approved' WHERE seq = 3",
    "another subject": "UPDATE audit SET subject = 'x' WHERE seq = 3",
    "another time": "UPDATE audit SET at = at + 1 WHERE seq = 3",
    "another payload": "UPDATE audit SET payload = '{\"n\": 7}' WHERE seq = 3",
    "another digest": "UPDATE audit SET digest = previous WHERE seq = 3",
    "a hole": "DELETE FROM audit WHERE seq = 3",
    "no beginning": "DELETE FROM audit WHERE seq = 1",
    "two exchanged": "UPDATE audit SET seq = CASE seq WHEN 3 THEN -4 WHEN 4 THEN -3 END WHERE seq IN (3, 4);"
    "UPDATE audit SET seq = -seq WHERE seq < 0",
    "a hole that was closed": "DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3",
    "one more": "INSERT INTO audit SELECT 7, at, actor, 'forged', subject, payload, digest, digest FROM audit"
    " WHERE seq = 6",
    "rewritten but for the head": "UPDATE audit SET previous = '0', digest = '0' WHERE seq = 3",
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_with_the_file_is_found(one, how):
    fill(one)
    assert verify(read(one, lambda tx: tx.audit.all())).intact
    raw = sqlite3.connect(one.path)
    raw.executescript(TAMPERED[how])
    raw.close()
    found = verify(read(one, lambda tx: tx.audit.all()))
    assert not found.intact
    assert found.broken_at is not None
    assert found.problem


def test_a_cut_tail_is_found_by_the_head_that_was_noted(one):
    fill(one)
    whole = verify(read(one, lambda tx: tx.audit.all()))
    raw = sqlite3.connect(one.path)
    raw.executescript("DELETE FROM audit WHERE seq > 4")
    raw.close()
    entries = read(one, lambda tx: tx.audit.all())
    assert verify(entries).intact, "alone, a cut chain looks whole"
    found = verify(entries, head=(whole.entries, whole.head))
    assert not found.intact
    fill(one, 2)
    grown = verify(read(one, lambda tx: tx.audit.all()), head=(whole.entries, whole.head))
    assert not grown.intact, "nor does it help to grow it again to its old length"


def test_a_whole_new_record_does_not_pass_for_the_old_one(one, tmp_path):
    fill(one)
    whole = verify(read(one, lambda tx: tx.audit.all()))
    other = open_store(tmp_path / "forged.db")
    for number in range(6):
        write(other, lambda tx, n=number: tx.audit.append(at=NOW, actor="m", action=f"{n}", subject="", payload={}))
    forged = read(other, lambda tx: tx.audit.all())
    other.close()
    assert verify(forged).intact
    assert not verify(forged, head=(whole.entries, whole.head)).intact
