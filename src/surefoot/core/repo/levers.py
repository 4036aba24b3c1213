"""Levers: `levers.md`, the ranked backlog, one `## L-001 title` block each.

The top lever is the open one of the highest value; of equal ones the cheaper, then the one further up. A block holds
`- key: value` lines (value, cost, scope, status), prose for whoever does it, and a log under `### Log` that only grows.
What is not a lever block (an introduction, notes) is left alone. Ids are never used twice (S0-08, S0-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from surefoot.core.errors import Invalid, NotFound
from surefoot.core.repo.outcome import Entry, entry, entry_line
from surefoot.core.repo.paper import Block, Paper, blocks, last_text, one_line, plain

FILE = "levers.md"
LeverStatus = Literal["open", "shipped", "failed", "closed"]
STATUSES: tuple[LeverStatus, ...] = get_args(LeverStatus)
_TITLE = re.compile(r"(L-\d{3,})[ \t]*[:.–—-]?[ \t]*(.*)")
_LIKE_ID = re.compile(r"L-?\s*\d")
_KEY = re.compile(r"[-*][ \t]+(value|cost|scope|status)[ \t]*:[ \t]*(.*?)[ \t]*", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,6}(\.\d{1,4})?")
TITLE_CHARS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoLever:
    """One ranked move: what it is worth and costs (any scale, larger is more), and the globs it may write.

    `text` is the prose for whoever does it; `log` are the entries that ticks left, oldest first; `line` is where the
    block begins, counted from 1.
    """

    id: str
    title: str
    value: float
    cost: float
    scope: tuple[str, ...]
    status: LeverStatus = "open"
    text: str = ""
    log: tuple[Entry, ...] = ()
    line: int = 0

    @property
    def tries(self) -> int:
        """How many ticks worked on it in vain since it was last shipped, reopened or moved by a person."""
        count = 0
        for one in self.log:
            count = 0 if one.outcome in ("shipped", "reopened") else count + one.in_vain
        return count


def levers(source: Paper) -> tuple[RepoLever, ...]:
    """Read `levers.md`, in the order of the file; Invalid names file, line and what to do."""
    found: list[RepoLever] = []
    lines = frozenset(plain(source))
    for block in blocks(source, 2):
        match = _TITLE.fullmatch(block.title)
        if match is None:
            if _LIKE_ID.match(block.title):
                raise source.wrong(block.start, f"{block.title[:40]!r} is no lever id", "write it as ## L-001 title")
            continue
        found.append(_lever(source, block, match[1], match[2].strip(), lines))
    _unique(source, found)
    return tuple(found)


def _unique(source: Paper, found: Sequence[RepoLever]) -> None:
    seen: set[str] = set()
    for lever in found:
        if lever.id in seen:
            raise source.wrong(lever.line - 1, f"{lever.id} is there twice", f"give it a new id: {fresh_id(found)}")
        seen.add(lever.id)


def _lever(source: Paper, block: Block, name: str, title: str, lines: frozenset[int]) -> RepoLever:
    if not title:
        raise source.wrong(block.start, f"{name} has no title", f"write it as ## {name} what is to be done")
    fields = _fields(source, block, lines)
    log_at = _log_start(source, block, lines)
    return RepoLever(
        id=name, title=title, line=block.start + 1,
        value=_number(source, block, fields, "value"), cost=_number(source, block, fields, "cost"),
        scope=_scope(source, block, fields), status=_status(source, fields),
        text=_text(source, block, fields, log_at), log=_log(source, block, log_at),
    )  # fmt: skip


def _fields(source: Paper, block: Block, lines: frozenset[int]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for at in range(block.start + 1, block.end):
        line = source.bare(at)
        if line.startswith("###"):
            break
        if at in lines and (match := _KEY.fullmatch(line)):
            key = match[1].lower()
            if key in found:
                raise source.wrong(at, f"{key} is said twice", "keep one of the two lines")
            found[key] = (match[2], at)
    return found


def _number(source: Paper, block: Block, fields: dict[str, tuple[str, int]], key: str) -> float:
    if key not in fields:
        raise source.wrong(block.start, f"the lever has no {key}", f"add a line: - {key}: 1")
    text, at = fields[key]
    if not _NUMBER.fullmatch(text) or (key == "cost" and float(text) == 0):
        raise source.wrong(at, f"the {key} {text[:40]!r} is no number", f"write a number, such as - {key}: 3")
    return float(text)


def _scope(source: Paper, block: Block, fields: dict[str, tuple[str, int]]) -> tuple[str, ...]:
    text, at = fields.get("scope", ("", block.start))
    globs = tuple(one for part in text.split(",") if (one := part.strip().strip("`")))
    if not globs:
        raise source.wrong(at, "the lever has no scope", "add a line: - scope: src/**, tests/** (what it may change)")
    for glob in globs:
        if glob.startswith(("/", "~", "!")) or ".." in glob.split("/") or "\\" in glob:
            raise source.wrong(
                at, f"the scope {glob[:60]!r} leaves the repository", "write paths below its top, with /"
            )
    return globs


def _status(source: Paper, fields: dict[str, tuple[str, int]]) -> LeverStatus:
    text, at = fields.get("status", ("open", 0))
    for status in STATUSES:
        if text.lower() == status:
            return status
    raise source.wrong(at, f"the status {text[:40]!r} is unknown", f"write one of: {', '.join(STATUSES)}")


def _log_start(source: Paper, block: Block, lines: frozenset[int]) -> int:
    heads = (at for at in range(block.start + 1, block.end) if at in lines and _is_log(source.bare(at)))
    return next(heads, block.end)


def _is_log(line: str) -> bool:
    return re.fullmatch(r"###[ \t]+log[ \t]*", line, re.IGNORECASE) is not None


def _text(source: Paper, block: Block, fields: dict[str, tuple[str, int]], log_at: int) -> str:
    taken = {at for _, at in fields.values()}
    kept = (source.bare(at) for at in range(block.start + 1, log_at) if at not in taken)
    return "\n".join(kept).strip()


def _log(source: Paper, block: Block, log_at: int) -> tuple[Entry, ...]:
    read = (entry(source.bare(at)) for at in range(log_at + 1, block.end))
    return tuple(one for one in read if one is not None)


def order(lever: RepoLever) -> tuple[float, float]:
    """Give what levers are ranked by: the highest value first, then the lowest cost."""
    return (-lever.value, lever.cost)


def top_open(found: Iterable[RepoLever], *, without: Iterable[str] = ()) -> RepoLever | None:
    """Give the open lever to work on; of equal ones the one further up in the file."""
    left_out = set(without)
    return min((one for one in found if one.status == "open" and one.id not in left_out), key=order, default=None)


def named(found: Iterable[RepoLever], name: str) -> RepoLever:
    """Give a lever by its id; NotFound lists those there are."""
    listed = tuple(found)
    for lever in listed:
        if lever.id.casefold() == name.casefold():
            return lever
    known = ", ".join(lever.id for lever in listed) or "none"
    raise NotFound(f"there is no lever {name!r} in {FILE}", hint=f"levers: {known}")


def fresh_id(found: Iterable[RepoLever]) -> str:
    """Give the id after the highest one."""
    return f"L-{max((int(lever.id[2:]) for lever in found), default=0) + 1:03d}"


def added(
    source: Paper, title: str, *, value: float, cost: float, scope: Sequence[str], text: str = ""
) -> tuple[Paper, str]:  # fmt: skip
    """Give the paper with one more open lever at its end, and the lever's id; Invalid when it could not be read."""
    found = levers(source)
    name, line = fresh_id(found), one_line(title, TITLE_CHARS)
    if not line:
        raise Invalid("a lever needs a title", hint='surefoot levers add "what is to be done"')
    fresh = [f"## {name} {line}", "", f"- value: {value:g}", f"- cost: {cost:g}", f"- scope: {', '.join(scope)}"]
    fresh += ["- status: open", *(["", *(_prose_line(one) for one in text.splitlines())] if text.strip() else [])]
    gap = [""] if source.lines and source.bare(len(source.lines) - 1).strip() else []
    changed = source.inserted(len(source.lines), [*gap, *fresh])
    levers(changed)
    return changed, name


def _prose_line(line: str) -> str:
    """A line of prose that is read neither as a heading nor as a field of the lever."""
    return f" {line}" if line.startswith("#") or _KEY.fullmatch(line) else line


def logged(source: Paper, name: str, note: Entry, *, status: LeverStatus | None = None) -> Paper:
    """Give the paper with an entry at the end of a lever's log, and its status set; an entry is added only once."""
    changed = source if status is None else moved(source, name, status)
    block = _block(changed, name)
    if entry(entry_line(note)) in named(levers(changed), name).log:
        return changed
    lines = frozenset(plain(changed))
    at = last_text(changed, block)
    if _log_start(changed, block, lines) == block.end:
        return changed.inserted(at, ["", "### Log", "", entry_line(note)])
    return changed.inserted(at, [entry_line(note)])


def moved(source: Paper, name: str, status: LeverStatus) -> Paper:
    """Give the paper with another status for a lever."""
    block = _block(source, name)
    fields = _fields(source, block, frozenset(plain(source)))
    if "status" not in fields:
        return source.inserted(fields["scope"][1] + 1, [f"- status: {status}"])
    at = fields["status"][1]
    if fields["status"][0].lower() == status:
        return source
    return source.replaced(at, re.sub(r"(:[ \t]*)\S.*?([ \t]*)$", rf"\g<1>{status}\g<2>", source.bare(at)))


def valued(source: Paper, name: str, *, value: float | None = None, cost: float | None = None) -> Paper:
    """Give the paper with another value or cost for a lever."""
    changed = source
    for key, number in (("value", value), ("cost", cost)):
        if number is not None:
            at = _fields(changed, _block(changed, name), frozenset(plain(changed)))[key][1]
            changed = changed.replaced(at, re.sub(r"(:[ \t]*)\S+", rf"\g<1>{number:g}", changed.bare(at), count=1))
    levers(changed)
    return changed


def ranked(source: Paper) -> Paper:
    """Give the paper with its lever blocks in the order in which they would be taken: open ones first.

    Whole blocks change places with their bytes; what stands between them stays where it is. A last block without a
    line end gets one, so that no two lines grow together.
    """
    found = levers(source)
    places = [_block(source, lever.id) for lever in found]
    by_rank = sorted(found, key=lambda one: (one.status != "open", *order(one)))
    if [one.id for one in by_rank] == [one.id for one in found]:
        return source
    texts = {lever.id: _whole(source, place) for lever, place in zip(found, places, strict=True)}
    lines: list[str] = []
    at = 0
    for place, lever in zip(places, by_rank, strict=True):
        lines += [*source.lines[at : place.start], *texts[lever.id]]
        at = place.end
    return Paper(name=source.name, lines=(*lines, *source.lines[at:]))


def _whole(source: Paper, place: Block) -> list[str]:
    """The lines of a block, closed by a line end and a blank line, because it may get another neighbour."""
    lines = list(source.lines[place.start : place.end])
    if not lines[-1].endswith("\n"):
        lines[-1] += source.newline
    if lines[-1].strip():
        lines.append(source.newline)
    return lines


def _block(source: Paper, name: str) -> Block:
    line = named(levers(source), name).line - 1
    return next(block for block in blocks(source, 2) if block.start == line)


def last_tick(found: Iterable[RepoLever]) -> int:
    """Give the highest tick number that any log knows."""
    return max((one.tick for lever in found for one in lever.log), default=0)


def entries(found: Iterable[RepoLever]) -> tuple[tuple[str, Entry], ...]:
    """Give all log entries with their lever's id, oldest first."""
    noted = [(lever.id, one) for lever in found for one in lever.log]
    return tuple(sorted(noted, key=lambda pair: (pair[1].tick, pair[1].at)))


def by_hand(at: datetime, what: Literal["closed", "reopened"], who: str, why: str) -> Entry:
    """Give the log entry of something that a person did."""
    return Entry(at=at, tick=0, outcome=what, detail=one_line(f"by {who}" + (f": {why}" if why else ""), 300))
