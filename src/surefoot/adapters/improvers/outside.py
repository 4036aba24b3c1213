"""Improvers of other people: packages that offer one under the entry point group `surefoot.improvers`.

They are found without importing them. Each proposal is written by a process of its own that gets the brief as JSON and
gives a proposal as JSON: an empty home and working directory, an environment of the variables that the settings name,
no path of the store, walls (`cell.py`), a deadline after which all of its processes are ended, and a bound on what it
may print. What it answers is read strictly (`core.improver_wire`): all of it is used, or it is refused with a reason
and nothing of it is. An error is raised only while nothing can have been spent.
"""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from surefoot.adapters.improvers import cell, guest
from surefoot.adapters.processes import Ended, Walls, ran
from surefoot.core.budget import Budget
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.improver_wire import LONGEST_PROPOSAL, brief_document, read_proposal
from surefoot.core.proposal import Brief, Cost, Proposal

GROUP = "surefoot.improvers"
LARGEST_FILE = 16 * 2**20
GRACE_S = 1.0
# The most that one proposal may cost where its budget names no dollars.
USD = 0.50
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SYSTEM = (
    "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/lib", "/lib32", "/lib64", "/usr/share/zoneinfo",
    "/usr/share/ca-certificates", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf",
    "/etc/host.conf",
)  # fmt: skip
_WORDS = (sys.executable, "-I", "-S", "-B", "-X", "utf8", str(Path(guest.__file__).resolve()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An improver that an installed package offers: its name, `module:attribute`, and the package."""

    name: str
    entry: str
    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an improver gets: variables by name, TCP ports, seconds, megabytes; `required` walls must all stand."""

    env: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: tuple[int, ...] = ()
    timeout_s: float = 120.0
    memory_mb: int = 1024
    required: bool = False


def found() -> tuple[Found, ...]:
    """Give the improvers that installed packages offer, by name; nothing of them is imported."""
    offered = [
        Found(name=point.name, entry=point.value, package=point.dist.name if point.dist else "")
        for point in entry_points(group=GROUP)
    ]
    return tuple(sorted(set(offered), key=lambda one: (one.name, one.package, one.entry)))


def problem_of(one: Found, among: Sequence[Found], taken: Sequence[str]) -> str:
    """Say why an improver that was found cannot be used; empty if it can."""
    if not _NAME.fullmatch(one.name):
        return "its name must be 1 to 40 lower-case letters, digits, '-' or '_'"
    if one.name in taken:
        return f"Surefoot has an improver {one.name!r} of its own"
    if len({other.entry for other in among if other.name == one.name}) > 1:
        return "several packages offer an improver of this name"
    return ""


class Outside:
    """An improver of somebody else, each proposal in a process of its own; `store` is what it must not reach."""

    def __init__(self, one: Found, terms: Terms, *, store: Path) -> None:
        self._one = one
        self._terms = terms
        self._store = store

    @property
    def name(self) -> str:
        """The name under which its package offers it."""
        return self._one.name

    def price(self, budget: Budget) -> Cost:
        """Give the most it can cost: nothing without a way to a model, otherwise all of the budget."""
        if not self._terms.ports:
            return Cost()
        if budget.calls is None and budget.usd is None:
            raise Invalid("the improver's budget bounds neither calls nor USD", hint="set calls or usd in it")
        return Cost(calls=budget.calls or 0, tokens=budget.tokens or 0, usd=USD if budget.usd is None else budget.usd)

    async def propose(self, brief: Brief, budget: Budget) -> Proposal:
        """Give its edits, or none and the reason; Unavailable if a required wall cannot be put up."""
        most = self.price(budget)
        ended, printed = await self._ran(json.dumps(brief_document(brief, budget)).encode())
        if ended.code == guest.OPEN or (ended.code is None and not ended.late):
            why = _tail(ended.err) or ended.problem
            raise Unavailable(f"the improver {self.name!r} cannot be shut in: {why}",
                              hint='surefoot doctor names the walls; sandbox = "available" does without')  # fmt: skip
        if reason := _refused(ended, self._terms, printed):
            return self._nothing(reason, most)
        try:
            proposal = read_proposal(ended.out.decode("utf-8"), improver=self.name, brief=brief)
        except UnicodeDecodeError:
            return self._nothing("its proposal is not UTF-8", most)
        except Invalid as problem:
            return self._nothing(problem.message, most)
        if _beyond(proposal.cost, most, budget):
            return self._nothing("it says that it spent more than its budget", most)
        # Without a way out it can have called nothing that our budgets count.
        return proposal if self._terms.ports else replace(proposal, cost=Cost())

    def _nothing(self, reason: str, cost: Cost) -> Proposal:
        """Nothing of it is used. What was spent is not known, so all that was set aside counts as spent."""
        return Proposal(improver=self.name, edits=(), rationale=f"refused: {reason}", cost=cost)

    async def _ran(self, brief: bytes) -> tuple[Ended, str]:
        with _place() as place:
            asked = _asked(self._one.entry, self._terms, place, self._store)
            ended = await _run(asked, place, self._terms, brief)
            return ended, _printed(Path(place) / "work" / guest.PRINTED)


async def walls(store: Path) -> dict[str, str]:
    """Give for each wall why it does not stand on this machine, empty where it does; found out by leaning on it."""
    terms = Terms(timeout_s=20.0)
    with _place() as place:
        ended = await _run({**_asked("", terms, place, store), "probe": True}, place, terms, b"")
    try:
        told = cast("dict[str, str]", json.loads(ended.out))
    except ValueError:
        told = dict.fromkeys(cell.WALLS, f"it could not be tried: {ended.problem or _tail(ended.err)}")
    return {name: str(told.get(name, "")) for name in cell.WALLS}


@contextmanager
def _place() -> Generator[str]:
    """An empty home and an empty working directory, for one process."""
    with tempfile.TemporaryDirectory(prefix="surefoot-improver-") as place:
        for name in ("home", "work"):
            (Path(place) / name).mkdir()
        yield os.path.realpath(place)


def _asked(entry: str, terms: Terms, place: str, store: Path) -> dict[str, object]:
    path, source = _path(store), str(Path(guest.__file__).resolve().parents[3])
    standard = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    readable = [*standard, f"{sys.base_prefix}/lib", *_SYSTEM, source, *path]
    return {
        "entry": entry, "path": path, "source": source, "folder": place, "ports": list(terms.ports),
        "readable": [one for one in dict.fromkeys(map(os.path.realpath, readable)) if not _holds(one, store)],
        "cpu_s": max(1, round(terms.timeout_s)), "walls": list(cell.WALLS) if terms.required else [], "probe": False,
    }  # fmt: skip


def _path(store: Path) -> list[str]:
    """Where packages are imported from, but never a folder that the store is below, nor where Surefoot was started."""
    here = os.path.realpath(Path.cwd())
    real = [os.path.realpath(one) for one in sys.path if one]
    return [one for one in dict.fromkeys(real) if one != here and not _holds(one, store)]


def _holds(folder: str, store: Path) -> bool:
    return Path(os.path.realpath(store)).parent.is_relative_to(folder)


async def _run(asked: Mapping[str, object], place: str, terms: Terms, brief: bytes) -> Ended:
    flood = 0

    def too_much(chunk: bytes) -> bool:
        nonlocal flood
        flood += len(chunk)
        return flood > 2 * LONGEST_PROPOSAL

    home, work = f"{place}/home", f"{place}/work"
    env = {"PATH": "", "LANG": "C.UTF-8", **terms.env, "HOME": home, "TMPDIR": work}
    return await ran(
        [*_WORDS, json.dumps(asked)], folder=work, env=env, deadline_s=terms.timeout_s, stdin=brief, grace_s=GRACE_S,
        walls=Walls(network=bool(terms.ports), memory=terms.memory_mb * 2**20, file=LARGEST_FILE),
        cap=4 * LONGEST_PROPOSAL, watch=too_much,
    )  # fmt: skip


def _refused(ended: Ended, terms: Terms, printed: str) -> str:
    """Say why what came is no proposal; empty if it may be one."""
    if ended.late:
        return f"it gave no proposal within {terms.timeout_s:g} seconds, and was ended"
    if len(ended.out) > 2 * LONGEST_PROPOSAL:
        return f"it printed more than {2 * LONGEST_PROPOSAL} bytes, and was ended"
    said = _tail(ended.err) or printed
    if ended.code == guest.FOREIGN_IMPORT:
        return f"it cannot be imported: {said} (an improver must be installed, not lie beside the store)"
    if ended.code == guest.FOREIGN_ERROR:
        return f"it failed: {said}"
    if ended.code:
        how = f"was ended by signal {-ended.code}" if ended.code < 0 else f"ended with exit code {ended.code}"
        return f"it {how}{f': {said}' if said else ''}"
    if ended.left:
        return f"it left {ended.left} processes behind, which were ended"
    return ""


def _beyond(cost: Cost, most: Cost, budget: Budget) -> bool:
    if cost.usd > most.usd:
        return True
    bounded = (("calls", budget.calls), ("tokens", budget.tokens)) if most != Cost() else ()
    return any(limit is not None and getattr(cost, name) > limit for name, limit in bounded)


def _tail(said: bytes) -> str:
    text = " ".join(said[-2000:].decode("utf-8", "replace").split())
    return "".join(char for char in text if char.isprintable())[-300:]


def _printed(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 2000))
            return _tail(file.read(2000))
    except OSError:
        return ""
