"""Servers of one process share their routes, which are worked out once, and nothing else."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rest_house import Door, serving


def test_two_servers_of_one_process_answer_each_from_its_own_store(store: Path, tmp_path: Path) -> None:
    second = Path(shutil.copytree(store.parent, tmp_path / "second")) / store.name
    with serving(store) as one, serving(second) as two:
        for door, name in ((one, "first-only"), (two, "second-only")):
            assert door.post("/agents", {"name": name, "labels": ["a", "b"]}).status == 201

        def names(door: Door) -> frozenset[str]:
            return frozenset(agent["name"] for agent in door.get("/agents").json["agents"])

        with ThreadPoolExecutor(4) as threads:  # both at once, many times
            seen = list(threads.map(names, [one, two] * 20))
        assert {("first-only" in found, "second-only" in found) for found in seen[0::2]} == {(True, False)}
        assert {("first-only" in found, "second-only" in found) for found in seen[1::2]} == {(False, True)}
        assert one.get("/openapi.json").json == two.get("/openapi.json").json
