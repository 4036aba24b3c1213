"""Surefoot makes AI agents improve themselves in production, and proves every step."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("surefoot")
except PackageNotFoundError:  # a source tree on the path that nobody installed
    __version__ = "0+source"
