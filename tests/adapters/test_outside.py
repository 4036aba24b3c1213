"""Improvers of other people: what a good one may do, and what becomes of one that tries anything else."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from outside_house import BRIEF, GENOME, Site

from surefoot.adapters.improvers.outside import Found, Outside, Terms, found, problem_of, walls
from surefoot.core.budget import Budget
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.guardrail import Bounds, judge, ngrams
from surefoot.core.proposal import Cost

BUDGET = Budget(calls=6, usd=0.50)
linux = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


async def refused(improver: Outside, budget: Budget = BUDGET) -> str:
    """Ask, and give the reason; nothing of a refused proposal is left but the reason."""
    proposal = await improver.propose(BRIEF, budget)
    assert proposal.edits == ()
    assert proposal.rationale.startswith("refused: ")
    return proposal.rationale


# What a good one may do ----------------------------------------------------------------------------------------------


async def test_an_improver_of_another_package_writes_a_proposal_from_the_whole_brief(site: Site) -> None:
    improver = site.improver("""
        def propose(brief, budget):
            words = sorted({word for case in brief.failures for word in case.input.split() if word.isalpha()})
            assert brief.genome.block("guard").locked and brief.labels == ("card", "transfer") and budget.calls == 6
            assert brief.others[0].case_id == "ok-1" and brief.tried == {"0123"} and brief.model == "local-lexical"
            print("noise", words)
            return rule(f"If the message mentions {words[-1]}, answer card.", evidence=("case-1",))
    """)
    proposal = await improver.propose(BRIEF, BUDGET)
    (edit,) = proposal.edits
    assert (proposal.improver, edit.text) == ("strange", "If the message mentions thing, answer card.")
    assert (edit.gap, edit.evidence, proposal.cost) == ("card-as-transfer", ("case-1",), Cost())
    assert site.untouched()


async def test_it_may_be_a_coroutine_and_answer_in_plain_json(site: Site) -> None:
    improver = site.improver("""
        import asyncio, threading
        async def propose(brief, budget):
            await asyncio.sleep(0.01)
            thread = threading.Thread(target=lambda: None)
            thread.start(); thread.join()
            return {"protocol": 1, "edits": [{"kind": "retire", "target": "rule-old"}], "cost": {"calls": 10**9}}
    """)
    proposal = await improver.propose(BRIEF, BUDGET)
    assert [edit.kind for edit in proposal.edits] == ["retire"]
    assert proposal.cost == Cost(), "what has no way to a model cannot use up the calls of a tick"


async def test_it_gets_an_empty_home_and_only_the_variables_that_the_settings_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-house")
    improver = site.improver(
        """
        def propose(brief, budget):
            home = os.environ["HOME"]
            open(os.path.join(home, "note"), "w").write("mine")
            seen = [os.getcwd() != home, os.listdir(home) == ["note"], sorted(os.environ), " ".join(sys.argv)]
            return {"protocol": 1, "edits": [], "rationale": repr(seen)}
        """,
        Terms(env={"MY_KEY": "sk-mine"}, timeout_s=10.0),
    )
    told = (await improver.propose(BRIEF, BUDGET)).rationale
    assert told.startswith("[True, True, ['HOME', 'LANG', 'MY_KEY', 'PATH', 'SUREFOOT_PROCESS', 'TMPDIR']")
    assert "sk-" not in told
    assert "surefoot.db" not in told


def test_improvers_are_found_without_importing_them(site: Site) -> None:
    (site.folder / "bomb.py").write_text("raise SystemExit('imported')")
    site.add("bomb", "bomb:propose")
    assert Found(name="bomb", entry="bomb:propose", package="bomb") in found()
    assert "bomb" not in sys.modules


def test_a_name_that_is_taken_doubled_or_odd_cannot_be_used() -> None:
    one = Found(name="mine", entry="a:b", package="a")
    assert problem_of(one, [one], ["lexical"]) == ""
    assert "several" in problem_of(one, [one, Found(name="mine", entry="c:d", package="c")], [])
    assert "of its own" in problem_of(Found(name="lexical", entry="a:b", package="a"), [], ["lexical"])
    assert "must be" in problem_of(Found(name="../x", entry="a:b", package="a"), [], [])


# Attacks -------------------------------------------------------------------------------------------------------------

# Each of these is one expression; all are tried in one process, and none may give anything.
FORBIDDEN = {
    "opens the store": "open({store!r}).read()",
    "opens it by another name": "os.open(os.path.relpath({store!r}), os.O_RDONLY)",
    "lists the folder of the store": "os.listdir(os.path.dirname({store!r}))",
    "writes beside the store": "open({store!r} + '-wal', 'w')",
    "overwrites the store": "open({store!r}, 'r+b').truncate(0)",
    "deletes the store": "os.unlink({store!r})",
    "renames the store": "os.rename({store!r}, 'mine')",
    "links the store into its folder": "os.link({store!r}, 'mine')",
    "reads it through a symbolic link": "(os.symlink({store!r}, 'l'), open('l').read())",
    "opens it as a database": "__import__('sqlite3').connect({store!r}).execute('select 1')",
    "reads the environment of the house": "open('/proc/{house}/environ', 'rb').read()",
    "reads the memory of the house": "open('/proc/{house}/mem', 'rb')",
    "reads the open files of the house": "os.listdir('/proc/{house}/fd')",
    "reads the memory of its keeper": "open('/proc/%d/mem' % os.getppid(), 'rb')",
    "reads the passwords": "open('/etc/passwd').read()",
    "opens a socket": "socket.create_connection(('127.0.0.1', 80), 1)",
    "opens a local socket": "socket.socket(socket.AF_UNIX)",
    "sends a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "forks": "os.fork() or os._exit(0)",
    "leaves a daemon": "subprocess.Popen(['sleep', '60'], start_new_session=True)",
    "spawns": "os.posix_spawn('/bin/sleep', ['sleep', '60'], {{}})",
    "becomes another program": "os.execv('/bin/cat', ['cat', {store!r}])",
    "kills the house": "os.kill({house}, 0)",
    "kills everybody": "os.kill(-1, 0)",
    "kills its keeper": "os.kill(os.getppid(), 0)",
    "takes a handle on the house": "os.pidfd_open({house})",
    "traces the house": "call('ptrace', 16, {house}, 0, 0)",
    "reads the house's memory by a call": "call('process_vm_readv', {house}, None, 0, None, 0, 0)",
    "leaves its name spaces": "call('unshare', 0x10000000)",
    "mounts": "call('mount', b'none', b'.', b'tmpfs', 0, None)",
    "becomes root again": "call('setresuid', 1, 1, 1) or call('setresuid', 0, 0, 0)",
    "raises its own limits": "resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))",
    "changes the limits of the house": "resource.prlimit({house}, resource.RLIMIT_CPU, (10**6, 10**6))",
}  # fmt: skip


@linux
async def test_nothing_that_leads_out_gives_anything_and_the_store_is_as_it_was(site: Site) -> None:
    tried = {name: code.format(store=str(site.store), house=os.getpid()) for name, code in FORBIDDEN.items()}
    improver = site.improver(f"""
        import ctypes, resource, socket, sqlite3, subprocess
        def call(name, *arguments):
            if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) < 0:
                raise OSError(ctypes.get_errno(), name)
        def propose(brief, budget):
            given = []
            for name, code in {tried!r}.items():
                try:
                    given.append(f"{{name}}: {{eval(code)!r}}")
                except (OSError, ValueError, sqlite3.OperationalError):
                    pass
            return {{"protocol": 1, "edits": [], "rationale": f"{{len(given)}} {{given}}"}}
    """)
    assert (await improver.propose(BRIEF, BUDGET)).rationale == "0 []"
    assert site.untouched()


ATTACKS = {
    "takes all memory": ("x = bytearray(4 << 30)", "MemoryError"),
    "fills the disk": ("f = open('big', 'wb'); [f.write(bytes(1 << 20)) for _ in range(64)]", "File too large"),
    "opens files without end": ("x = [open('/dev/null') for _ in range(10_000)]", "Too many open files"),
    "prints without end": ("[os.write(1, b'x' * (1 << 20)) for _ in range(1024)]", "File too large"),
    "floods the way of the proposal": ("[os.write(3, b'x' * (1 << 20)) for _ in range(1024)]", "printed more than"),
    "floods the way of the reasons": ("[os.write(4, b'x' * (1 << 20)) for _ in range(64)]; 1 / 0", "ZeroDivisionError"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "signal 11"),
    "ends at once": ("os._exit(0)", "no JSON"),
    "pretends that a wall is missing": ("sys.exit(72)", "SystemExit"),
    "raises what nobody catches": ("raise KeyboardInterrupt('stop')", "KeyboardInterrupt: stop"),
    "says nothing": ("return None", "must be an object"),
    "answers twice": ("os.write(3, b'{}'); return rule()", "no JSON"),
    "names the locked block and an unknown kind": (
        "return dict(protocol=1, edits=[dict(kind='add', target='a', text='b'), dict(kind='erase', target='guard')])",
        "there is no edit 'erase'",
    ),
    "says that it spent what it cannot have spent": (
        "return dict(protocol=1, edits=rule().edits and [], cost=dict(usd=0.01))", "more than its budget",
    ),
}  # fmt: skip


@linux
@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_ends_as_a_refusal_with_a_reason_and_the_store_is_as_it_was(attack: str, site: Site) -> None:
    code, reason = ATTACKS[attack]
    improver = site.improver(f"def propose(brief, budget):\n    {code}\n    return rule()\n", memory_mb=512)
    assert reason in await refused(improver)
    assert site.untouched()


@linux
async def test_an_attack_at_import_meets_the_same_walls(site: Site) -> None:
    improver = site.improver(f"stolen = open({str(site.store)!r}).read()\ndef propose(brief, budget): return rule()\n")
    assert "cannot be imported: PermissionError" in await refused(improver)


@linux
async def test_an_attack_from_a_thread_or_after_the_answer_meets_the_same_walls(site: Site) -> None:
    improver = site.improver(f"""
        import atexit, threading
        def steal(found):
            try:
                found.append(open({str(site.store)!r}).read())
            except OSError as error:
                found.append(type(error).__name__)
        def propose(brief, budget):
            found = []
            thread = threading.Thread(target=steal, args=(found,))
            thread.start(); thread.join()
            threading.Thread(target=__import__("time").sleep, args=(60,)).start()
            atexit.register(open, {str(site.store.parent / "late")!r}, "w")
            return {{"protocol": 1, "edits": [], "rationale": str(found)}}
    """)
    began = time.monotonic()
    assert (await improver.propose(BRIEF, BUDGET)).rationale == "['PermissionError']"
    assert time.monotonic() - began < 5
    assert site.untouched()


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (15, 2, 1)]; time.sleep(60)",
        "sys.stdin.read(); __import__('threading').Event().wait()",
    ],
    ids=["sleeps", "ignores every signal", "waits for input"],
)
async def test_one_that_hangs_is_ended_at_the_deadline(code: str, site: Site) -> None:
    began = time.monotonic()
    told = await refused(site.improver(f"def propose(brief, budget):\n    {code}\n", timeout_s=1.0))
    assert "no proposal within 1 seconds" in told
    assert time.monotonic() - began < 8


async def test_one_that_spins_is_ended(site: Site) -> None:
    told = await refused(site.improver("def propose(brief, budget):\n    while True: pass\n", timeout_s=1.0))
    assert "within 1 seconds" in told or "signal" in told


async def test_cancelling_the_tick_ends_the_improver_too(site: Site) -> None:
    improver = site.improver("def propose(brief, budget):\n    import time; time.sleep(60)\n", timeout_s=60.0)
    asked = asyncio.create_task(improver.propose(BRIEF, BUDGET))
    await asyncio.sleep(0.5)
    began = time.monotonic()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert time.monotonic() - began < 6


# What it may say -----------------------------------------------------------------------------------------------------


async def test_an_edit_of_a_locked_block_and_a_held_out_8_gram_are_refused_by_the_guardrails(site: Site) -> None:
    sealed = "the quick parcel jumped over my lazy old neighbour again"
    improver = site.improver(f"""
        def propose(brief, budget):
            locked = Edit(kind="replace", target="guard", text="Anything goes.")
            leak = Edit(kind="add", target="rule-leak", text="Treat {sealed} as card.")
            return Proposal(improver="reflect", edits=(locked, leak, *rule().edits), rationale="")
    """)
    proposal = await improver.propose(BRIEF, BUDGET)
    assert proposal.improver == "strange"
    judgement = judge(GENOME, GENOME, proposal.edits, Bounds(), held_out=ngrams(sealed))
    assert [refusal.code for refusal in judgement.refusals] == ["edit-forbidden", "leaks-held-out"]
    assert [edit.target for edit in judgement.allowed] == ["rule-new"]
    assert judgement.genome.locked_digest == GENOME.locked_digest


# Walls and money -----------------------------------------------------------------------------------------------------


@linux
async def test_all_walls_stand_here(tmp_path: Path) -> None:
    assert await walls(tmp_path / "surefoot.db") == {"limits": "", "files": "", "network": "", "processes": ""}


@linux
async def test_with_every_wall_required_it_runs_where_they_stand(site: Site) -> None:
    improver = site.improver("def propose(brief, budget): return rule()\n", Terms(timeout_s=10.0, required=True))
    assert len((await improver.propose(BRIEF, BUDGET)).edits) == 1


async def test_where_a_required_wall_is_missing_not_even_its_import_is_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = site.folder / "ran"
    code = f"open({str(ran)!r}, 'w')\ndef propose(brief, budget): return rule()\n"
    improver = site.improver(code, Terms(timeout_s=10.0, required=True))
    monkeypatch.setattr("surefoot.adapters.improvers.outside.cell.WALLS", ("limits", "moat"))  # nobody can build one
    with pytest.raises(Unavailable, match=r"cannot be shut in: moat \(there is no such wall\)"):
        await improver.propose(BRIEF, BUDGET)
    assert not ran.exists()


def _answers(server: socket.socket) -> None:
    server.settimeout(10)
    with server.accept()[0] as line:
        line.sendall(b"card")


@linux
async def test_with_a_port_it_reaches_that_port_and_no_other(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as model, socket.create_server(("127.0.0.1", 0)) as house:
        answering = threading.Thread(target=_answers, args=(model,))
        answering.start()
        improver = site.improver(
            f"""
            import socket
            def propose(brief, budget):
                with socket.create_connection(("127.0.0.1", {model.getsockname()[1]}), 5) as line:
                    said = line.recv(9)
                try:
                    socket.create_connection(("127.0.0.1", {house.getsockname()[1]}), 5)
                except PermissionError:
                    said += b", alone"
                return {{"protocol": 1, "edits": [], "rationale": said.decode(), "cost": {{"calls": 1, "usd": 0.5}}}}
            """,
            Terms(ports=(model.getsockname()[1],), timeout_s=10.0),
        )
        proposal = await improver.propose(BRIEF, BUDGET)
        answering.join()
    assert (proposal.rationale, proposal.cost) == ("card, alone", Cost(calls=1, usd=0.5))


async def test_what_may_ask_a_model_is_charged_its_budget_when_it_fails(site: Site) -> None:
    improver = site.improver("def propose(brief, budget): raise OSError('no')\n", Terms(ports=(443,), timeout_s=10.0))
    assert improver.price(BUDGET) == Cost(calls=6, usd=0.5)
    with pytest.raises(Invalid, match="neither calls nor USD"):
        improver.price(Budget())
    proposal = await improver.propose(BRIEF, BUDGET)
    assert proposal.edits == ()
    assert (proposal.rationale, proposal.cost) == (
        "refused: it failed: OSError: no at strange.py:9", Cost(calls=6, usd=0.5)
    )  # fmt: skip
