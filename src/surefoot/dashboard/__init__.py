"""The dashboard: pages by which people look and decide, over engine verbs. It knows no adapter."""

from surefoot.dashboard.application import Dashboard
from surefoot.dashboard.house import House

__all__ = ["Dashboard", "House"]
