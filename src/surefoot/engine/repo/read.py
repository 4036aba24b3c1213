"""Read: find out what a tick stands on: the trusted commit, and the four files with what people did meanwhile.

In mode `loop` the loop's own branch holds the truth; a person's commits on the base branch, and what they saved in the
four files without a commit, are taken in here. In mode `pr` the truth is the files as they lie there, in `direct` the
commit that is checked out. Nothing is published by this step: the first commit that holds it is that of the tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from surefoot.core.errors import Conflict, Invalid, NotFound
from surefoot.core.repo.ancestor import taken_in
from surefoot.core.repo.commit import intake_message
from surefoot.core.repo.files import NAMES, SETTINGS, Files, files
from surefoot.core.repo.paper import decoded
from surefoot.core.repo.settings import RepoSettings, repo_settings
from surefoot.ports.site import Site

FAR = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a tick stands on.

    `base` is the trusted commit, `tip` where the branch that will move stands now (None: it is not there yet). `texts`
    are the four files with everybody's changes; `person` are the person's own copies, as they were seen.
    """

    base: str
    tip: str | None
    texts: Mapping[str, str]
    person: Mapping[str, str] = field(default_factory=dict[str, str])

    def document(self) -> dict[str, Any]:
        """Give it in JSON's form."""
        return {"base": self.base, "tip": self.tip, "texts": dict(self.texts), "person": dict(self.person)}

    @classmethod
    def from_document(cls, given: Mapping[str, Any]) -> Standing:
        """Read `document()` back."""
        return cls(base=given["base"], tip=given["tip"], texts=given["texts"], person=given["person"])

    @property
    def files(self) -> Files:
        """The four files, read."""
        return files(self.texts)


def read(site: Site, *, seen: Mapping[str, str], tick: int, at: datetime) -> Standing:
    """Give what a tick stands on; `seen` are the person's copies that were taken in before.

    Errors name the file and line, or the branch, and say what to do.
    """
    return _Reader(site, seen).standing(tick, at)


class _Reader:
    """Reads one repository once; what was read of a commit is not asked for again."""

    def __init__(self, site: Site, seen: Mapping[str, str]) -> None:
        self._site, self._git, self._seen = site, site.git, seen
        self._facts = site.git.facts()
        self._known: dict[str, dict[str, str]] = {}

    def standing(self, tick: int, at: datetime) -> Standing:
        if not self._facts.head:
            raise Invalid("the repository has no commit yet", hint="make a first commit, then run this again")
        settings = self._settings()
        if settings.mode == "direct":
            return self._direct()
        base = self._git.resolve(settings.base)
        if base is None:
            raise NotFound(f"there is no branch {settings.base}", hint=f"set base under [repo] in {SETTINGS}")
        if settings.mode == "pr":
            texts = self._saved()
            return Standing(base=base, tip=None, texts=texts, person=texts)
        return self._own_branch(settings, base, tick, at)

    def _settings(self) -> RepoSettings:
        """The settings by which the rest is found: those the person has in front of them, else the committed ones."""
        here = self._site.papers.read(SETTINGS)
        content = here if here is not None else self._git.read(self._facts.head, SETTINGS)
        if content is None:
            raise NotFound(f"there is no {SETTINGS} here", hint="surefoot init --repo writes the four files")
        return repo_settings(decoded(SETTINGS, content))

    def _direct(self) -> Standing:
        facts = self._facts
        if facts.branch is None:
            raise Conflict("no branch is checked out here (detached head)", hint="check out the branch to work on")
        if facts.dirty:
            some = ", ".join(facts.dirty[:5])
            raise Conflict(f"mode direct does not touch uncommitted work: {some}", hint="commit or stash it first")
        return Standing(base=facts.head, tip=facts.head, texts=self._committed(facts.head))

    def _own_branch(self, settings: RepoSettings, base: str, tick: int, at: datetime) -> Standing:
        if self._facts.branch == settings.branch:
            raise Conflict(f"you have {settings.branch} checked out, so the loop cannot move it",
                           hint=f"git checkout {settings.base}")  # fmt: skip
        git, tip = self._git, self._git.resolve(settings.branch)
        texts, person = self._texts(base, tip)
        if tip is None or not git.log(tip, after=base, limit=1):
            return Standing(base=base, tip=tip, texts=texts, person=person)
        if not git.log(base, after=tip, limit=1):
            return Standing(base=tip, tip=tip, texts=texts, person=person)
        message = intake_message(tick=tick, branch=settings.base, commit=base)
        content = {name: text.encode() for name, text in texts.items()}
        both = git.merge(tip, base, message=message, at=at, files=content)
        return Standing(base=both, tip=tip, texts=texts, person=person)

    def _texts(self, base: str, tip: str | None) -> tuple[dict[str, str], dict[str, str]]:
        """The four files with everybody's changes, and the person's copies."""
        theirs = self._of_person(base)
        if tip is None:
            return theirs, theirs
        shared = {commit for other in (base, self._facts.head) if (commit := self._common(other, tip)) is not None}
        known = [self._seen, *(self._committed(commit) for commit in sorted(shared))]
        ours, texts = self._committed(tip), dict[str, str]()
        for name in NAMES:
            if name == SETTINGS and name in theirs:  # the loop never writes it: what the person has now is what counts
                texts[name] = theirs[name]
                continue
            earlier = [one[name] for one in known if name in one]
            if (done := taken_in(name, ours.get(name), theirs.get(name), earlier)) is not None:
                texts[name] = done
        return texts, theirs

    def _of_person(self, base: str) -> dict[str, str]:
        """What people say: the saved copy where it differs from the commit it stands on, else the base branch's."""
        at_head = self._committed(self._facts.head)
        changed = {name: text for name, text in self._saved().items() if text != at_head.get(name)}
        return {**self._committed(base), **changed}

    def _common(self, other: str, tip: str) -> str | None:
        """The newest commit that another history and the loop's both have."""
        own = self._git.log(tip, after=other, limit=FAR)
        if not own:
            return tip
        mine = {one.sha for one in own}
        return next((parent for one in own for parent in one.parents if parent not in mine), None)

    def _saved(self) -> dict[str, str]:
        found = {name: self._site.papers.read(name) for name in NAMES}
        return {name: decoded(name, content) for name, content in found.items() if content is not None}

    def _committed(self, commit: str) -> dict[str, str]:
        if commit not in self._known:
            found = {name: self._git.read(commit, name) for name in NAMES}
            self._known[commit] = {name: decoded(name, text) for name, text in found.items() if text is not None}
        return self._known[commit]
