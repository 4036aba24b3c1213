"""Detect: which gates a project already has, from the names and contents of its own files.

Python, Node, Rust, Go and Make are known. Only what the project itself declares is proposed (a script that is there, a
tool that is configured), the order is that of gates, and a person confirms it. The first test gate that is found for a
language wins; a Makefile is the fallback, because a project's own tools say more in their output.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from surefoot.core.gate_spec import Command, GateKind, GateSpec, in_order

MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "mypy.ini", "pyrightconfig.json", "pytest.ini",
           "requirements.txt", "package.json", "package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lockb",
           "bun.lock", "tsconfig.json", "Cargo.toml", "go.mod", "Makefile", "GNUmakefile", "makefile")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A gate that the project has, the language it belongs to, and the file that says so."""

    gate: GateSpec
    language: str
    because: str


def detected(files: Mapping[str, str], names: frozenset[str] = frozenset()) -> tuple[Found, ...]:
    """Give the gates of a project; `files` are the texts of `MARKERS` that exist, `names` all tracked paths."""
    found = [*_python(files, names), *_node(files), *_rust(files), *_go(files)]
    kinds = {one.gate.kind for one in found}
    found += [one for one in _make(files) if one.gate.kind not in kinds]
    order = {gate: at for at, gate in enumerate(in_order(tuple(one.gate for one in found)))}
    return tuple(sorted(found, key=lambda one: order[one.gate]))


def _gate(language: str, name: str, kind: GateKind, because: str, *argv: str) -> Found:
    gate = GateSpec(name=name, kind=kind, command=Command(argv=argv))
    return Found(gate=gate, language=language, because=because)


def _python(files: Mapping[str, str], names: frozenset[str]) -> list[Found]:
    project = _toml(files.get("pyproject.toml", ""))
    here = next((name for name in ("pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "requirements.txt")
                 if name in files), "")  # fmt: skip
    tests = any(re.fullmatch(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py", name) for name in names)
    if not here and not tests:
        return []
    tools = cast("dict[str, Any]", project.get("tool", {})) if isinstance(project.get("tool"), dict) else {}
    found: list[Found] = []
    if "pyright" in tools or "pyrightconfig.json" in files:
        found.append(_gate("Python", "pyright", "typecheck", "pyright is configured", "pyright"))
    elif "mypy" in tools or "mypy.ini" in files or "[mypy]" in files.get("setup.cfg", ""):
        found.append(_gate("Python", "mypy", "typecheck", "mypy is configured", "mypy", "."))
    else:
        found.append(_gate("Python", "compile", "typecheck", f"{here or 'tests'}: every file must at least parse",
                           "python3", "-m", "compileall", "-q", "."))  # fmt: skip
    if "pytest" in tools or "pytest.ini" in files or "pytest" in _all(files):
        found.append(_gate("Python", "pytest", "test", "pytest is used", "python3", "-m", "pytest", "-q"))
    elif tests:
        found.append(_gate("Python", "unittest", "test", "there are tests and no pytest", "python3", "-m", "unittest"))
    return found


def _all(files: Mapping[str, str]) -> str:
    return "\n".join(files.get(name, "") for name in ("pyproject.toml", "setup.cfg", "tox.ini", "requirements.txt"))


def _node(files: Mapping[str, str]) -> list[Found]:
    if "package.json" not in files:
        return []
    scripts = _scripts(files["package.json"])
    runner = _runner(files)
    found: list[Found] = []
    named: tuple[tuple[tuple[str, ...], str, GateKind], ...] = (
        (("typecheck", "type-check", "tsc", "check-types"), "typecheck", "typecheck"),
        (("build",), "build", "build"), (("test",), "test", "test"),
    )  # fmt: skip
    for choices, name, kind in named:
        script = next((one for one in choices if one in scripts), "")
        if script and "no test specified" not in scripts[script]:
            because = f"package.json has the script {script}"
            found.append(_gate("Node", name, kind, because, *runner, "run", script))
    if "tsconfig.json" in files and not any(one.gate.kind == "typecheck" for one in found):
        tsc = ("npx", "--no-install", "tsc", "--noEmit")
        found.append(_gate("Node", "tsc", "typecheck", "there is a tsconfig.json", *tsc))
    return found


def _runner(files: Mapping[str, str]) -> tuple[str, ...]:
    if "pnpm-lock.yaml" in files:
        return ("pnpm",)
    if "yarn.lock" in files:
        return ("yarn",)
    return ("bun",) if "bun.lock" in files or "bun.lockb" in files else ("npm",)


def _scripts(text: str) -> dict[str, str]:
    try:
        document: object = json.loads(text)
    except ValueError:
        return {}
    scripts = cast("dict[str, object]", document).get("scripts") if isinstance(document, dict) else None
    if not isinstance(scripts, dict):
        return {}
    return {str(name): str(value) for name, value in cast("dict[object, object]", scripts).items()}


def _rust(files: Mapping[str, str]) -> list[Found]:
    if "Cargo.toml" not in files:
        return []
    return [
        _gate("Rust", "cargo check", "typecheck", "there is a Cargo.toml", "cargo", "check", "--all-targets"),
        _gate("Rust", "cargo build", "build", "there is a Cargo.toml", "cargo", "build"),
        _gate("Rust", "cargo test", "test", "there is a Cargo.toml", "cargo", "test"),
    ]


def _go(files: Mapping[str, str]) -> list[Found]:
    if "go.mod" not in files:
        return []
    return [
        _gate("Go", "go vet", "typecheck", "there is a go.mod", "go", "vet", "./..."),
        _gate("Go", "go build", "build", "there is a go.mod", "go", "build", "./..."),
        _gate("Go", "go test", "test", "there is a go.mod", "go", "test", "./..."),
    ]


def _make(files: Mapping[str, str]) -> list[Found]:
    name = next((one for one in ("GNUmakefile", "makefile", "Makefile") if one in files), "")
    targets = set(re.findall(r"^([A-Za-z][\w-]*)[ \t]*:(?!=)", files.get(name, ""), re.MULTILINE))
    wanted: tuple[tuple[str, GateKind], ...] = (
        ("typecheck", "typecheck"), ("build", "build"), ("test", "test"), ("check", "test"),
    )  # fmt: skip
    found: list[Found] = []
    for target, kind in wanted:
        if target in targets and kind not in (one.gate.kind for one in found):
            found.append(_gate("Make", f"make {target}", kind, f"{name} has the target {target}", "make", target))
    return found


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
