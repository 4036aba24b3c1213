"""From the command line: a lever of failures, and a case of a request; and what a real server says of itself."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest


def test_a_lever_is_made_of_a_failure_and_made_once(cli: Any, scene: Any) -> None:
    scene.agent()
    scene.traffic(10)
    trace = cli("failures", "support", "--limit", "1", "--json").json["shown"][0]["trace"]
    (made,) = cli("levers", "support", "--make", trace, "--by", "olga", "--why", "they called", "--json").json["levers"]
    assert (made["state"], made["note"], made["failures"]) == ("open", "olga: they called", 5)
    ran = cli("levers", "support", "--make", trace, "--by", "ben", "--why", "me too", code=1)
    assert f"lever {made['id']} of support answers this already" in ran.err
    assert "say who decides" in cli("levers", "support", "--make", trace, code=2).err
    assert "lists them" in cli("levers", "support", "--make", "x", "--by", "o", "--why", "w", code=2).err


def test_the_causes_stand_above_the_failures(cli: Any, scene: Any) -> None:
    scene.agent()
    scene.traffic(10)
    (cause,) = cli("failures", "support", "--json").json["causes"]
    assert (cause["status"], cause["failures"], cause["trend"], cause["lever"]) == ("new", 5, "steady", None)
    said = cli("failures", "support").out
    assert said.index(cause["title"]) < said.index("trace")
    trace = cli("failures", "support", "--limit", "1", "--json").json["shown"][0]["trace"]
    cli("levers", "support", "--make", trace, "--by", "olga", "--why", "they called")
    assert cli("failures", "support", "--json").json["causes"][0]["status"] == "known"


def test_a_request_becomes_a_case_once_and_no_side_is_named(cli: Any, scene: Any) -> None:
    scene.agent()
    scene.traffic(4)
    trace = cli("failures", "support", "--limit", "1", "--json").json["shown"][0]["trace"]
    ran = cli("failures", "support", "--add-case", trace, "--by", "bob", "--json")
    (case,) = scene.see(lambda tx: [one for one in tx.audit.all() if one.action == "case-added"])
    assert (ran.json["added"], case.actor) == (case.payload["case"], "bob")
    assert not re.search(r"\b(sealed|hidden|shown on|untouched)\b", ran.out)
    assert "is a case already" in cli("failures", "support", "--add-case", trace, "--by", "bob", code=1).err
    assert "say who adds it" in cli("failures", "support", "--add-case", trace, code=2).err


@pytest.mark.slow
def test_a_server_of_two_processes_and_a_worker_tells_of_all_three(
    scene: Any, desk: Path, environment: dict[str, str]
) -> None:
    scene.agent()
    running = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", "0", "--workers", "2", "--work"], cwd=desk,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stderr is not None
        address = running.stderr.readline().split()[2].rstrip(";")
        token = re.search(r"sf_[\w-]+", running.stderr.readline())
        assert token is not None
        found = _soon(address, token[0])
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert found["Server processes"]["figure"] == "2"
    assert [one["tone"] for name, one in found.items() if name.startswith("Worker ")] == ["good"]
    assert found["Audit chain"]["tone"] == "good"


def _soon(address: str, token: str) -> dict[str, Any]:
    """Ask until both processes and the worker have been heard of."""
    asked = urllib.request.Request(f"{address}/status.json", headers={"Authorization": f"Bearer {token}"})
    found: dict[str, Any] = {}
    for _ in range(240):
        with urllib.request.urlopen(asked, timeout=30) as got:
            told = json.loads(got.read())
        found = {one["name"]: one for part in told["health"]["parts"] for one in part["lines"]}
        if found["Server processes"]["figure"] == "2" and any(name.startswith("Worker ") for name in found):
            break
        time.sleep(0.25)
    return found
