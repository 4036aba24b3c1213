"""Files: the four files of a repository as one value, read strictly and together.

Whoever asks gets papers that were understood, or an error with file, line and hint; half of a state never gets out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from surefoot.core.errors import NotFound
from surefoot.core.repo import lessons, levers, settings, strategy
from surefoot.core.repo.lessons import RepoLesson
from surefoot.core.repo.levers import RepoLever
from surefoot.core.repo.paper import Paper, paper
from surefoot.core.repo.settings import RepoSettings
from surefoot.core.repo.strategy import Strategy

GENOME, LEVERS, PROMPT, SETTINGS = strategy.FILE, levers.FILE, lessons.FILE, settings.FILE
NAMES = (GENOME, LEVERS, PROMPT, SETTINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The four files, as papers and as what they say."""

    genome: Paper
    levers: Paper
    prompt: Paper
    strategy: Strategy
    backlog: tuple[RepoLever, ...]
    lessons: tuple[RepoLesson, ...]
    settings: RepoSettings


def files(texts: Mapping[str, str]) -> Files:
    """Read the four texts; NotFound names the one that is missing, Invalid the line that is wrong."""
    if missing := [name for name in NAMES if name not in texts]:
        raise NotFound(f"there is no {missing[0]} here", hint="surefoot init --repo writes the four files")
    read = {name: paper(name, texts[name]) for name in (GENOME, LEVERS, PROMPT)}
    return Files(
        genome=read[GENOME], levers=read[LEVERS], prompt=read[PROMPT],
        strategy=strategy.strategy(read[GENOME]), backlog=levers.levers(read[LEVERS]),
        lessons=lessons.lessons(read[PROMPT]), settings=settings.repo_settings(texts[SETTINGS]),
    )  # fmt: skip
