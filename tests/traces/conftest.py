"""Fixtures: a house with the agent `support`, and the same behind a server."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from trace_house import Door, House


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the agent, made once; copying a file is ten times faster."""
    folder = tmp_path_factory.mktemp("ready")
    one = House(folder)
    one.agent()
    one.app.close()
    return folder / "store.db"


@pytest.fixture
def house(tmp_path: Path, ready: Path) -> Iterator[House]:
    shutil.copy(ready, tmp_path / "store.db")
    one = House(tmp_path)
    yield one
    one.app.close()


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    with house.serving() as one:
        yield one
