"""Processes of others: a deadline that holds, walls around them, and nothing left behind."""

from surefoot.adapters.processes.room import DEVICES, private
from surefoot.adapters.processes.run import Ended, Running, Walls, layers, ran, started

__all__ = ["DEVICES", "Ended", "Running", "Walls", "layers", "private", "ran", "started"]
