"""Two versions of one agent as real processes behind a real server: who serves, and who does when one of them dies."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from house import CONNECTOR, House, Killable, house, url


def served(home: House, units: list[str]) -> dict[str, str]:
    """Which version serves each session, by what the process itself says; the header has to say the same."""

    def one(unit: str) -> tuple[str, str]:
        got = home.execute(X_Session_ID=unit)
        assert got.status == 200, got.json
        assert got.headers["x-routed-version"] == got.json["version"] == got.json["result"]["said_by"]
        return unit, got.json["version"]

    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(one, units))


def shares(home: House) -> dict[str, tuple[float, float]]:
    return {name: (one["traffic_weight"], one["effective_weight"]) for name, one in home.versions().items()}


def test_two_versions_run_side_by_side_and_the_answer_names_the_one_that_gave_it(home: House) -> None:
    home.up("1.0.0")
    home.up("2.1.0")
    got = home.execute("hi", X_Session_ID="s1", X_Actor_ID="a1")
    assert (got.status, got.json["result"]["said_by"], got.headers["x-routed-version"]) == (200, "1.0.0", "1.0.0")
    assert got.json["result"]["echo"] == {"text": "hi"}
    told = got.json["result"]["headers"]
    assert got.headers["x-surefoot-trace-id"] == got.json["execution_id"] == told["X-Execution-ID"]
    assert told["X-Session-ID"] == "s1"
    assert "Authorization" not in told, "nobody's token reaches a process"
    assert shares(home) == {"1.0.0": (100, 100), "2.1.0": (0, 0)}
    outcome = {"trace_id": got.json["execution_id"], "verdict": "success"}
    assert home.ask("POST", f"/agents/{home.agent}/outcomes", outcome).status == 201, "an execution is a trace"


def test_a_weight_is_a_share_of_all_requests(home: House) -> None:
    home.up("1.0.0")
    home.up("2.1.0")
    got = home.weight("2.1.0", 5)
    assert got.status == 200, got.json
    assert (got.json["previous_weight"], got.json["new_weight"], got.json["incumbent_weight"]) == (0, 5, 95)
    assert home.weight("2.1.0", 25).json["incumbent_weight"] == 75
    seen = Counter(served(home, [f"session {number}" for number in range(100)]).values())
    assert abs(seen["2.1.0"] - 25) < 4.5 * math.sqrt(100 * 0.25 * 0.75)


@pytest.mark.slow
def test_a_unit_keeps_its_version_over_a_killed_server(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.up("1.0.0")
        home.up("2.1.0")
        assert home.weight("2.1.0", 40).status == 200
        first = served(home, [f"session {number}" for number in range(60)])
        assert set(first.values()) == {"1.0.0", "2.1.0"}
        home.kill()
        home.begin()
        home.soon(lambda: home.execute().status == 200)
        assert served(home, list(first)) == first


def test_zero_is_never_and_a_majority_or_a_relative_weight_is_refused_in_words(home: House) -> None:
    home.up("1.0.0")
    home.up("2.1.0")
    assert home.weight("2.1.0", 40).status == 200
    assert home.weight("2.1.0", 0).json["incumbent_weight"] == 100
    assert set(served(home, [f"u{number}" for number in range(60)]).values()) == {"1.0.0"}
    over = home.weight("2.1.0", 150)
    assert (over.status, over.json["code"]) == (422, "invalid")
    assert "percent" in over.json["message"]
    assert home.weight("2.1.0", 60).status == 409
    assert home.weight("9.9.9", 5).status == 404
    for odd in ("5", True, None, -1, 1e308):
        assert home.weight("2.1.0", odd).status == 422, odd


def test_a_killed_process_loses_its_share_to_the_live_version_and_gets_it_back(home: House) -> None:
    home.up("1.0.0")
    new = home.killable("2.1.0")
    home.weight("2.1.0", 45)
    units = [f"u{number}" for number in range(40)]
    before = served(home, units)
    assert set(before.values()) == {"1.0.0", "2.1.0"}
    new.end()
    got = served(home, units)
    assert set(got.values()) == {"1.0.0"}, "no request is lost, also before a probe noticed"
    assert home.soon(lambda: shares(home)["2.1.0"] == (45, 0))
    assert home.versions()["1.0.0"]["effective_weight"] == 100
    home.nodes[-1] = Killable("2.1.0", port=new.port)
    home.soon(lambda: shares(home)["2.1.0"] == (45, 45))
    assert served(home, units) == before, "without a deployment, and every unit has its version back"


def test_a_version_that_cannot_serve_fails_although_another_answers(home: House) -> None:
    home.up("1.0.0")
    new = home.killable("2.1.0")
    home.weight("2.1.0", 45)
    units = [f"u{number}" for number in range(40)]
    mine = [unit for unit, version in served(home, units).items() if version == "2.1.0"]
    new.end()
    answer = home.execute(X_Session_ID=mine[0])
    assert (answer.status, answer.json["version"], answer.json["stood_in_for"]) == (200, "1.0.0", "2.1.0")
    said = {"trace_id": answer.json["execution_id"], "verdict": "success"}
    assert home.ask("POST", f"/agents/{home.agent}/outcomes", said).status == 201
    strata = home.strata()
    assert strata == [("challenger", True, 1)], "the answer of the stand-in does not make it good"


def test_an_ill_process_and_one_that_drains_have_no_share_until_they_are_well(home: House) -> None:
    import urllib.request

    home.up("1.0.0")
    new = home.up("2.1.0")
    home.weight("2.1.0", 45)

    def make(state: str) -> None:
        urllib.request.urlopen(f"{url(new)}/ill?now={state}", timeout=5).close()

    for state in ("yes", "redirect", "endless"):
        make(state)
        home.soon(lambda: shares(home)["2.1.0"] == (45, 0))
        make("no")
        home.soon(lambda: shares(home)["2.1.0"] == (45, 45))
    mine = f"/agents/{home.agent}/processes/{home.process('2.1.0')['id']}"
    assert home.ask("POST", f"{mine}/heartbeat", {"state": "draining"}).status == 200
    assert shares(home)["2.1.0"] == (45, 0)
    assert home.ask("POST", f"{mine}/heartbeat", {}).json["status"] == "ready"
    assert shares(home)["2.1.0"] == (45, 45)
    assert home.ask("DELETE", mine).status == 200
    assert shares(home)["2.1.0"] == (45, 0)
    assert home.ask("POST", f"{mine}/heartbeat", {}).status == 404


@pytest.mark.slow
def test_a_lease_without_a_heartbeat_ends_and_a_connector_may_be_read_only(tmp_path: Path) -> None:
    with house(tmp_path, ttl_s=3, connector={"token_env": "CONNECTOR_TOKEN", "read_only": True}) as home:
        one = home.up("1.0.0")
        assert home.execute().status == 200
        assert home.versions()["1.0.0"]["health_status"] == "healthy"
        for token, status in ((CONNECTOR, 403), ("sf_ops", 403), ("a guess", 401), ("", 401)):
            assert home.weight("1.0.0", 100, token=token).status == status, token
        got = home.soon(lambda: (found := home.execute()).status == 503 and found)
        assert "no healthy process (1 expired)" in got.json["message"]
        assert f"surefoot processes {home.agent}" in got.json["hint"]
        home.register(one)
        assert home.execute().status == 200


def test_several_processes_of_one_version_share_its_requests(home: House) -> None:
    import json
    import urllib.request

    nodes = [home.up("1.0.0") for _ in range(3)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: home.execute(), range(60)))
    counts = [json.load(urllib.request.urlopen(f"{url(one)}/counts", timeout=5))["classify"] for one in nodes]
    assert sum(counts) == 60
    assert min(counts) > 5, counts


def test_no_other_version_gets_in_front_of_the_live_one(home: House) -> None:
    home.up("2.0.0")
    for version in ("1.0.0", "3.0.0", "latest", "0"):
        home.up(version)
    assert set(served(home, [f"u{number}" for number in range(40)]).values()) == {"2.0.0"}
