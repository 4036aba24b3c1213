"""Stores to look at, made once and copied, and the dashboard over them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser import SCREENS
from dashboard_house import Place, serving
from examined import make_examined
from town import make_hamlet, make_town

AXE = "4.14.1"


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


@pytest.fixture(scope="session")
def examined_store(hamlet_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Path(shutil.copy(hamlet_store, tmp_path_factory.mktemp("examined") / "store.db"))
    make_examined(store)
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


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core: fetched once, kept among the results; skips where it cannot be had."""
    kept = SCREENS.parent / "axe" / f"axe-{AXE}.min.js"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm") or pytest.skip("there is no npm to fetch axe-core with")
        got = subprocess.run(
            [npm, "pack", "--silent", f"axe-core@{AXE}"], cwd=kept.parent, capture_output=True, timeout=60
        )
        packed = kept.parent / f"axe-core-{AXE}.tgz"
        if got.returncode or not packed.exists():
            pytest.skip("axe-core cannot be fetched")
        with tarfile.open(packed) as tar:
            member = tar.extractfile("package/axe.min.js")
            assert member is not None
            kept.write_bytes(member.read())
        packed.unlink()
    return kept.read_text(encoding="utf-8")
