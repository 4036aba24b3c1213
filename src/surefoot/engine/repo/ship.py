"""Ship: write down what a tick did, and publish it in one step.

A lever that passed becomes a commit with its evidence; the four files get the outcome, the proof, the lessons and, if
the strategy changed, the next version. Everything is made as objects first and published by one move of the branch, so
that a kill leaves either nothing or all of it. The commits are a function of the facts, so a repeat makes the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from surefoot.core.errors import Conflict
from surefoot.core.repo import lessons as lesson_file
from surefoot.core.repo import levers as lever_file
from surefoot.core.repo import strategy as genome_file
from surefoot.core.repo.ancestor import taken_in
from surefoot.core.repo.commit import lever_message, state_message
from surefoot.core.repo.files import GENOME, LEVERS, PROMPT, Files
from surefoot.core.repo.lessons import RepoLesson
from surefoot.core.repo.outcome import Entry, status_after
from surefoot.core.repo.paper import Paper, decoded, one_line, paper
from surefoot.core.repo.settings import RepoSettings
from surefoot.engine.repo.read import Standing
from surefoot.ports.site import Site

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What was written: the lever's commit, the branch's new place, the texts, and what changed in them."""

    commit: str
    tip: str
    branch: str
    texts: Mapping[str, str]
    bumped: bool
    learned: tuple[RepoLesson, ...]

    def document(self) -> dict[str, Any]:
        """Give it in JSON's form."""
        return {
            "commit": self.commit, "tip": self.tip, "branch": self.branch, "texts": dict(self.texts),
            "bumped": self.bumped, "learned": [[one.text, one.who, one.evidence] for one in self.learned],
        }  # fmt: skip


def ship(site: Site, standing: Standing, turns: Sequence[Facts], *, number: int, at: datetime) -> Shipped:
    """Write and publish a tick; `turns` are the levers it took, of which at most the last one shipped."""
    found = standing.files
    last = turns[-1]
    commit = _lever_commit(site, standing, found, last, number, at) if last["outcome"] == "shipped" else ""
    texts, learned, bumped = _texts(site, standing, found, turns, commit, number, at)
    branch, tip = _published(site, standing, found, last, commit, texts, number, at)
    return Shipped(commit=commit, tip=tip, branch=branch, texts=texts, bumped=bumped, learned=tuple(learned))


def _lever_commit(site: Site, standing: Standing, found: Files, turn: Facts, number: int, at: datetime) -> str:
    patch = site.git.patch_of(standing.base, turn["draft"])
    gates = [f"{one['name']}: {one['outcome']}, {one['sentence']}" for one in turn["gates"]]
    message = lever_message(
        lever=turn["lever"], title=turn["title"], genome=found.strategy.name, tick=number, gates=gates,
        agent=found.settings.agent.name, prompt=PROMPT in patch.change.paths,
    )  # fmt: skip
    return site.git.draft(standing.base, message=message, at=at, patch=patch)


def _texts(
    site: Site, standing: Standing, found: Files, turns: Sequence[Facts], commit: str, number: int, at: datetime
) -> tuple[dict[str, str], list[RepoLesson], bool]:
    """The four files after the tick, what was learned, and whether the genome went up."""
    levers, prompt = found.levers, _prompt(site, found, commit)
    for turn in turns:
        note = _entry(turn, commit, number, at)
        tried = lever_file.named(lever_file.levers(levers), turn["lever"]).tries + note.in_vain
        status = status_after(turn["outcome"], tried, found.settings.max_tries)
        levers = lever_file.logged(levers, turn["lever"], note, status=status)
    genome, bumped = _genome(found, turns[-1], number)
    learned = [one for turn in turns for one in _lessons(turn, number)]
    known = len(lesson_file.lessons(prompt))
    for one in learned:
        prompt = lesson_file.learned(prompt, one)
    fresh = list(lesson_file.lessons(prompt)[known:])
    changed = {GENOME: genome.text, LEVERS: levers.text, PROMPT: prompt.text}
    return {**standing.texts, **changed}, fresh, bumped


def _prompt(site: Site, found: Files, commit: str) -> Paper:
    """The loop prompt to write lessons into: the lever's own, if the lever was about it."""
    content = site.git.read(commit, PROMPT) if commit else None
    committed = content and decoded(PROMPT, content)
    changed = committed and lesson_file.append_only(found.prompt, paper(PROMPT, committed))
    return paper(PROMPT, committed) if committed and changed else found.prompt


def _entry(turn: Facts, commit: str, number: int, at: datetime) -> Entry:
    what = commit[:10] if turn["outcome"] == "shipped" else turn["what"]
    gates = ", ".join(f"{one['name']} {one['outcome']}" for one in turn.get("gates", ()))
    detail = f"{turn['files']} files, +{turn['added']} -{turn['removed']}; {gates}"
    detail += f"; found on the way: {turn['next']}" if turn["next"] else ""
    return Entry(at=at, tick=number, outcome=turn["outcome"], what=one_line(what, 60).translate({40: None, 41: None}),
                 detail=one_line(detail if turn["outcome"] == "shipped" else turn["detail"], 300))  # fmt: skip


def _genome(found: Files, last: Facts, number: int) -> tuple[Paper, bool]:
    """The genome with what is proven, and its version in step with its strategy."""
    genome, bumped = genome_file.marked(found.genome)
    if last["outcome"] != "shipped":
        return genome, bumped
    genome = genome_file.proved(genome, f"{last['lever']} {last['title']} (tick {number})")
    if not last["focus"]:
        return genome, bumped
    genome, again = genome_file.marked(genome_file.refocused(genome, focus=last["focus"], following=last["next"]))
    return genome, bumped or again


def _lessons(turn: Facts, number: int) -> list[RepoLesson]:
    """What a turn teaches: what the agent could prove, a premise that did not hold, and a gate that said no."""
    who, lever, outcome = f"tick {number}", turn["lever"], turn["outcome"]
    told = [RepoLesson(text=text, who=who, evidence=f"{lever}: {proof}") for text, proof in turn["lessons"]]
    if outcome == "premise_mismatch":
        told.append(RepoLesson(text=f"The premise of “{turn['title']}” does not hold: {turn['detail']}", who=who,
                               evidence=f"{lever}, reported"))  # fmt: skip
    if outcome == "gate_failed":
        told.append(RepoLesson(text=f"Work on “{turn['title']}” failed at {turn['what']}: look at that first.",
                               who=who, evidence=f"{lever}: {turn['detail']}"))  # fmt: skip
    return told


def _published(
    site: Site, standing: Standing, found: Files, last: Facts, commit: str, texts: Mapping[str, str], number: int,
    at: datetime,
) -> tuple[str, str]:  # fmt: skip
    """Publish by the mode; gives the branch and where it stands now."""
    if found.settings.mode == "pr":
        save_papers(site, standing, texts)
        return _branch_of_lever(site, last["lever"], commit, number) if commit else ("", "")
    version = genome_file.strategy(paper(GENOME, texts[GENOME])).name
    said = f"{last['lever']} {last['outcome'].replace('_', ' ')}"
    message = state_message(tick=number, said=said, lever=last["lever"], genome=version)
    return publish(site, standing, found.settings, commit or standing.base, texts, message, at)


def publish(
    site: Site, standing: Standing, settings: RepoSettings, parent: str, texts: Mapping[str, str], message: str,
    at: datetime,
) -> tuple[str, str]:  # fmt: skip
    """Put the four files on top of a commit and move the branch there; gives the branch and where it stands now."""
    tip = _state_commit(site, parent, texts, message, at)
    if settings.mode == "direct":
        return _forwarded(site, standing, tip)
    if site.git.resolve(settings.branch) != tip:
        site.git.move(settings.branch, tip, expected=standing.tip)
    return settings.branch, tip


def _state_commit(site: Site, parent: str, texts: Mapping[str, str], message: str, at: datetime) -> str:
    changed = {name: text.encode() for name, text in texts.items() if site.git.read(parent, name) != text.encode()}
    return site.git.draft(parent, message=message, at=at, files=changed) if changed else parent


def _forwarded(site: Site, standing: Standing, tip: str) -> tuple[str, str]:
    facts = site.git.facts()
    if facts.head != tip:
        site.git.forward(tip, expected=standing.base)
    return facts.branch or "", tip


def _branch_of_lever(site: Site, lever: str, commit: str, number: int) -> tuple[str, str]:
    """A branch for one lever; one of that name that stands elsewhere belongs to an earlier try."""
    for name in (f"surefoot/{lever}", f"surefoot/{lever}-tick-{number}"):
        there = site.git.resolve(f"refs/heads/{name}")
        if there is None:
            site.git.move(name, commit, expected=None)
        if there in (None, commit):
            return name, commit
    raise Conflict(f"the branches for {lever} are all taken", hint="delete the ones you are done with")


def save_papers(site: Site, standing: Standing, texts: Mapping[str, str]) -> None:
    """Write the files where they lie; what a person saved meanwhile is kept."""
    for name, text in texts.items():
        before = standing.texts.get(name)
        if text == before:
            continue
        now = site.papers.read(name)
        person = None if now is None else decoded(name, now)
        if person == text:
            continue
        done = taken_in(name, text, person, [] if before is None else [before])
        if done is not None:
            site.papers.write(name, done.encode(), expected=now)
