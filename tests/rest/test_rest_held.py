"""A token that is held to some agents moves nothing of the others, and does not even learn their names."""

from __future__ import annotations

import time

import pytest
from rest_house import Door, problem

from surefoot.engine.admit import FRESH_S


def test_who_is_held_to_one_agent_stops_and_resumes_no_other(door: Door) -> None:
    for path in ("/stop", "/resume"):
        problem(door.post(path, {"reason": "mine"}, by="held"), 403, "forbidden")
        assert door.post(path, {"reason": "all"}, by="ana").status == 204
    assert door.post("/agents/other/stop", {"reason": "mine"}, by="held").status == 200
    problem(door.post("/agents/support/stop", {"reason": "not mine"}, by="held"), 403, "forbidden")


def test_who_is_held_to_one_agent_creates_no_other(door: Door) -> None:
    told = problem(door.post("/agents", {"name": "third"}, by="held"), 403, "forbidden")
    assert "not for third" in told
    assert "third" not in [one["name"] for one in door.get("/agents").json["agents"]]
    assert door.post("/agents", {"name": "third", "labels": ["a", "b"]}, by="ana").status == 201


@pytest.mark.parametrize("path", ["/approvals?agent={}", "/incidents?agent={}", "/events?agent={}",
                                  "/agents/{}/executions"])  # fmt: skip
def test_a_held_token_tells_an_agent_that_is_there_from_none_by_nothing(door: Door, path: str) -> None:
    there, none = (door.get(path.format(name), by="held") for name in ("support", "suppart"))
    assert (there.status, none.status) == (404, 404)
    assert there.text.replace("support", "X") == none.text.replace("suppart", "X")
    assert "support" in door.get(path.format("suppart")).text, "who sees all is told what there is"


def test_a_held_token_is_told_of_the_agents_it_sees_when_it_asks_for_another(door: Door) -> None:
    assert door.get("/incidents?agent=othr", by="held").json["hint"] == "did you mean 'other'? agents: other"


def test_a_token_held_to_an_agent_that_is_not_there_learns_of_no_other(door: Door) -> None:
    made = door.post("/tokens", {"name": "ghost", "role": "viewer", "agents": ["soon"]})
    token = made.json["token"].removeprefix("sf_")
    time.sleep(FRESH_S)
    told = door.get("/approvals?agent=soon", by=token)
    assert (told.status, "support" in told.text) == (404, False)
