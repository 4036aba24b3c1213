"""One git command: with a cleared environment, a deadline, and errors that say what to do.

Nothing of the person's settings is read except what says how their own working tree is to be compared (line ends,
ignored files): settings of the system and of the person are off, those of the repository are overruled wherever they
could run a program, change bytes, reach the network or ask a question.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from surefoot.adapters.processes import private
from surefoot.core.errors import Invalid, Unavailable

TIMEOUT_S = 120.0
AUTHOR = ("Surefoot", "surefoot@localhost")
# What a repository's own settings may not say.
_OVERRULED = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.untrackedCache=false", "core.attributesFile=/dev/null",
    "core.quotePath=false", "core.sparseCheckout=false", "core.splitIndex=false", "index.sparse=false",
    "commit.gpgSign=false", "tag.gpgSign=false", "gc.auto=0", "maintenance.auto=false", "protocol.allow=never",
    "submodule.recurse=false", "apply.whitespace=nowarn", "apply.ignoreWhitespace=no", "diff.renames=false",
    "i18n.commitEncoding=utf-8", "i18n.logOutputEncoding=utf-8", "log.showSignature=false", "advice.detachedHead=false",
)  # fmt: skip
# In our own worktrees bytes, modes and links are what they are.
_EXACT = (
    "core.autocrlf=false", "core.eol=lf", "core.safecrlf=false", "core.fileMode=true", "core.symlinks=true",
    "core.excludesFile=/dev/null",
)  # fmt: skip
# Literal paths, except where a command says it needs patterns.
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}


class GitFailed(Exception):
    """A git command that ended with an error; what it means is decided by who asked."""

    def __init__(self, words: tuple[str, ...], code: int, said: str, out: bytes = b"") -> None:
        super().__init__(f"git {words[0]} ended with {code}: {said}")
        self.code = code
        self.said = said
        self.out = out


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Runs git on one working tree; `settings` are more `-c` settings, `index` replaces the index file."""

    top: str
    git_dir: str
    home: str
    index: str = ""
    settings: tuple[str, ...] = _EXACT
    timeout_s: float = TIMEOUT_S
    extra: Mapping[str, str] = field(default_factory=dict[str, str])

    def run(self, *words: str, stdin: bytes = b"", at: datetime | None = None, literal: bool = True) -> bytes:
        """Run a command and give its output; GitFailed for an error exit, Unavailable if it hangs or is missing."""
        chosen = [word for pair in (*_OVERRULED, *self.settings) for word in ("-c", pair)]
        tree = ["--git-dir", self.git_dir, "--work-tree", self.top]
        env = cleared(self.home) | (_LITERAL if literal else {}) | _dated(at) | dict(self.extra)
        if self.index:
            env["GIT_INDEX_FILE"] = self.index
        code, out, err = _ran(["git", *tree, *chosen, *words], self.top, env, stdin, self.timeout_s)
        if code:
            raise GitFailed(words, code, last_words(err), out)
        return out

    def text(self, *words: str, stdin: bytes = b"", at: datetime | None = None) -> str:
        """Run a command and give its output without the line end."""
        return self.run(*words, stdin=stdin, at=at).decode("utf-8", "surrogateescape").rstrip("\n")

    def asked(self, *words: str) -> str | None:
        """Run a command whose error exit means "there is none"."""
        try:
            return self.text(*words)
        except GitFailed:
            return None

    def on(self, top: str, git_dir: str) -> Git:
        """Give the same for another worktree."""
        return replace(self, top=top, git_dir=git_dir, index="", settings=_EXACT)

    @contextlib.contextmanager
    def with_index(self) -> Generator[Git]:
        """Give the same with an index of its own, which is thrown away."""
        with private("index", folder=self.home) as folder:
            yield replace(self, index=str(folder / "index"))


def cleared(home: str) -> dict[str, str]:
    """Give the whole environment of a git command."""
    return {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": home, "XDG_CONFIG_HOME": home, "LC_ALL": "C", "TZ": "UTC",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "false", "SSH_ASKPASS": "false", "GIT_SSH_COMMAND": "false",
        "GIT_EDITOR": "false", "GIT_PAGER": "cat", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ATTR_NOSYSTEM": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none",
        "GIT_AUTHOR_NAME": AUTHOR[0], "GIT_AUTHOR_EMAIL": AUTHOR[1],
        "GIT_COMMITTER_NAME": AUTHOR[0], "GIT_COMMITTER_EMAIL": AUTHOR[1],
    }  # fmt: skip


def found(folder: str, home: str) -> Git:
    """Find the repository that a folder lies in; Invalid if there is none, or none with a working tree."""
    env = cleared(home)
    words = ["git", "rev-parse", "--show-toplevel", "--absolute-git-dir"]
    if not Path(folder).is_dir():
        raise Invalid(f"there is no folder {folder}", hint="name the folder of a git repository")
    code, out, err = _ran(words, folder, env, b"", TIMEOUT_S)
    if code:
        raise Invalid(f"{folder} is no git working tree: {last_words(err)}", hint="run `git init` there first")
    top, git_dir = out.decode("utf-8", "surrogateescape").rstrip("\n").split("\n")
    return Git(top=top, git_dir=git_dir, home=home)


def of_the_person(git: Git) -> Git:
    """Give the same, comparing the person's own tree by the person's own line ends and ignored files.

    Their settings are only read, from where git itself would read them for them.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
    chosen: list[str] = []
    for key in ("core.autocrlf", "core.eol", "core.excludesFile"):
        code, out, _ = _ran(["git", "config", "--get", key], git.top, env, b"", TIMEOUT_S)
        value = out.decode("utf-8", "surrogateescape").rstrip("\n")
        if code == 0 and value:
            value = os.path.expanduser(value) if value.startswith("~") else value  # noqa: PTH111
            chosen.append(f"{key}={value}")
    if not any(pair.startswith("core.excludesFile=") for pair in chosen):
        folder = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", os.devnull)) / ".config")
        chosen.append(f"core.excludesFile={folder}/git/ignore")
    return replace(git, settings=tuple(chosen))


def last_words(err: bytes) -> str:
    """Give the line of an error output that says most."""
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (telling or lines or ["it said nothing"])[0][:300]


def _dated(at: datetime | None) -> dict[str, str]:
    if at is None:
        return {}
    stamp = f"{int(at.timestamp())} +0000"
    return {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}


def _ran(
    words: list[str], folder: str, env: dict[str, str], stdin: bytes, timeout_s: float
) -> tuple[int, bytes, bytes]:
    """Run in a process group of its own, so that a late command takes its children along."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            words, cwd=folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except FileNotFoundError:
        raise Unavailable("git is not installed, or the folder is gone", hint="install git 2.36 or newer") from None
    with process:
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"git did not finish within {timeout_s:g} s",
                hint="see whether another git holds a lock, then try again",
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return process.wait(), out, err
