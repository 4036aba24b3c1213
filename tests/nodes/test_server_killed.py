"""kill -9 of the server while executions are in flight: nothing is sent twice, nothing is waited for in vain."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from house import House, house


@pytest.mark.slow
def test_after_a_kill_what_was_not_sent_is_sent_what_was_sent_is_lost_and_what_was_taken_over_arrives(
    tmp_path: Path,
) -> None:
    with house(tmp_path, at_once=3, deadline_s=60) as home:
        node = home.up("1.0.0")
        running = [submit(home, "slow", {"seconds": 30}) for _ in range(3)]
        home.soon(lambda: node.server.counts.get("slow") == 3)
        queued = [submit(home, "classify", {"text": f"number {number}"}) for number in range(4)]
        hidden = submit(home, "classify", {"text": "mail jo.doe@example.com"})
        assert all(state(home, one) == "queued" for one in (*queued, hidden))
        home.kill()
        home.begin()
        home.soon(lambda: all(state(home, one) in ("succeeded", "lost") for one in (*running, *queued, hidden)), 50)
        assert [state(home, one) for one in running] == ["lost"] * 3
        assert [state(home, one) for one in queued] == ["succeeded"] * 4
        told = home.ask("GET", f"/executions/{hidden}").json
        assert (told["status"], "send it again" in told["error"]) == ("lost", True)
        assert "may have been carried out" in home.ask("GET", f"/executions/{running[0]}").json["error"]
        assert node.server.counts == {"classify": 4, "slow": 3}, "nothing was sent twice"
        assert home.labels() == 0, "a version answers for no server that was killed"


@pytest.mark.slow
def test_what_a_process_took_over_is_heard_by_the_next_server(tmp_path: Path) -> None:
    with house(tmp_path, deadline_s=60) as home:
        home.up("1.0.0")
        one = submit(home, "late", {"home": f"http://127.0.0.1:{home.port}", "seconds": 1.5})
        home.soon(lambda: home.ask("GET", f"/executions/{one}").json["accepted"])
        caller = threading.Thread(target=_asks_and_is_cut_off, args=(home,), daemon=True)
        caller.start()
        time.sleep(0.3)
        port = home.port
        home.kill()
        caller.join(5)
        assert not caller.is_alive()
        home.begin(port)
        home.soon(lambda: state(home, one) == "succeeded", 50)


def submit(home: House, reasoner: str, given: Any) -> str:
    got = home.ask("POST", f"/execute/async/{home.agent}.{reasoner}", {"input": given})
    assert got.status == 202, got.json
    return got.json["execution_id"]


def state(home: House, execution: str) -> str:
    return home.ask("GET", f"/executions/{execution}").json["status"]


def _asks_and_is_cut_off(home: House) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        home.ask("POST", f"/execute/{home.agent}.slow", {"input": {"seconds": 5}})
