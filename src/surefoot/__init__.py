"""Surefoot makes AI agents improve themselves in production, and proves every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from surefoot.sdk.agent import Agent as Agent
    from surefoot.sdk.gate import gate as gate
    from surefoot.sdk.link import Inside
    from surefoot.sdk.operator import operator as operator
    from surefoot.sdk.optimise import optimise as optimise
    from surefoot.sdk.optimise import optimise_async as optimise_async

_SDK = {"Agent": "agent", "gate": "gate", "operator": "operator", "optimise": "optimise", "optimise_async": "optimise"}


def agent(
    name: str, *, url: str | None = None, token: str | None = None, store: str | Path | None = None
) -> Agent:  # fmt: skip
    """Give an agent for your own program: at a server, or on the store that lies here.

    The server is `url` with `token`, else SUREFOOT_URL with SUREFOOT_TOKEN. Without either, or with `store`, Surefoot
    runs inside this program. Nothing is asked before the agent is used.
    """
    from surefoot.sdk.connect import agent_at

    return agent_at(name, url=url, token=token, store=store, opens=_inside, misfit=_misfit)


def _misfit(schema: Mapping[str, Any], value: Any) -> str:
    """Hold an answer to a JSON schema as a server does."""
    from importlib import import_module

    return import_module("surefoot.app").misfit(schema, value)  # by name, as below


def _inside(store: str | Path | None) -> Inside:
    """Open a Surefoot inside this program, on a store that is there."""
    import os
    from importlib import import_module
    from pathlib import Path

    from surefoot.config import settings
    from surefoot.core.errors import NotFound

    found = settings(Path.cwd(), os.environ, store=None if store is None else Path(store))
    if not found.store.exists():
        raise NotFound(
            f"there is no store at {found.store}", hint="surefoot init NAME makes one; SUREFOOT_URL names a server"
        )
    # By name, because every module that asks for the version imports this one, and none of them may know the app.
    return import_module("surefoot.app").build(found).inside()


def __getattr__(name: str) -> object:
    """Look names up when they are asked for: what is behind them takes longer to import than most commands run."""
    if name in _SDK:
        from importlib import import_module

        return getattr(import_module(f"surefoot.sdk.{_SDK[name]}"), name)
    if name != "__version__":
        raise AttributeError(f"module 'surefoot' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("surefoot")
    except PackageNotFoundError:  # a source tree on the path that nobody installed
        return "0+source"
