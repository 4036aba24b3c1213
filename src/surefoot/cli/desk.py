"""What every command has at hand: the settings, the store, and one way to answer people and programs.

`command` registers a function as a command. The function gets a `Desk` first and its own arguments after that; the
options `--store` and `--json` are added here, so they mean the same everywhere. `keys` says what the JSON document
holds; the reference is written from it, and the tests hold every answer against it.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, cast

import typer

if TYPE_CHECKING:
    import logging

    from surefoot.app import App
    from surefoot.cli.screen import Screen
    from surefoot.config import Settings
    from surefoot.ports.site import Site

P = ParamSpec("P")
Page = Callable[["Screen"], None]
KEYS: dict[str, str] = {}
WITH_REPO: dict[str, str] = {}  # of commands that answer otherwise for a repository

StoreOption = Annotated[
    Path | None, typer.Option("--store", metavar="PATH", help="the store (default: SUREFOOT_STORE, then surefoot.toml)")
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="answer with one JSON document")]


class Desk:
    """Where one command does its work."""

    def __init__(self, *, store: Path | None, as_json: bool) -> None:
        self._store = store
        self.as_json = as_json

    def settings(self) -> Settings:
        """Read the settings that hold here."""
        from surefoot.config import settings

        if self._store is not None and self._store.is_dir():
            from surefoot.core.errors import Invalid

            raise Invalid(f"--store {self._store} is a directory", hint="name the file, such as .surefoot/surefoot.db")
        return settings(Path.cwd(), os.environ, store=self._store)

    @contextmanager
    def app(self, *, create: bool = False) -> Generator[App]:
        """Open the store; only with `create` may it be a new one, so that a wrong directory is noticed."""
        settings = self.settings()
        if not create and not settings.store.exists():
            from surefoot.core.errors import NotFound

            raise NotFound(
                f"there is no store at {settings.store}",
                hint="surefoot init NAME makes one; --store or SUREFOOT_STORE names another",
            )
        from surefoot.app import build

        hush_the_workflow_engine()
        app = build(settings)
        try:
            yield app
        finally:
            app.close()

    @contextmanager
    def site(self, directory: Path) -> Generator[tuple[App, Site]]:
        """Open the store of a repository, made if need be, with the repository that a directory lies in."""
        from surefoot.app import build
        from surefoot.config import settings

        hush_the_workflow_engine()
        top = top_of(directory)
        found = settings(top, os.environ, store=self._store)
        chosen = self._store is not None or "SUREFOOT_STORE" in os.environ
        if not chosen:
            found = found.model_copy(update={"store": top / found.store})
        app = build(found)
        if found.store.parent.name == ".surefoot" and not (found.store.parent / ".gitignore").exists():
            (found.store.parent / ".gitignore").write_text("*\n", encoding="utf-8")
        try:
            yield app, app.ports.site_at(str(top))
        finally:
            app.close()

    def give(self, document: Mapping[str, Any], page: Page) -> None:
        """Answer: the document for programs, the page for people."""
        if self.as_json:
            sys.stdout.write(json_text(document) + "\n")
            sys.stdout.flush()
            return
        from surefoot.cli.screen import Screen

        with Screen().page() as screen:
            page(screen)

    def remark(self, text: str) -> None:
        """Say something in passing, on standard error, where it disturbs no program."""
        from surefoot.cli.screen import visible

        print(visible(text), file=sys.stderr)

    @contextmanager
    def waiting(self, text: str) -> Generator[None]:
        """Show on a terminal that something takes a while."""
        if self.as_json or not sys.stderr.isatty():
            yield
            return
        from surefoot.cli.screen import console_on

        with console_on(sys.stderr).status(text):
            yield

    @contextmanager
    def progress(self, text: str, total: int) -> Generator[Callable[[], None]]:
        """Show on a terminal how far a long piece of work is; the given function counts one more."""
        if self.as_json or not sys.stderr.isatty():
            yield lambda: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from surefoot.cli.screen import console_on

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console_on(sys.stderr), transient=True) as bar:
            task = bar.add_task(text, total=total)
            yield lambda: bar.advance(task)


def top_of(directory: Path) -> Path:
    """Give the top of the repository that a directory lies in; the directory itself if there is none."""
    here = directory.resolve()
    return next((one for one in (here, *here.parents) if (one / ".git").exists()), here)


def hush_the_workflow_engine() -> None:
    """Keep its log quiet: it shows every error that it passes on, and `main` tells the same one once, in words."""
    import logging

    if os.environ.get("SUREFOOT_DEBUG") != "1":
        for name in ("dbos", "asyncio"):
            logging.getLogger(name).addFilter(_critical)


def _critical(record: logging.LogRecord) -> bool:
    return record.levelname == "CRITICAL"


def json_text(document: object) -> str:
    """Give the JSON text of a document; moments in ISO form, and null for numbers that JSON cannot say."""
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    return json.dumps(_plain(document), indent=2, ensure_ascii=plain, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _finished(done: Any) -> int | None:
    if not inspect.iscoroutine(done):
        return done
    import asyncio

    return asyncio.run(done)


Work = Callable[Concatenate[Desk, P], "Coroutine[Any, Any, int | None] | int | None"]


def command(home: typer.Typer, name: str, *, keys: str, section: str | None = None) -> Callable[[Work[P]], Work[P]]:
    """Register a function as a command of `home`; its docstring is the help, `keys` describe its JSON document."""

    def register(work: Work[P]) -> Work[P]:
        def run(ctx: typer.Context, store: Path | None = None, as_json: bool = False, **given: Any) -> int | None:
            above: dict[str, Any] = ctx.find_root().obj or {}
            desk = Desk(store=store or above.get("store"), as_json=as_json or bool(above.get("json")))
            try:
                return _finished(cast("Any", work)(desk, **given))
            except BrokenPipeError:  # typer would make a failure of it
                from surefoot.cli import hushed

                return hushed()

        own = list(inspect.signature(work, eval_str=True).parameters.values())[1:]
        here = [
            inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            inspect.Parameter("store", inspect.Parameter.KEYWORD_ONLY, annotation=StoreOption, default=None),
            inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, annotation=JsonOption, default=False),
        ]
        run.__signature__ = inspect.Signature(here)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in here}
        run.__doc__ = work.__doc__
        home.command(name, rich_help_panel=section)(run)
        KEYS[f"{home.info.name} {name}" if home.info.name else name] = keys
        return work

    return register
