"""Gives the engine tests their house, and processes that share its store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from surefoot.adapters.store import open_store

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from scripted_house import Builder  # noqa: E402

SOURCE = HERE.parents[1] / "src"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store that was built once; copying a file is ten times faster."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    open_store(path).close()
    return path


@pytest.fixture
def builder(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "store.db")
    made = Builder(tmp_path / "store.db")
    yield made
    made.close()


@pytest.fixture
def house(builder):
    return builder.open()


@pytest.fixture
def in_processes():
    """Run a program text in several processes at once; gives what each printed."""

    def run(program: str, *arguments: str, count: int = 3) -> list[str]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HERE)])}
        running = [
            subprocess.Popen([sys.executable, "-c", program, *arguments, str(number)], env=environ,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for number in range(count)
        ]  # fmt: skip
        done = [process.communicate(timeout=100) for process in running]
        assert all(process.returncode == 0 for process in running), [error for _, error in done]
        return [out.strip() for out, _ in done]

    return run
