"""What a person can do is a route: each noun is looked at, set and moved over HTTP, with the rules of the engine."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from rest_house import V1, Door, canary, problem, traffic, win

import surefoot.engine.verify as verify_room
from surefoot.core.audit import Checked
from surefoot.engine.verify import kept_in


def test_an_agent_is_created_shown_set_stopped_and_resumed(door: Door) -> None:
    made = door.post("/agents", {"name": "fresh", "labels": ["a", "b"], "settings": {"min_failures": 7}})
    assert (made.status, made.json["live"], made.json["settings"]["min_failures"]) == (201, 1, 7)
    problem(door.post("/agents", {"name": "fresh", "labels": ["a", "b"]}), 409, "conflict")
    problem(door.post("/agents", {"name": "No Name", "labels": ["a", "b"]}), 422, "invalid")
    problem(door.post("/agents", {"name": "x", "labels": ["a", "b"]}, by="olga"), 403, "forbidden")
    assert door.post("/agents/fresh/stop", {"reason": "night"}, by="olga").json["stopped"] is True
    problem(door.post("/agents/fresh/stop", by="olga"), 409, "conflict")
    assert door.post("/agents/fresh/resume", by="olga").json["stopped"] is False
    assert door.post("/stop").status == 204
    assert door.post("/resume").status == 204


def test_settings_are_set_one_by_one_and_only_on_what_was_looked_at(door: Door) -> None:
    seen = door.get("/agents/support/settings")
    problem(door.put("/agents/support/settings", {"arms": 2}), 428, "invalid")
    problem(door.put("/agents/support/settings", {"arms": 2}, If_Match='"a999"'), 412, "conflict")
    after = door.put("/agents/support/settings", {"arms": 2, "rollout": {"hard_guard": 50.0, "soft_guard": 20}},
                     If_Match=seen.tag)  # fmt: skip
    assert (after.status, after.json["settings"]["arms"], after.json["settings"]["rollout"]["hard_guard"]) == (
        200, 2, 50.0)  # fmt: skip
    assert after.json["settings"]["min_failures"] == seen.json["settings"]["min_failures"]
    assert len({after.tag, seen.tag, door.get("/agents/other/settings").tag}) == 3
    problem(door.put("/agents/support/settings", {"arms": 2}, If_Match=seen.tag), 412, "conflict")
    problem(door.put("/agents/support/settings", {"arms": 2}, If_Match=after.tag), 409, "conflict")
    for wrong in ({"arms": 0}, {"rollout": {"ceiling_percent": 80}}, {"rollout": {"nothing": 1}}, {"bounds": {}},
                  {"rollout": {"floor_percent": "five"}}, {"model": "no-such-model"}):  # fmt: skip
        assert door.put("/agents/support/settings", wrong, If_Match=after.tag).status in (404, 422), wrong
    assert door.get("/agents/support/settings").tag == after.tag


def test_ticks_move_nothing_that_somebody_looked_at_to_set_it(door: Door) -> None:
    async def one_more_tick(app: Any) -> None:
        def work(tx: Any) -> None:
            agent = tx.agents.get("support")
            tx.agents.swap(replace(agent, tick=agent.tick + 1, last_tick_at=datetime.now(UTC)))

        await app.ports.store.write(work)

    seen = door.get("/agents/support/settings")
    door.do(one_more_tick)
    assert door.put("/agents/support/settings", {"arms": 2}, If_Match=seen.tag).status == 200


def test_versions_are_listed_compared_offered_and_made_current_again(door: Door) -> None:
    rows = door.get("/agents/support/versions", by="vera").json["versions"]
    assert [(one["number"], one["state"], one["live"]) for one in rows] == [(1, "live", True), (2, "candidate", False)]
    blocks = door.get("/agents/support/genomes/live", by="vera").json["blocks"]
    offered = door.post("/agents/support/versions",
                        {"blocks": [*blocks, {"id": "r", "kind": "rule", "text": "Be brief."}], "why": "brevity"},
                        by="ida")  # fmt: skip
    assert (offered.status, offered.json["number"], offered.json["author"]) == (201, 3, "ida")
    changed = door.get("/agents/support/diff?after=3", by="vera").json["changes"]
    assert [one["id"] for one in changed] == ["r"]
    problem(door.put("/agents/support/current", {"version": 3}, by="olga"), 409, "conflict")
    door.do(win)
    one = door.get("/approvals").json["approvals"][0]
    words = {"decision": "approved", "version_hash": one["version_hash"], "evidence_hash": one["evidence_hash"]}
    assert door.post(f"/approvals/{one['id']}/decision", words, by="bob").json["live"] == 2
    assert door.put("/agents/support/current", {"version": 1, "reason": "no"}, by="olga").json["live"] == 1
    assert door.put("/agents/support/current", {"version": 2, "reason": "yes"}, by="olga").json["live"] == 2
    assert [row["version"] for row in door.get("/agents/support/lineage").json["lineage"]] == [1, 2, 1, 2]


def test_a_weight_of_five_is_five_percent_and_taken_from_the_incumbent(door: Door) -> None:
    door.do(canary)
    set_ = door.put("/agents/support/versions/2/weight", {"weight": 12.5}, by="olga")
    assert (set_.status, set_.json["weight"], set_.json["other"], set_.json["other_weight"]) == (200, 12.5, 1, 87.5)
    assert door.get("/agents/support/weights").json["weights"] == [
        {"version": 1, "weight": 87.5}, {"version": 2, "weight": 12.5}]  # fmt: skip
    of_the_live = door.put("/agents/support/versions/1/weight", {"weight": 95}, by="olga").json
    assert (of_the_live["weight"], of_the_live["other_weight"]) == (95, 5)
    problem(door.put("/agents/support/versions/2/weight", {"weight": 50}, by="olga"), 409, "conflict")
    problem(door.put("/agents/support/versions/1/weight", {"weight": 40}, by="olga"), 409, "conflict")
    problem(door.put("/agents/support/versions/2/weight", {"weight": 46}, by="olga"), 409, "conflict")
    problem(door.put("/agents/support/versions/2/weight", {"weight": 101}, by="olga"), 422, "invalid")
    problem(door.put("/agents/support/versions/2/weight", {"weight": 5}, by="bob"), 403, "forbidden")
    problem(door.put("/agents/support/versions/9/weight", {"weight": 5}, by="olga"), 404, "not_found")


def test_a_weight_of_zero_means_never_until_it_is_given_back(door: Door) -> None:
    rollout = door.do(canary)
    tag = door.get("/agents/support/weights").tag
    assert door.put("/agents/support/versions/2/weight", {"weight": 0}, by="olga", If_Match=tag).json["weight"] == 0
    assert door.get(f"/rollouts/{rollout}").json["state"] == "frozen"
    problem(door.put("/agents/support/versions/2/weight", {"weight": 5}, by="olga", If_Match=tag), 412, "conflict")
    assert door.put("/agents/support/versions/2/weight", {"weight": 7}, by="olga").json["weight"] == 7
    assert door.get(f"/rollouts/{rollout}").json["state"] == "canary"


def test_a_weight_for_a_version_without_a_rollout_begins_one_past_the_gate_only(door: Door) -> None:
    refused = problem(door.put("/agents/support/versions/2/weight", {"weight": 3}, by="olga"), 409, "conflict")
    assert "gate" in refused, refused
    assert door.put("/agents/support/versions/2/weight", {"weight": 0}, by="olga").json["weight"] == 0
    assert door.get("/agents/support/rollouts").json["rollouts"] == []


def test_a_rollout_is_started_held_thawed_and_aborted(door: Door) -> None:
    problem(door.post("/agents/support/rollouts", {"version": 2}, by="olga"), 409, "conflict")
    begun = door.post("/agents/support/rollouts", {"version": 2, "force": True}, by="olga")
    assert (begun.status, begun.json["state"], begun.json["forced_by"]) == (201, "canary", "olga")
    path = f"/rollouts/{begun.json['id']}"
    assert door.post(f"{path}/step", by="olga").json["state"] == "canary"
    assert door.post(f"{path}/hold", {"reason": "look"}, by="olga").json["state"] == "frozen"
    assert door.post(f"{path}/thaw", {"reason": "ok"}, by="olga").json["weight_percent"] == 5
    tag = door.get(path).tag
    problem(door.post(f"{path}/override", by="olga"), 428, "invalid")
    problem(door.post(f"{path}/accept", {"names": ["label=x"]}, by="olga", If_Match=tag), 404, "not_found")
    assert door.post(f"{path}/abort", by="olga", If_Match=tag).json["state"] == "aborted"
    problem(door.post(f"{path}/abort", by="olga"), 409, "conflict")


def test_an_override_promotes_what_was_looked_at_and_says_that_there_is_no_guarantee(door: Door) -> None:
    rollout = door.do(canary)
    tag = door.get(f"/rollouts/{rollout}").tag
    door.put("/agents/support/versions/2/weight", {"weight": 9}, by="olga")
    problem(door.post(f"/rollouts/{rollout}/override", by="olga", If_Match=tag), 412, "conflict")
    tag = door.get(f"/rollouts/{rollout}").tag
    assert door.post(f"/rollouts/{rollout}/override", {"reason": "now"}, by="olga", If_Match=tag).json["state"] in (
        "promoted", "closed")  # fmt: skip


def test_what_was_found_is_listed_page_by_page(door: Door) -> None:
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        page = door.get(f"/agents/support/failures?limit=4{more}", by="vera").json
        seen, cursor, pages = seen + [one["id"] for one in page["failures"]], page["next"], pages + 1
    assert len(seen) == len(set(seen)) == 15
    assert pages == 4
    assert len(door.get("/agents/support/lessons").json["lessons"]) == 4
    assert door.post("/agents/support/lessons", {"text": "Check twice."}, by="olga").status == 201
    assert door.get("/agents/support/levers").json["levers"] == []
    assert door.get("/agents/support/proposals").json["proposals"] == []
    assert door.get("/agents/support/budget").json["usd"] == 0
    assert door.get("/incidents?all=true").json == {"incidents": [], "next": None}
    assert door.get("/agents/support/plan").json["plans"]


def test_the_causes_of_failures_are_told_as_the_page_tells_them_and_hidden_from_who_may_not_read(door: Door) -> None:
    told = door.get("/agents/support/causes").json
    assert told["single"] + sum(one["failures"] for one in told["causes"]) == told["window"] == 15
    first = told["causes"][0]
    assert (first["status"], first["lever"], first["trend"]) == ("new", None, "steady")
    assert first["older"] + first["newer"] == first["failures"]
    assert {door.get(f"/traces/{one}").json["verdict"] for one in first["examples"]} == {"failure"}
    veiled = door.get("/agents/support/causes?limit=1", by="vera").json
    assert veiled["causes"][0]["hidden"]
    assert first["key"] not in str(veiled) + b64decode(f"{veiled['next'] or ''}==", b"-_").decode(errors="replace")


def test_a_made_up_cursor_is_refused(door: Door) -> None:
    for cursor in ("x", "AAAA", "!!!!", "é", "a" * 999, "%00", "bm90aGluZw", "-", "_" * 40):
        problem(door.get(f"/agents/support/failures?limit=4&cursor={quote(cursor)}"), 422, "invalid")


def test_a_cursor_belongs_to_its_list_and_its_filters(door: Door) -> None:
    cursor = door.get("/agents/support/failures?limit=4").json["next"]
    problem(door.get(f"/agents/other/failures?limit=4&cursor={cursor}"), 422, "invalid")
    first = door.get("/audit?limit=1&subject=support").json["next"]
    assert door.get(f"/audit?limit=1&subject=support&cursor={first}").status == 200
    problem(door.get(f"/audit?limit=2&cursor={first}"), 422, "invalid")
    for limit in ("0", "1001", "-1", "x", ""):
        problem(door.get(f"/agents/support/failures?limit={limit}"), 422, "invalid")


def test_a_token_held_to_an_agent_sees_nothing_of_the_others(door: Door) -> None:
    rollout = door.do(canary)
    assert [one["name"] for one in door.get("/agents", by="held").json["agents"]] == ["other"]
    assert {one["subject"].partition("/")[0] for one in door.get("/audit", by="held").json["entries"]} == {"other"}
    for path in (f"/rollouts/{rollout}", f"/rollouts/{rollout}/pairs"):
        problem(door.get(path, by="held"), 404, "not_found")
    for path in ("step", "hold", "abort"):
        problem(door.post(f"/rollouts/{rollout}/{path}", by="held"), 404, "not_found")
    assert door.get("/agents/support/versions", by="held").status in (403, 404)
    assert door.put("/agents/support/versions/2/weight", {"weight": 5}, by="held").status in (403, 404)
    problem(door.get("/audit/verify", by="held"), 403, "forbidden")
    problem(door.post("/evals", {"agent": "support", "suite": {"cases": []}}, by="held"), 404, "not_found")


def test_the_record_is_listed_and_its_head_is_checked(door: Door) -> None:
    head = door.get("/audit/head").json["head"]
    assert door.get(f"/audit/verify?head={head}").json["intact"] is True
    assert door.get(f"/audit/verify?head=1:{'0' * 64}").json["intact"] is False
    problem(door.get("/audit/verify?head=nonsense"), 422, "invalid")
    rows = door.get("/audit").json["entries"]
    assert [one["seq"] for one in rows] == list(range(1, len(rows) + 1))


def test_to_verify_the_record_writes_nothing_and_to_walk_it_is_remembered_by_name(door: Door) -> None:
    assert door.get("/audit/verify", by="vera").json["intact"] is True
    assert door.see(kept_in) == Checked(), "a GET changes nothing"
    walked = door.post("/audit/walk", by="vera")
    assert (walked.status, walked.json["intact"]) == (200, True)
    kept = door.see(kept_in)
    assert (kept.whole_by, f"{kept.entries}:{kept.head}") == ("vera", walked.json["head"])
    for _ in range(2):
        door.get("/audit/verify", by="bob")
    assert door.see(kept_in) == kept, "who only looks takes nobody's place"
    problem(door.post("/audit/walk", by="held"), 403, "forbidden")
    problem(door.post("/audit/walk", by="app"), 403, "forbidden")


def test_many_who_verify_at_once_are_one_walk(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, walk = list[float](), verify_room._walked

    async def slow(ports: Any, *, since: Any = None) -> Any:
        if since is None:
            begun.append(time.monotonic())
            await asyncio.sleep(1.0)
        return await walk(ports, since=since)

    monkeypatch.setattr(verify_room, "_walked", slow)
    head = door.get("/audit/head").json["head"]
    paths = ["/audit/verify", f"/audit/verify?head={head}", f"/audit/verify?head=1:{'0' * 64}"] * 3
    with ThreadPoolExecutor(10) as pool:
        walking = pool.submit(lambda: door.post("/audit/walk", by="olga"))
        found = [one.json["intact"] for one in pool.map(door.get, paths)]
    assert found == [True, True, False] * 3, "each is held to the head that it named"
    assert (walking.result().json["intact"], door.see(kept_in).whole_by, len(begun)) == (True, "olga", 1)


def test_a_suite_that_would_run_code_is_listed_as_disabled(door: Door) -> None:
    suite = {"suite": "s", "cases": [{"id": "c", "input": "x", "expected": "y", "checks": [
        "equals", {"command": ["sh", "-c", "touch owned"]}, {"python": "checks.py:run"}]}]}  # fmt: skip
    seen = door.post("/suites/check", {"suite": suite}, by="vera").json
    assert {one["kind"] for one in seen["disabled"]} == {"command", "python"}
    setup = {"cases": [{"input": "x", "checks": ["equals"], "expected": "y", "setup": ["sh", "-c", "id"]}]}
    problem(door.post("/suites/check", {"suite": setup}), 422, "invalid")


def test_no_stranger_and_no_unable_token_gets_through_any_route(door: Door) -> None:
    described = door.get("/openapi.json").json
    tried = 0
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            if route.get("security") == [] or not path.startswith(V1):
                continue
            made = path.removeprefix(V1).replace("{agent}", "support").replace("{version}", "2")
            while "{" in made:
                made = made[: made.index("{")] + "x" + made[made.index("}") + 1 :]
            body: Any = {} if method in ("post", "put") else None
            for header in ("", "Bearer wrong"):
                got = door.ask(method.upper(), made, body, **({"Authorization": header} if header else {}))
                assert got.status in (401, 429), (method, path, got.status)
            tried += 1
    assert tried > 80


def test_traffic_that_comes_meanwhile_moves_no_page(door: Door) -> None:
    cursor = door.get("/agents/support/failures?limit=5").json["next"]
    before = door.get(f"/agents/support/failures?limit=5&cursor={cursor}").json["failures"]
    door.do(lambda app: traffic(app, 4, start=5000))
    assert door.get(f"/agents/support/failures?limit=5&cursor={cursor}").json["failures"] == before


def test_a_memory_is_replaced_only_while_it_is_what_was_read(door: Door) -> None:
    path = "/agents/support/memory/limit"
    problem(door.put(path, {"value": 1, "scope": "agent"}, by="app", If_Match="*"), 412, "conflict")
    door.put(path, {"value": 1, "scope": "agent"}, by="app")
    tag = door.get(path, by="app").tag
    assert door.put(path, {"value": 2, "scope": "agent"}, by="app", If_Match=tag).status == 200
    problem(door.put(path, {"value": 3, "scope": "agent"}, by="app", If_Match=tag), 412, "conflict")
    problem(door.delete(f"{path}?scope=agent", by="app", If_Match=tag), 412, "conflict")
    assert door.get(path, by="app").json["value"] == 2
    now = door.get(path, by="app").tag
    assert door.delete(f"{path}?scope=agent", by="app", If_Match=f'"other", {now}').json == {"deleted": True}


def test_of_many_who_looked_at_the_same_one_writes(door: Door) -> None:
    from concurrent.futures import ThreadPoolExecutor

    tag = door.get("/agents/support/settings").tag
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(
            lambda n: door.put("/agents/support/settings", {"min_failures": n}, If_Match=tag).status, range(100, 108)
        ))  # fmt: skip
    assert sorted(said) == [200] + [412] * 7
