"""The house keeps its own rules: every wall is seen to hold and seen to break, and nothing grows past reading size."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "surefoot"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: dict[str, str] = {c["id"]: c["name"] for c in PYPROJECT["tool"]["importlinter"]["contracts"]}


# Walls -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A violation: text appended to files under src/surefoot, and the contracts it must break."""

    breaks: set[str]
    files: dict[str, str]

    def __str__(self) -> str:
        return "-".join([*sorted(self.breaks), *self.files]).replace("/", ".")


SEEDS = [
    Seed(breaks={"storeys"}, files={"adapters/seeded.py": "import surefoot.engine"}),
    Seed(breaks={"storeys"}, files={"config.py": "import surefoot.ports"}),
    Seed(breaks={"storeys"}, files={"attic.py": "import surefoot.core"}),
    Seed(
        breaks={"storeys", "acyclic"},
        files={
            "core/seeded.py": "def late() -> None:\n    import surefoot.ports.seeded",
            "ports/seeded.py": "import surefoot.core.seeded",
        },
    ),
    Seed(
        breaks={"acyclic"},
        files={
            "core/seeded_hen.py": "import surefoot.core.seeded_egg",
            "core/seeded_egg.py": "import surefoot.core.seeded_hen",
        },
    ),
    Seed(breaks={"core-is-pure"}, files={"core/seeded.py": "import asyncio"}),
    Seed(breaks={"core-is-pure"}, files={"core/seeded.py": "from pydantic import BaseModel"}),
    Seed(breaks={"adapters-meet-in-app"}, files={"cli/seeded.py": "import surefoot.adapters.store"}),
    Seed(breaks={"improvers-are-blind"}, files={"adapters/improvers/seeded.py": "import surefoot.adapters.store"}),
    Seed(
        breaks={"improvers-are-blind"},
        files={
            "adapters/improvers/seeded.py": "import surefoot.adapters.models.seeded",
            "adapters/models/seeded.py": "import surefoot.adapters.store",
        },
    ),
    Seed(breaks={"improvers-do-not-judge"}, files={"adapters/improvers/seeded.py": "from surefoot.core import gate"}),
    Seed(breaks={"engine-names-no-technology"}, files={"engine/seeded.py": "import sqlalchemy"}),
    Seed(breaks={"engine-names-no-technology"}, files={"engine/seeded.py": "import dbos"}),
    Seed(breaks={"engine-names-no-technology"}, files={"ports/seeded.py": "import dbos"}),
]


def broken_contracts(root: Path) -> set[str]:
    """Run import-linter on root/src under root/pyproject.toml; the ids of the contracts it calls broken."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
            "--no-logo",
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = {id_: re.search(re.escape(name) + r" (KEPT|BROKEN)", run.stdout) for id_, name in CONTRACTS.items()}
    assert all(verdicts.values()), f"import-linter did not judge every contract:\n{run.stdout}{run.stderr}"
    return {id_ for id_, verdict in verdicts.items() if verdict and verdict[1] == "BROKEN"}


def seeded_copy(folder: Path, seed: Seed) -> Path:
    shutil.copy(ROOT / "pyproject.toml", folder)
    copy = folder / "src" / "surefoot"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.jsonl"))
    for name, text in seed.files.items():
        with (copy / name).open("a") as file:
            file.write(f"\n{text}\n")
    return folder


def test_every_wall_holds() -> None:
    assert broken_contracts(ROOT) == set()


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, id=str(seed), marks=[pytest.mark.slow] if i else []) for i, seed in enumerate(SEEDS)]
)
def test_a_seeded_violation_breaks_exactly_its_wall(seed: Seed, tmp_path: Path) -> None:
    assert broken_contracts(seeded_copy(tmp_path, seed)) == seed.breaks


def test_every_contract_has_a_violation_that_breaks_it_alone() -> None:
    assert {next(iter(seed.breaks)) for seed in SEEDS if len(seed.breaks) == 1} == set(CONTRACTS)


# Core: standard library, no clock, no lots ---------------------------------------------------------------------------

CLOCKS_AND_LOTS = [
    "import time\nnow = time.time()",
    "import datetime\nnow = datetime.datetime.now(tz=datetime.UTC)",
    "from datetime import UTC, datetime\nnow = datetime.now(tz=UTC)",
    "from datetime import date\nnow = date.today()",
    "import random\nlot = random.random()",
    "from uuid import uuid4\nlot = uuid4()",
    "import secrets\nlot = secrets.token_hex()",
]


def banned(text: str, path: str) -> bool:
    """Whether ruff, with the repository's settings, calls something in this text banned in this file."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select=TID251", "--output-format=concise"]
    run = subprocess.run(
        [*command, f"--stdin-filename={path}", "-"], cwd=ROOT, input=text, capture_output=True, text=True, check=False
    )
    assert run.returncode in (0, 1), run.stderr
    return "TID251" in run.stdout


@pytest.mark.parametrize("text", CLOCKS_AND_LOTS)
def test_core_may_not_look_at_a_clock_or_draw_lots_but_other_rooms_may(text: str) -> None:
    assert banned(text, "src/surefoot/core/seeded.py")
    assert banned(text, "src/surefoot/core/evidence/seeded.py")
    assert not banned(text, "src/surefoot/engine/seeded.py")


def test_core_imports_the_standard_library_and_itself() -> None:
    strangers = [
        f"{path.relative_to(SOURCE)}:{line} imports {name}"
        for path in modules("core")
        for line, name in imports(ast.parse(path.read_text()))
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("surefoot.core")
    ]
    assert strangers == []


def test_no_room_imports_the_top_storey_by_its_short_name() -> None:
    # `import surefoot` reaches everything, and import-linter takes it for an import of the empty package.
    offenders = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in modules()
        for line, name in imports(ast.parse(path.read_text()))
        if name == "surefoot" and path.relative_to(SOURCE).parts[0] not in ("cli", "__main__.py")
    ]
    assert offenders == []


# Size and names ------------------------------------------------------------------------------------------------------

LINES_PER_MODULE = 400
LINES_PER_FUNCTION = 60
EMPTY_WORDS = {"manager", "managers", "helper", "helpers", "util", "utils", "service", "services", "base"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(room: str = ".") -> list[Path]:
    found = sorted((SOURCE / room).rglob("*.py"))
    assert found, f"no modules in {room}"
    return found


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = node.module or "."
            rooms = {path.stem for path in SOURCE.iterdir()}
            yield from (
                (node.lineno, f"surefoot.{alias.name}" if whole == "surefoot" and alias.name in rooms else whole)
                for alias in node.names
            )


def lines_of(function: Function) -> int:
    """How many lines a function has without its decorators and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    start = body[0].lineno if body else function.lineno
    return (function.end_lineno or start) - start + 1 + (function.body[0].lineno - function.lineno)


def test_a_module_fits_in_one_sitting() -> None:
    long = {
        str(p.relative_to(SOURCE)): n for p in modules() if (n := len(p.read_text().splitlines())) > LINES_PER_MODULE
    }
    assert long == {}, "look for the noun that wants its own file"


def test_a_function_fits_on_one_screen() -> None:
    long = {
        f"{path.relative_to(SOURCE)}:{node.name}": size
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, Function)
        and (size := lines_of(node)) > LINES_PER_FUNCTION
        and "migrations" not in path.parts  # a migration is a list of tables, read once
    }
    assert long == {}


def test_the_line_count_of_a_function_leaves_out_its_docstring() -> None:
    text = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    return a\n'
    function = ast.parse(text).body[0]
    assert isinstance(function, Function)
    assert lines_of(function) == 4


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = [p for p in SOURCE.rglob("*") if EMPTY_WORDS & set(re.split(r"\W|_", p.stem))]
    assert empty == []


# The lock ------------------------------------------------------------------------------------------------------------


def locked(name: str) -> dict[str, list[str]]:
    """Package → locked versions (more than one where markers differ)."""
    versions: dict[str, list[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([\w.!+-]+)", (ROOT / name).read_text(), re.MULTILINE):
        versions.setdefault(canonicalize_name(package), []).append(version)
    return versions


def required(*groups: str) -> list[Requirement]:
    listed: list[str] = [*PYPROJECT["project"]["dependencies"]]
    for group in groups:
        listed += [line for line in PYPROJECT["dependency-groups"][group] if isinstance(line, str)]
    return [Requirement(line) for line in listed]


@pytest.mark.parametrize(
    ("name", "groups"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "dev"])]
)
def test_the_lock_satisfies_pyproject(name: str, groups: list[str]) -> None:
    versions = locked(name)
    unmet = [
        str(need)
        for need in required(*groups)
        if not versions.get(canonicalize_name(need.name))
        or not all(need.specifier.contains(version) for version in versions[canonicalize_name(need.name)])
    ]
    assert unmet == [], "run `make lock`"


def test_what_runs_has_the_same_version_while_it_is_worked_on() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_holds_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    pins = re.split(r"\n(?=\S)", text.strip())
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text


# The tests' own walls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.invalid", 443), ("2001:db8::1", 80)])
def test_a_test_cannot_connect_to_another_machine(address: tuple[str, int], closed_network: list[str]) -> None:
    with pytest.raises(RuntimeError, match="do not leave this machine"):
        socket.create_connection(address, timeout=1)
    assert len(closed_network) == 1
    closed_network.clear()


def test_a_test_cannot_send_a_packet_to_another_machine(closed_network: list[str]) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        pytest.raises(RuntimeError, match="do not leave this machine"),
    ):
        sender.sendto(b"hello", ("192.0.2.1", 53))
    closed_network.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_test_can_talk_to_its_own_machine(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection((host, server.getsockname()[1]), timeout=5) as client:
            client.sendall(b"hello")
        peer, _ = server.accept()
        with peer:
            assert peer.recv(5) == b"hello"


def test_nobodys_home_or_keys_leak_into_a_test() -> None:
    assert "surefoot-home-" in str(Path.home())
    assert [name for name in os.environ if name.startswith("SUREFOOT_") or name.endswith("_API_KEY")] == []
