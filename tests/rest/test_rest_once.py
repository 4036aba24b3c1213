"""A request that is sent twice under one key is carried out once, whatever happens in between."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_house import Door, problem, serving
from starlette.exceptions import HTTPException

from surefoot.core.errors import Conflict, Invalid
from surefoot.core.proposal import Cost
from surefoot.core.request_key import KEPT, LEASE, Busy, RequestKey, due, worth_keeping
from surefoot.core.retention import Retention
from surefoot.engine.admit import Admission
from surefoot.engine.converse import Took
from surefoot.engine.retain import retain_daily
from surefoot.ports.turn import Turned

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LESSON = "/agents/support/lessons"


def lessons(door: Door) -> list[str]:
    return [one["text"] for one in door.get(LESSON).json["lessons"] if one["tick"] == 0 and "by" in one["evidence"]]


def test_the_same_request_under_one_key_is_answered_again_word_for_word(door: Door) -> None:
    first = door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1")
    again = door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1")
    assert (first.status, again.status, again.text) == (201, 201, first.text)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert lessons(door) == ["once"]


def test_another_request_under_a_used_key_is_refused(door: Door) -> None:
    door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1")
    problem(door.post(LESSON, {"text": "twice"}, Idempotency_Key="k-1"), 422, "invalid")
    problem(door.post("/agents/other/lessons", {"text": "once"}, Idempotency_Key="k-1"), 422, "invalid")
    assert lessons(door) == ["once"]


def test_a_key_belongs_to_one_token(door: Door) -> None:
    assert door.post(LESSON, {"text": "once"}, by="ana", Idempotency_Key="k-1").status == 201
    other = door.post(LESSON, {"text": "once"}, by="olga", Idempotency_Key="k-1")
    assert (other.status, "idempotent-replayed" in other.headers) == (201, False)
    problem(door.post(LESSON, {"text": "once"}, by="vera", Idempotency_Key="k-1"), 403, "forbidden")
    stranger = door.ask("POST", LESSON, {"text": "once"}, Idempotency_Key="k-1")
    assert (stranger.status, "idempotent-replayed" in stranger.headers) == (401, False)


def test_a_refusal_that_changed_nothing_frees_its_key(door: Door) -> None:
    problem(door.post(LESSON, {"text": ""}, Idempotency_Key="k-1"), 422, "invalid")
    assert door.post(LESSON, {"text": "mended"}, Idempotency_Key="k-1").status == 201


def test_an_unusable_key_is_refused_before_anything_is_done(door: Door) -> None:
    for key in ("", " ", "a b", "x" * 201, "\xe9"):
        problem(door.post(LESSON, {"text": "x"}, Idempotency_Key=key), 422, "invalid")
    assert lessons(door) == []


def test_of_twenty_at_once_one_is_carried_out(door: Door) -> None:
    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda _: door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1"), range(20)))
    assert lessons(door) == ["once"]
    assert {one.status for one in said} <= {201, 409}
    assert all(one.headers["retry-after"] == "1" for one in said if one.status == 409)
    assert len({one.text for one in said if one.status == 201}) == 1


def test_the_key_of_a_secret_is_told_as_done_and_its_answer_is_not_kept(door: Door) -> None:
    hook = {"url": "http://127.0.0.1:9/x"}
    first = door.post("/webhooks", hook, Idempotency_Key="k-1")
    key = first.json["signing_key"]
    assert "secret" in problem(door.post("/webhooks", hook, Idempotency_Key="k-1"), 409, "conflict")
    assert len(door.get("/webhooks").json["webhooks"]) == 1
    raw = b"".join(path.read_bytes() for path in door.app.settings.store.parent.iterdir())
    assert key.encode() not in raw
    assert key.removeprefix("whsec_").encode() not in raw


def dead(key: str, *, changed: bool) -> Any:
    """Leave a key behind as a process that was killed would."""

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    async def work(app: Any) -> None:
        def write(tx: Any) -> None:
            known = tx.request_keys.get(*key_of(tx, key))
            tx.request_keys.put(replace(known, state="open", changed=changed, status=0, body="",
                                        owner=f"{socket.gethostname()}:{gone.pid}"))  # fmt: skip

        await app.store.write(write)

    return work


def key_of(tx: Any, key: str) -> tuple[str, str]:
    return hashlib.sha256(b"Bearer sf_ana").hexdigest(), key


def test_a_dead_request_that_changed_nothing_is_carried_out_again(door: Door) -> None:
    door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1")
    door.do(dead("k-1", changed=False))
    assert door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1").status == 201
    assert len(lessons(door)) == 2


def test_a_dead_request_that_began_to_change_things_is_told_as_such(door: Door) -> None:
    door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1")
    door.do(dead("k-1", changed=True))
    told = door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1")
    assert "ended while" in problem(told, 409, "conflict")
    assert "retry-after" not in told.headers
    assert len(lessons(door)) == 1


SERVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {here!r})
import rest_house, surefoot.engine.shelve as shelve, surefoot.api.finding as finding
real = shelve.taught
async def slow(*a, **k):
    if {when!r} == "before":
        print("in", flush=True); await asyncio.sleep(60)
    done = await real(*a, **k)
    print("in", flush=True); await asyncio.sleep(60)
    return done
finding.taught = slow
with rest_house.serving(Path({store!r})) as door:
    print(door.port, flush=True)
    import time; time.sleep(60)
"""


@pytest.mark.parametrize(("when", "status", "count"), [("before", 201, 1), ("after", 409, 1)])
def test_a_server_killed_in_the_middle_leaves_a_key_that_tells_the_truth(
    store: Path, when: str, status: int, count: int
) -> None:
    here = str(Path(__file__).parent)
    program = SERVER.format(here=here, store=str(store), when=when)
    source = os.pathsep.join(str(Path(here).parents[1] / one) for one in ("src", "tests"))
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": source})  # fmt: skip
    assert server.stdout is not None
    port = int(server.stdout.readline())
    first = Door(port, None)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: first.post(LESSON, {"text": "once"}, Idempotency_Key="k-9"))
        assert server.stdout.readline() == "in\n"
        problem(first.post(LESSON, {"text": "once"}, Idempotency_Key="k-9"), 409, "conflict")
        server.send_signal(signal.SIGKILL)
        server.wait()
        with pytest.raises((ConnectionError, OSError)):
            asked.result()
    server.stdout.close()
    with serving(store) as door:
        assert door.post(LESSON, {"text": "once"}, Idempotency_Key="k-9").status == status
        assert lessons(door) == ["once"] * count


def one_key(**more: Any) -> RequestKey:
    return RequestKey(**{"who": "w", "key": "k", "request": "r", "owner": "h:1", "at": NOW, "until": NOW + LEASE,
                         **more})  # fmt: skip


@given(changed=st.booleans(), alive=st.booleans(), state=st.sampled_from(["open", "done"]), same=st.booleans(),
       secret=st.booleans(), minutes=st.integers(0, 60 * 30))  # fmt: skip
def test_what_may_have_happened_is_never_run_again_within_a_day(
    changed: bool, alive: bool, state: Any, same: bool, secret: bool, minutes: int
) -> None:
    known = one_key(changed=changed, state=state, secret=secret)
    now = NOW + timedelta(minutes=minutes)
    try:
        word = due(known, "r" if same else "s", now=now, alive=alive)
    except (Invalid, Conflict) as error:
        word = error.code
    if now - NOW >= KEPT:
        assert word == "run"
    elif not same:
        assert word == "invalid"
    elif state == "done" or changed or (alive and now < known.until):
        assert word != "run"
        assert (word == "replay") == (state == "done" and not secret)
    else:
        assert word == "run"


def test_a_key_that_is_worked_on_is_busy_until_its_lease_ends() -> None:
    with pytest.raises(Busy):
        due(one_key(), "r", now=NOW, alive=True)
    assert due(one_key(), "r", now=NOW + LEASE, alive=True) == "run"


@given(status=st.integers(100, 599), changed=st.booleans())
def test_only_what_went_well_or_did_something_is_kept(status: int, changed: bool) -> None:
    later = status in (429, 502, 503, 504)
    assert worth_keeping(status, changed=changed) == (not later and (changed or 200 <= status < 300))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_go_better_in_a_moment_frees_its_key_also_after_a_write(
    door: Door, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    from surefoot.api import finding

    real, calls = finding.taught, []

    async def fails_once(*given: Any, **more: Any) -> Any:
        calls.append(1)
        done = await real(*given, **more)
        if len(calls) == 1:
            raise HTTPException(status, "not now")
        return done

    monkeypatch.setattr(finding, "taught", fails_once)
    assert door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1").status == status
    assert door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1").status == 201


def test_a_refusal_after_a_write_is_kept_and_not_tried_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from surefoot.api import finding

    real = finding.taught

    async def refuses(*given: Any, **more: Any) -> Any:
        await real(*given, **more)
        raise Invalid("too late", hint="none")

    monkeypatch.setattr(finding, "taught", refuses)
    for _ in range(2):
        problem(door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1"), 422, "invalid")
    assert lessons(door) == ["once"]


def test_a_key_costs_no_second_drop_of_the_rate(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = Admission.admit, []

    async def counted(self: Admission, presented: str, *, address: str = "") -> Any:
        asked.append(presented)
        return await real(self, presented, address=address)

    monkeypatch.setattr(Admission, "admit", counted)
    assert door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1").status == 201
    assert door.post(LESSON, {"text": "more"}).status == 201
    assert asked == ["sf_ana", "sf_ana"]
    problem(door.post(LESSON, {"text": "no"}, by="vera", Idempotency_Key="k-1"), 403, "forbidden")


def stored(door: Door) -> bytes:
    return b"".join(path.read_bytes() for path in door.app.settings.store.parent.iterdir())


def test_what_a_model_said_is_not_kept_under_a_key(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from surefoot.api import conversing

    async def said(*_: Any) -> Took:
        message = {"role": "assistant", "content": "write to planted.person@example.org"}
        return Took(turned=Turned(message=message, finish="stop", cost=Cost(calls=1)), spent=Cost(calls=1))

    async def written(ports: Any, *rest: Any) -> Took:
        await ports.store.write(lambda tx: tx.marks.add("a turn", {}, NOW))
        return await said(*rest)

    monkeypatch.setattr(conversing, "turn", written)
    turn = {"talk": "talk-1234", "number": 0, "messages": [{"role": "user", "content": "hi"}]}
    first = door.post("/agents/support/harness", turn, Idempotency_Key="k-1")
    assert (first.status, first.headers["cache-control"]) == (200, "no-store")
    assert "planted.person" in first.text
    told = door.post("/agents/support/harness", turn, Idempotency_Key="k-1")
    assert "its answer is not kept" in problem(told, 409, "conflict")
    assert b"planted.person" not in stored(door)


def test_an_erasure_leaves_no_answer_and_still_nothing_is_done_twice(door: Door) -> None:
    door.post(LESSON, {"text": "Whiskerina was charged twice"}, Idempotency_Key="k-1")
    kept = door.see(lambda tx: tx.request_keys.get(*key_of(tx, "k-1")))
    assert "Whiskerina" in kept.body
    assert door.delete("/actors/ann", Idempotency_Key="k-2").status == 200
    after = door.see(lambda tx: tx.request_keys.get(*key_of(tx, "k-1")))
    assert (after.body, dict(after.headers), after.state) == ("", {}, "done")
    problem(door.post(LESSON, {"text": "Whiskerina was charged twice"}, Idempotency_Key="k-1"), 409, "conflict")
    assert lessons(door) == ["Whiskerina was charged twice"]
    assert door.delete("/actors/ann", Idempotency_Key="k-2").headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("how", ["the next key", "the retention run"])
def test_keys_older_than_a_day_are_forgotten(door: Door, how: str) -> None:
    door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1")

    async def aged(app: Any) -> None:
        def write(tx: Any) -> None:
            known = tx.request_keys.get(*key_of(tx, "k-1"))
            tx.request_keys.put(replace(known, at=known.at - KEPT, key="k-0"))

        await app.store.write(write)

    door.do(aged)
    if how == "the retention run":
        assert door.do(lambda app: retain_daily(app.ports, Retention())) is None
    else:
        door.post(LESSON, {"text": "more"}, Idempotency_Key="k-2")
    assert door.see(lambda tx: tx.request_keys.get(*key_of(tx, "k-0"))) is None
    assert door.see(lambda tx: tx.request_keys.get(*key_of(tx, "k-1"))) is not None


def test_a_mistake_of_ours_half_way_is_kept_and_told_again(door: Door, monkeypatch: Any) -> None:
    from surefoot.api import finding

    real, calls = finding.taught, []

    async def breaks(*given: Any, **more: Any) -> Any:
        calls.append(1)
        await real(*given, **more)
        raise RuntimeError("half-way")

    monkeypatch.setattr(finding, "taught", breaks)
    assert door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1").status == 500
    assert door.post(LESSON, {"text": "once"}, Idempotency_Key="k-1").status == 500
    assert (len(calls), lessons(door)) == (1, ["once"])


def test_under_a_key_what_was_looked_at_must_still_be_there(door: Door) -> None:
    tag = door.get("/agents/support/settings").tag
    assert door.put("/agents/support/settings", {"arms": 2}, If_Match=tag, Idempotency_Key="k-1").status == 200
    moved = door.put("/agents/support/settings", {"arms": 3}, If_Match=tag, Idempotency_Key="k-2")
    problem(moved, 412, "conflict")
    assert door.put("/agents/support/settings", {"arms": 2}, If_Match=tag, Idempotency_Key="k-1").status == 200
