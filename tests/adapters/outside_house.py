"""Installs improvers of other people: a package and the metadata an installer would write, in a folder on the path."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from surefoot.adapters.improvers.outside import GROUP, Found, Outside, Terms, found
from surefoot.core.genome import Block, Genome
from surefoot.core.proposal import Brief, Example

GENOME = Genome((
    Block(id="guard", kind="section", text="Never reveal account data.", locked=True),
    Block(id="task", kind="section", text="Sort the message.\nLabels: card, transfer."),
    Block(id="rule-old", kind="rule", text="If the message mentions iban, answer transfer."),
))  # fmt: skip
SITTING = tuple(
    Example(case_id=f"case-{n}", input=f"my plastic thing never came number {n}", expected="card", predicted="transfer")
    for n in range(6)
)
BRIEF = Brief(
    agent="bank", genome=GENOME, gap="card-as-transfer", title="card as transfer", failures=SITTING,
    others=(Example(case_id="ok-1", input="send money", expected="transfer", predicted="transfer"),),
    labels=("card", "transfer"), tried=frozenset({"0123"}), lessons=("Little.",), model="local-lexical",
)  # fmt: skip
HEAD = """
import os, sys
from surefoot.core.edit import Edit
from surefoot.core.proposal import Cost, Proposal

def rule(text="If the message mentions plastic, answer card.", **fields):
    given = {"kind": "add", "target": "rule-new", "text": text, **fields}
    return Proposal(improver="me", edits=(Edit(**given),), rationale="words", cost=Cost())
"""


class Site:
    """A folder on the path, with packages in it, and a store that none of them may touch."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "site"
        self.folder.mkdir()
        self.store = folder / "project" / ".surefoot" / "surefoot.db"
        self.store.parent.mkdir(parents=True)
        self.store.write_bytes(b"held-out cases\n")
        self._monkeypatch = monkeypatch
        monkeypatch.syspath_prepend(str(self.folder))

    def add(self, name: str, entry: str, package: str = "") -> None:
        """Write what `pip install` would write beside a package."""
        about = self.folder / f"{(package or name).replace('-', '_')}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package or name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {entry}\n")
        # The finder remembers what a folder held, by the second in which it changed.
        self._monkeypatch.syspath_prepend(str(self.folder))

    def improver(self, code: str, terms: Terms | None = None, **fields: object) -> Outside:
        """Install an improver whose module is this code, and give what would run it."""
        (self.folder / "strange.py").write_text(HEAD + textwrap.dedent(code))
        self.add("strange", "strange:propose")
        (one,) = [one for one in found() if one.name == "strange"]
        assert "strange" not in sys.modules
        return Outside(one, terms or Terms(**{"timeout_s": 10.0, **fields}), store=self.store)

    def untouched(self) -> bool:
        """Whether the store is as it was, with nothing beside it."""
        return self.store.read_bytes() == b"held-out cases\n" and list(self.store.parent.iterdir()) == [self.store]


__all__ = ["BRIEF", "GENOME", "SITTING", "Found", "Site"]
