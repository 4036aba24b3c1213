"""Processes over HTTP: where they may be, how they are asked, what they may answer."""

from surefoot.adapters.nodes.guard import Guard
from surefoot.adapters.nodes.http import HttpNode

__all__ = ["Guard", "HttpNode"]
