"""The process that is killed: one `surefoot tick --repo .` in the folder it is started in.

python tests/faults/repo_victim.py

It says `ready` when all is imported, so that the moments at which it is killed fall into the tick itself.
"""

from __future__ import annotations

import sys

import surefoot.app  # noqa: F401  imported here so that it does not count
from surefoot.cli import main

if __name__ == "__main__":
    print("ready", flush=True)
    sys.exit(main(["tick", "--repo", ".", "--json"]))
