"""Git, as the loop on a repository needs it: looking, worktrees, our own diff, and commits by plumbing.

`GitRepository` is the door. It keeps three promises about the person at the keyboard: their working tree and index are
not touched unless `forward` is asked for, their hooks and settings cannot run or change anything here, and nothing goes
over the network.
"""

from surefoot.adapters.vcs.repository import GitRepository, git_usable

__all__ = ["GitRepository", "git_usable"]
