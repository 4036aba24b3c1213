"""The page on versions as processes is what happens: its commands, its example and its answers, on a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "versions-as-processes.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "versions-as-processes" / "classifier.py"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def surefoot(*words: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from surefoot.cli import main; sys.exit(main(sys.argv[1:]))", *words]


def curled(text: str, environ: dict[str, str]) -> Any:
    """What a curl command of the page answers, without curl."""
    import http.client
    import shlex
    from urllib.parse import urlsplit

    words = shlex.split(re.sub(r"\$(\w+)", lambda found: environ[found[1]], text.replace("\\\n", " ")))
    method, body, headers, url = "GET", None, dict[str, str](), ""
    for before, word in zip(["", *words], words, strict=False):
        if before == "-X":
            method = word
        elif before == "-d":
            body = word
        elif before == "-H":
            name, _, value = word.partition(": ")
            headers[name] = value
        elif word.startswith("http"):
            url = word
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request(method, parts.path, body, headers)
        got = connection.getresponse()
        return got.status, dict(got.getheaders()), json.loads(got.read())
    finally:
        connection.close()


class Scene:
    """The page's commands in a directory of their own."""

    def __init__(self, folder: Path) -> None:
        (folder / "surefoot.toml").write_text(blocks("toml")[0])
        self.folder = folder
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "CONNECTOR_TOKEN": "a-token-for-the-connector-of-a-page",
        }
        self.running: list[subprocess.Popen[str]] = []

    def run(self, *words: str) -> Any:
        """What a command answers as JSON."""
        done = subprocess.run(surefoot(*words, "--json"), env=self.environ, cwd=self.folder, check=True,
                              capture_output=True, text=True)  # fmt: skip
        return json.loads(done.stdout)

    def serve(self) -> None:
        server = subprocess.Popen(surefoot("serve", "--port", "0"), env=self.environ, cwd=self.folder, text=True,
                                  stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)  # fmt: skip
        self.running.append(server)
        assert server.stderr is not None
        said = ""
        while "shown only now" not in said:
            line = server.stderr.readline()
            assert line, said
            said += line
        self.environ["SUREFOOT_URL"] = re.findall(r"listening on (http://[0-9.:]+)", said)[0]
        self.environ["SUREFOOT_TOKEN"] = re.findall(r"shown only now: (\S+)", said)[0]

    def processes(self) -> None:
        for version, _, prompt in re.findall(r'^VERSION=(\S+) (PROMPT="([^"]+)" )?python classifier.py &', PAGE, re.M):
            own = {"VERSION": version} | ({"PROMPT": prompt} if prompt else {})
            one = subprocess.Popen([sys.executable, str(EXAMPLE)], text=True, stdout=subprocess.PIPE,
                                   env=self.environ | own)  # fmt: skip
            self.running.append(one)
            assert one.stdout is not None
            one.stdout.readline()
            assert "ready" in one.stdout.readline()

    def end(self) -> None:
        for one in self.running:
            one.terminate()
        for one in self.running:
            one.wait(15)
            for stream in (one.stdout, one.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(tmp_path)
    try:
        yield one
    finally:
        one.end()


@pytest.mark.slow
def test_the_page_is_what_happens(scene: Scene) -> None:
    execute, weight, later = (block for block in blocks("sh") if block.startswith("curl"))
    answer, shares = (json.loads(block) for block in blocks("json")[1:])
    scene.run("db", "upgrade")
    scene.serve()
    scene.processes()
    status, headers, got = curled(execute, scene.environ)
    assert (status, headers["x-routed-version"]) == (200, "1.0.0")
    assert {name: got[name] for name in answer} == {**answer, "execution_id": got["execution_id"]}
    status, _, got = curled(weight, scene.environ)
    assert (status, {name: got[name] for name in shares}) == (200, shares)
    assert curled(later, scene.environ)[0] == 202
    assert [one["status"] for one in scene.run("processes", "tickets")["processes"]] == ["ready", "ready"]
    asked = scene.run("execute", "tickets.classify", "--input", '{"text": "a refund"}')
    assert asked["result"]["label"] == "billing"
    until = time.monotonic() + 10
    while (states := {one["status"] for one in scene.run("executions", "tickets")["executions"]}) != {"succeeded"}:
        assert time.monotonic() < until, states
