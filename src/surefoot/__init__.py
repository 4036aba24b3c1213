"""Surefoot makes AI agents improve themselves in production, and proves every step."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: the metadata takes longer to import than most commands run."""
    if name != "__version__":
        raise AttributeError(f"module 'surefoot' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("surefoot")
    except PackageNotFoundError:  # a source tree on the path that nobody installed
        return "0+source"
