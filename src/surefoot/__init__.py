"""Surefoot makes AI agents improve themselves in production, and proves every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surefoot.sdk.gate import gate as gate
    from surefoot.sdk.operator import operator as operator
    from surefoot.sdk.optimise import optimise as optimise
    from surefoot.sdk.optimise import optimise_async as optimise_async

_SDK = {"gate": "gate", "operator": "operator", "optimise": "optimise", "optimise_async": "optimise"}


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
