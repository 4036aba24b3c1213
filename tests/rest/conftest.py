"""Gives the tests of the REST API their house."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from furnished import CONNECTOR, Furnished, a_process, furnish
from rest_house import SECRET, Door, Scripted, serving, settings, story

from surefoot.app import build


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the story, made once and then copied."""
    path = tmp_path_factory.mktemp("story") / "surefoot.db"
    app = build(settings(path), environ={}, models={"scripted": Scripted()})
    try:
        asyncio.run(story(app))
    finally:
        app.close()
    return path


@pytest.fixture
def store(told: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(told.parent, tmp_path / "store")
    return tmp_path / "store" / "surefoot.db"


@pytest.fixture
def door(store: Path) -> Iterator[Door]:
    """A server on such a copy."""
    with serving(store) as one:
        yield one


@pytest.fixture(scope="module")
def there(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    """One server for all tests of a file, with one of everything in its store, and a process on loopback."""
    folder = tmp_path_factory.mktemp("contract") / "store"
    shutil.copytree(told.parent, folder)
    environ = {"SUREFOOT_WEBHOOK_SECRET": SECRET, "SUREFOOT_APPROVAL_SECRET": SECRET, "CONNECTOR_TOKEN": CONNECTOR}
    with serving(folder / "surefoot.db", environ=environ) as door, a_process() as process:
        yield furnish(door, process)
