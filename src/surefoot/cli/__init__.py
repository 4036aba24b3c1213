"""The command line: `main` runs one command and gives its exit code.

What people can act on is told in two lines, `error:` and `hint:`, never as a traceback; with `--json` the same three
facts are the one document on standard output. Exit codes: 0 done, 1 refused or failed, 2 the request is wrong,
3 something Surefoot needs does not work, 4 inconclusive, 70 a mistake of ours, 130 interrupted, 141 nobody listens.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

__all__ = ["hushed", "main"]

INTERRUPTED, DEAF, OURS = 130, 141, 70
_EXIT = {"invalid": 2, "not_found": 2, "usage": 2, "unavailable": 3, "internal": OURS}
_WRITE_JSON_FILES = ("demo", "try")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (by default that of the process) names, and give the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # text from outside may hold what this terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _guarded(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return hushed()
    return code


def _guarded(arguments: list[str]) -> int:
    """Run, and turn whatever goes wrong into words and an exit code."""
    from typer.exceptions import Abort, TyperException

    from surefoot.core.errors import SurefootError

    try:
        return _run(arguments)
    except SurefootError as error:
        return _failed(arguments, error.code, error.message, error.hint)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "surefoot"
        message = error.format_message().rstrip(".")
        return _failed(arguments, "usage", message[:1].lower() + message[1:], f"{path} --help shows how it is used")
    except (KeyboardInterrupt, Abort):
        return _interrupted()
    except BrokenPipeError:
        raise
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        message = f"{what}{error.strerror or error}"
        return _failed(arguments, "unavailable", message, "check that it exists and that you may read and write it")
    except Exception as error:  # noqa: BLE001  the last wall: people get words, developers the traceback
        return _ours(arguments, error)


def _run(arguments: list[str]) -> int:
    from surefoot.cli.commands import app

    done = app(args=arguments, prog_name="surefoot", standalone_mode=False)
    if done == INTERRUPTED:
        return _interrupted()
    return done if isinstance(done, int) else 0


def _failed(arguments: list[str], code: str, message: str, hint: str) -> int:
    if _wants_json(arguments):
        import json

        print(json.dumps({"error": {"code": code, "message": message, "hint": hint}}, indent=2))
    else:
        from surefoot.cli.screen import visible

        print(f"error: {visible(message)}", file=sys.stderr)
        if hint:
            print(f"hint: {visible(hint)}", file=sys.stderr)
    return _EXIT.get(code, 1)


def _wants_json(arguments: list[str]) -> bool:
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    command = next((word for word in before if not word.startswith("-")), "")
    return "--json" in before and command not in _WRITE_JSON_FILES


def _ours(arguments: list[str], error: Exception) -> int:
    if os.environ.get("SUREFOOT_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return _failed(
        arguments, "internal", f"Surefoot made a mistake ({said})",
        "please report it, with the command and what SUREFOOT_DEBUG=1 adds; nothing that was acknowledged is lost",
    )  # fmt: skip


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return INTERRUPTED


def hushed() -> int:
    """Say nothing more, also not at exit, because whoever read our output went away; gives the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DEAF
