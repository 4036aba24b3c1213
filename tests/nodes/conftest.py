"""Puts the house of processes into reach: one server for all tests that need no other, an agent for each of them."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from house import House, house

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server."""
    with house(tmp_path_factory.mktemp("nodes")) as one:
        yield one


@pytest.fixture
def home(server: House) -> Iterator[House]:
    """That server, for an agent of the test's own."""
    one = server.guest(f"tickets{next(_numbers)}")
    try:
        yield one
    finally:
        one.leave()
