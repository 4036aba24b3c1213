"""The process of a job whose model never answers: `surefoot` itself, but for that.

python tests/rest/sleepy_job.py --store STORE --json jobs --do JOB

It lays a file `asleep` beside the store when its model is asked first.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import surefoot.app
from surefoot.app import App, build
from surefoot.config import Settings
from surefoot.core.proposal import Cost
from surefoot.ports import Answer, Question


class Sleepy:
    """A model that is asked and does not answer."""

    name = "scripted"

    def __init__(self, place: Path) -> None:
        self._place = place

    def price(self, question: Question) -> Cost:
        return Cost(calls=1)

    async def answer(self, question: Question) -> Answer:
        (self._place / "asleep").touch()
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits that long")


def sleepy(settings: Settings, **_given: Any) -> App:
    """Build the application with that model."""
    return build(settings, environ={}, models={"scripted": Sleepy(settings.store.parent)})


if __name__ == "__main__":
    surefoot.app.build = sleepy
    from surefoot.cli import main

    sys.exit(main(sys.argv[1:]))
