"""The unmodified OpenAI client for Node against the gateway, on a current Node.

The client is installed into a temporary folder by npm, from wherever npm is told to look; where it cannot be had, or
there is no Node, the tests are skipped and say so. All is asked in one process (`node_client.mjs`), which costs less.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_house import TOKEN, House
from node_house import node_with

SCRIPT = Path(__file__).with_name("node_client.mjs")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the client in it, and Node beside (`node`)."""
    return node_with(tmp_path_factory.mktemp("node"), SCRIPT, "openai")


def test_the_client_for_node_gets_everything_that_it_asks_for(node: Path, house: House) -> None:
    done = subprocess.run(
        [node / "node", SCRIPT.name, house.url, TOKEN], cwd=node, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    wrong = {name: told.get(name) for name, right in EXPECTED.items() if not right(told.get(name))}
    assert not wrong, wrong
    assert set(told) - set(EXPECTED) == {"node"}
    house.soon(lambda: {"cancelled", "truncated", "error", "stop"} <= {trace.finish for trace in house.traces()})
    assert told["chat"]["trace"] in {trace.id for trace in house.traces()}
    said = {trace.input for trace in house.traces()}
    assert {f"no {number}" for number in range(50)} <= said
    house.soon(lambda: house.upstream.broken_off >= 2)


def _raised(name: str, status: int | None = None) -> Callable[[Any], bool]:
    return lambda told: (told["name"], told["status"]) == (name, status)


WEATHER = {"name": "weather", "arguments": '{"city": "Berlin"}'}
EXPECTED: dict[str, Callable[[Any], bool]] = {
    "chat": lambda told: (
        told["text"] == "[Support.\n\nYou are v1.] hello" and told["total"] == 18 and told["version"] == "1"
        and told["model"] == "stub-1"
    ),
    "stream": lambda told: (
        told["text"].strip().endswith("a b c") and told["finish"] == "stop" and told["usage"]["total_tokens"] == 18
    ),
    "tools": lambda told: told == {"call": WEATHER, "finish": "stop"},
    "toolStream": lambda told: told["calls"] == [WEATHER] and told["finish"] == "tool_calls",
    "json": lambda told: told == {"label": "billing"},
    "bad": _raised("BadRequestError", 400), "key": _raised("AuthenticationError", 401),
    "limit": _raised("RateLimitError", 429), "broken": _raised("InternalServerError", 500),
    "cut": lambda told: told["name"] not in ("nothing was raised", None),
    "stranger": _raised("AuthenticationError", 401), "nobody": lambda told: told["status"] in (403, 404),
    "timeout": _raised("APIConnectionTimeoutError"),
    "abort": lambda told: told["aborted"],
    "responses": lambda told: (
        told["text"].endswith('|"hello"') and told["kinds"] == ["response.output_text.delta", "response.completed"]
    ),
    "embeddings": lambda told: told == [0.5, 0.25], "models": lambda told: told == ["support"],
    "fifty": lambda told: told == [f"no {number}" for number in range(50)],
}  # fmt: skip
