"""What a piece of work changed, as our own diff says it, never as the author reports it.

A `Change` is judged before a gate sees it: each path against the lever's globs, each mode against what a diff of text
cannot show (symbolic links, executables, submodules), and `meddled` against the walls of the repository itself. A
rename is a deletion and an addition, so that both of its ends are judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["A", "M", "D", "T"]
NO_MODE = "000000"
FILE, EXECUTABLE, LINK, SUBMODULE = "100644", "100755", "120000", "160000"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """One changed path, relative to the top of the repository, with "/" between its parts.

    `kind` is A(dded), M(odified), D(eleted) or T(ype changed: a file became a link, say). Modes are git's six octal
    digits, `NO_MODE` where the side does not exist. `size` is in bytes after the change, 0 when deleted or a submodule.
    `added` and `removed` count lines, 0 for binary files.
    """

    path: str
    kind: Kind
    old_mode: str = NO_MODE
    new_mode: str = FILE
    binary: bool = False
    size: int = 0
    added: int = 0
    removed: int = 0

    @property
    def symlink(self) -> bool:
        """Tell whether either side is a symbolic link."""
        return LINK in (self.old_mode, self.new_mode)

    @property
    def submodule(self) -> bool:
        """Tell whether either side is a submodule, or a repository put inside this one."""
        return SUBMODULE in (self.old_mode, self.new_mode)

    @property
    def mode_changed(self) -> bool:
        """Tell whether an existing file changed its mode, or a new one came executable."""
        if self.kind == "A":
            return self.new_mode != FILE
        return self.kind != "D" and self.old_mode != self.new_mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """All changed files against the commit `base`, ordered by path, and the digest and size of the patch that says so.

    `meddled` names what was changed in the administration of git itself (".git/config", ".git/hooks/pre-commit" …): no
    diff shows it, and such work is refused whole. `files` is empty then, because git would have to obey what was
    changed in order to tell. `digest` is the sha256 of the patch's bytes in hex.
    """

    base: str
    files: tuple[ChangedFile, ...] = ()
    digest: str = ""
    patch_bytes: int = 0
    meddled: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Tell whether nothing was changed at all."""
        return not self.files and not self.meddled

    @property
    def paths(self) -> tuple[str, ...]:
        """Give the changed paths."""
        return tuple(file.path for file in self.files)
