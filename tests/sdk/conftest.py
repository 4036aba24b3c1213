"""Fixtures: the same agent embedded and remote, so that one suite of claims holds for both."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "gateway"))
sys.path.insert(0, str(Path(__file__).parent))

from sdk_house import Scene, Served, create, embedded, opened, remote, settings_for
from upstream import Upstream

from surefoot.app import App, misfit
from surefoot.config import ModelSettings
from surefoot.sdk.agent import Agent
from surefoot.sdk.connect import new_id
from surefoot.sdk.house import House, closed


@dataclass
class Place:
    """Where Surefoot is, for the whole session; each test has an agent of its own there."""

    kind: str
    house: House
    app: App
    names: Iterator[str]


@pytest.fixture(scope="session")
def far() -> Iterator[tuple[Upstream, str]]:
    """A model that answers in pieces, and its address."""
    upstream = Upstream()
    served = Served(upstream.app)
    yield upstream, served.address
    served.end(_nothing)


@pytest.fixture(scope="session", params=["embedded", "remote"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, far: tuple[Upstream, str]
) -> Iterator[Place]:  # fmt: skip
    folder = tmp_path_factory.mktemp(request.param)
    stub = ModelSettings(model="stub-1", base_url=f"{far[1]}/v1", price_in=1.0, price_out=2.0)
    settings = settings_for(folder / "store.db", models={"far": stub})
    app = opened(settings)
    with ExitStack() as end:
        end.callback(app.close)
        if request.param == "embedded":
            agent = embedded(settings)
        else:
            there = opened(settings)
            gateway = there.gateway(behind=there.api(loopback=True, environ={}))
            served = Served(gateway)
            end.callback(there.close)
            end.callback(served.end, gateway.aclose)
            agent = remote(served.address, folder / "cache")
        end.callback(closed, agent._house)
        names = (f"{request.param}{n}" for n in itertools.count())
        yield Place(kind=request.param, house=agent._house, app=app, names=names)


async def _nothing() -> None: ...


@pytest.fixture
def scene(place: Place) -> Scene:
    name = next(place.names)
    create(place.app, name)
    agent = Agent(name, place.house, new_id, misfit)
    return Scene(kind=place.kind, agent=agent, app=place.app, house=place.house, names=place.names)
