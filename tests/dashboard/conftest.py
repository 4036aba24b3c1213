"""Stores to look at, made once and copied, and the dashboard over them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_house import Place, serving
from town import make_hamlet, make_town


@pytest.fixture(scope="session")
def hamlet_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("hamlet") / "store.db"
    make_hamlet(store)
    return store


@pytest.fixture(scope="session")
def town_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("town") / "store.db"
    make_town(store)
    return store


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """Copy a store, so that a test may change it."""

    def copy(store: Path) -> Path:
        return Path(shutil.copy(store, tmp_path / "store.db"))

    return copy


@pytest.fixture(scope="module")
def looked_at(hamlet_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The hamlet, for tests that only look."""
    with serving(Path(shutil.copy(hamlet_store, tmp_path_factory.mktemp("looked") / "store.db"))) as place:
        yield place


@pytest.fixture
def hamlet(hamlet_store: Path, copied: Callable[[Path], Path]) -> Iterator[Place]:
    """The hamlet, for tests that change something."""
    with serving(copied(hamlet_store)) as place:
        yield place
