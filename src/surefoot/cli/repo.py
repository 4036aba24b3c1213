"""`init --repo`: the four files for a repository, from what the project itself says, confirmed by a person."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.cli.desk import WITH_REPO, Desk, top_of

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.core.gate_spec import GateKind
    from surefoot.core.repo.detect import Found
    from surefoot.ports.site import Site

WITH_REPO["init"] = "repo folder base agent mission gates[]: name kind command because; written[] kept[] store next[]"
MOST_NAMES = 20_000
_SKIPPED = frozenset({".git", ".surefoot", "node_modules", ".venv", "venv", "target", "__pycache__", ".tox", "dist"})


async def init_repo(
    desk: Desk, directory: Path, *, mission: str, agent: str, program: str, gates: Sequence[str], yes: bool
) -> None:
    """Write the four files; what is there already stays as it is."""
    from surefoot.core.errors import NotFound

    top = top_of(directory)
    if not _is_directory(directory):
        raise NotFound(f"there is no directory {directory}", hint="name the directory of a git repository")
    found = [*_given(gates)] if gates else _found(top)
    asked = sys.stdin.isatty() and not (desk.as_json or yes)
    with desk.site(directory) as (app, site):
        facts = site.git.facts()
        base = facts.branch or "main"
        wanted = _mission(site, mission, asked=asked)
        found = _confirmed(found) if asked else found
        argv = tuple(shlex.split(program))
        chosen = "command" if argv else agent or _installed()
        texts = _texts(site, Path(facts.top), wanted, base, found, chosen, argv)
        written = [name for name, text in texts.items() if _written(site, name, text)]
        document = _document(Path(facts.top), base, chosen, wanted, found, written)
        document["store"] = app.settings.store

    def page(screen: Screen) -> None:
        screen.line(f"the loop on {document['repo']} is set up on {base}", "green")
        for name in written:
            screen.note(f"wrote {name}")
        for name in document["kept"]:
            screen.note(f"kept {name} as it is")
        for one in found:
            screen.line(f"gate {one.gate.kind}: {_words(one)}  ({one.because})")
        if not found:
            screen.line("no gate was found: write one into surefoot.toml, or no tick starts", "yellow")
        screen.line("next:")
        for step in document["next"]:
            screen.line(f"  {step}")

    desk.give(document, page)


def _is_directory(path: Path) -> bool:
    return path.is_dir()


def _document(
    top: Path, base: str, agent: str, mission: str, found: Sequence[Found], written: Sequence[str]
) -> dict[str, Any]:
    from surefoot.core.repo.files import NAMES

    return {
        "repo": _slug(top.name), "folder": top, "base": base, "agent": agent, "mission": mission,
        "gates": [{"name": one.gate.name, "kind": one.gate.kind, "command": list(_argv(one)), "because": one.because}
                  for one in found],
        "written": list(written), "kept": [name for name in NAMES if name not in written],
        "next": [
            "read the four files and change what you like",
            f"git add {' '.join(NAMES)} && git commit -m 'surefoot: the loop'",
            'surefoot levers add "what is to be done" --value 5 --scope "src/**"',
            "surefoot tick --repo",
        ],
    }  # fmt: skip


def _texts(
    site: Site, top: Path, mission: str, base: str, found: Sequence[Found], agent: str, argv: Sequence[str]
) -> dict[str, str]:
    """What is to be written, by file; an existing surefoot.toml without a section [repo] gets one at its end."""
    from surefoot.core.repo import templates
    from surefoot.core.repo.files import GENOME, LEVERS, PROMPT, SETTINGS

    before = (site.papers.read(SETTINGS) or b"").decode("utf-8", "surrogateescape")
    fresh = templates.settings_text(name=_slug(top.name), base=base, gates=found, agent=agent, argv=argv)
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    settings = before if re.search(r"^\s*\[repo\]", before, re.MULTILINE) else f"{before}{gap}{fresh}"
    return {
        GENOME: templates.genome_text(mission), LEVERS: templates.levers_text(), PROMPT: templates.prompt_text(),
        SETTINGS: settings,
    }  # fmt: skip


def _written(site: Site, name: str, text: str) -> bool:
    """Write a file if it is not there, or if it is the settings and grew."""
    before = site.papers.read(name)
    content = text.encode("utf-8", "surrogateescape")
    if before == content or (before is not None and not content.startswith(before)) or (before and name[-3:] == ".md"):
        return False
    site.papers.write(name, content, expected=before)
    return True


def _mission(site: Site, mission: str, *, asked: bool) -> str:
    from surefoot.core.errors import Invalid
    from surefoot.core.repo.files import GENOME
    from surefoot.core.repo.paper import decoded, paper
    from surefoot.core.repo.strategy import strategy

    if (there := site.papers.read(GENOME)) is not None:
        return strategy(paper(GENOME, decoded(GENOME, there))).mission
    if not mission.strip() and asked:
        import typer

        mission = typer.prompt("What is this repository to become? (the mission, one sentence)")
    if not mission.strip():
        raise Invalid("the loop needs a mission", hint='surefoot init --repo --mission "what this is to become"')
    return mission.strip()


def _confirmed(found: Sequence[Found]) -> list[Found]:
    """Show each gate and ask whether it is one."""
    import typer

    return [
        one for one in found
        if typer.confirm(f"gate {one.gate.kind}: {_words(one)}  ({one.because}). Use it?", default=True, err=True)
    ]  # fmt: skip


def _found(top: Path) -> list[Found]:
    """The gates that the project's own files declare."""
    from surefoot.core.repo.detect import MARKERS, detected

    files = {name: (top / name).read_text(errors="replace") for name in MARKERS if (top / name).is_file()}
    return list(detected(files, frozenset(_names(top))))


def _names(top: Path) -> Iterable[str]:
    """The paths of the project, without what is installed or built; at most `MOST_NAMES`."""
    count = 0
    for folder, inner, names in os.walk(top):
        inner[:] = [one for one in inner if one not in _SKIPPED and not one.startswith(".")]
        for name in names:
            count += 1
            if count > MOST_NAMES:
                return
            yield (Path(folder) / name).relative_to(top).as_posix()


def _given(gates: Sequence[str]) -> Iterable[Found]:
    """Gates as they are written on the command line, KIND=COMMAND."""
    from surefoot.core.errors import Invalid
    from surefoot.core.gate_spec import GATE_ORDER, Command, GateSpec
    from surefoot.core.repo.detect import Found
    from surefoot.core.repo.gates import hidden_exit

    for at, text in enumerate(gates):
        word, _, words = text.partition("=")
        kind = _kind(word.strip())
        argv = tuple(shlex.split(words))
        if kind is None or not argv:
            raise Invalid(f"{text!r} is no gate", hint=f"write KIND=COMMAND; a kind is one of {', '.join(GATE_ORDER)}")
        if problem := hidden_exit(argv, ""):
            raise Invalid(f"the gate {text!r} hides the exit code: {problem}", hint="write it into surefoot.toml")
        name = kind if not any(one.startswith(f"{kind}=") for one in gates[:at]) else f"{kind} {at + 1}"
        yield Found(gate=GateSpec(name=name, kind=kind, command=Command(argv=argv)), language="", because="as given")


def _kind(word: str) -> GateKind | None:
    from surefoot.core.gate_spec import GATE_ORDER

    for kind in GATE_ORDER:
        if kind == word:
            return kind
    return None


def _argv(one: Found) -> tuple[str, ...]:
    return one.gate.command.argv if one.gate.command else ()


def _words(one: Found) -> str:
    return " ".join(_argv(one))


def _installed() -> str:
    from shutil import which

    return next((name for name in ("claude", "codex", "gemini") if which(name)), "claude")


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:63]
    return slug or "repo"
