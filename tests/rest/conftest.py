"""Gives the tests of the REST API their house."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rest_house import Door, Scripted, serving, settings, story

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
