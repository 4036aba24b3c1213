"""Texts of strangers in every field that a page shows, and words that would break a layout."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

from surefoot.core.backlog import Lever
from surefoot.core.edit import Edit
from surefoot.core.genome import Block, Genome
from surefoot.core.lesson import Lesson
from surefoot.core.proposal import Cost, Proposal
from surefoot.ports import Filed

SHARED = Path(__file__).parents[3] / "shared" / "data" / "probes"
MARK = "PWNED"
PAYLOADS = (
    f"<script>window.{MARK}=1</script>",
    f'"><img src=x onerror="window.{MARK}=1">',
    f"'><svg/onload=window.{MARK}=1>",
    f"javascript:window.{MARK}=1",
    f"{{{{ 7*7 }}}}{{% for x in y %}}<b>{MARK}</b>",
    f"</textarea><script>window.{MARK}=1</script>",
    f'" onfocus="window.{MARK}=1" autofocus x="',
    f"<!-- --><iframe srcdoc='<script>parent.{MARK}=1</script>'>",
    "\u202egnp.exe\u202c \u2066right\u2069 to left",
    "zero\u200bwidth\ufeff",
    "a" * 10_000,
    "ж" * 3_000,
    "\U0001f469\u200d\U0001f52c " * 50,
    "line\none\n\n\ntwo\ttab",
    "\x00\x07\x1b[31mred",
    f"<a hx-get='/logout' hx-trigger='load' hx-on:load='{MARK}=1'>x</a>",
    f"<template><script>{MARK}=1</script></template>",
    "]]>&amp;&lt;&#x3c;script&#x3e;",
    "ﷺ" * 200,
    "Z̷̢͎a̸l̶g̴o̵" * 60,
)


def probes(limit: int = 40) -> list[str]:
    """Texts of the shared probes, where they are; none elsewhere."""
    found: list[str] = []
    if not SHARED.is_dir():
        return found
    for path in sorted(SHARED.iterdir()):
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as lines:
            for line in [*lines][:: max(1, limit)][:limit]:
                row = json.loads(line)
                found += [value for value in row.values() if isinstance(value, str)]
    return found


def clean(text: str) -> str:
    """A text as the engine would let it in."""
    return text.replace("\x00", "")


def poison(tx: object, agent: str, texts: tuple[str, ...]) -> None:
    """Put hostile texts wherever an agent's story has words."""
    from dataclasses import replace
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    for at, raw in enumerate(texts):
        text = clean(raw)
        tx.lessons.add(Lesson(agent=agent, text=text, evidence=text[:300], tick=at, at=now))
        tx.levers.put(
            Lever(id=f"L-x{at}", agent=agent, gap=f"missed:{text}", title=text, impact=0.01, failures=3, note=text)
        )
        tx.levers.note(agent, f"L-x{at}", now, text)
        tx.audit.append(
            at=now,
            actor=text[:2000],
            action="hostile-" + text[:40],
            subject=f"{agent}/{text}",
            payload={"sentence": text, text[:100]: [text]},
        )
        tx.proposals.put(
            Filed(
                id=f"P-x{at}",
                agent=agent,
                tick=at,
                lever=f"L-x{at}",
                on=1,
                state="accepted",
                at=now,
                evidence={"sentence": text},
                proposal=Proposal(
                    improver=text[:200],
                    rationale=text,
                    cost=Cost(),
                    edits=(Edit(kind="add", target=f"x-{at}", text=text, gap=text, evidence=(text,)),),
                ),
            )
        )
    last = tx.versions.all(agent)[-1]
    genome = tx.versions.genome(last.genome)
    blocks = tuple(
        Block(id=f"x-{at}", kind="rule", text=clean(text) or "-", applies_to=(("slice", clean(text)),))
        for at, text in enumerate(texts)
    )
    digest = tx.versions.keep(Genome((*genome.blocks, *blocks)))
    tx.versions.add(
        replace(
            last,
            number=last.number + 1,
            genome=digest,
            parent=1,
            author=texts[0],
            rationale="\n".join(map(clean, texts)),
            state="candidate",
        ),
        tx.versions.genome(digest),
    )
    for one in tx.approvals.all(agent):
        tx.approvals.swap(
            one, replace(one, proposers=tuple(map(clean, texts[:12])), version=last.number + 1, version_digest=digest)
        )
    for one in tx.incidents.all(agent):
        tx.incidents.swap(replace(one, sentence=clean(" ".join(texts))))
    rollout = tx.rollouts.all(agent)[-1]
    tx.rollouts.swap(replace(rollout, forced_by=clean(texts[1]), reason=clean(texts[0])))


class Strict(HTMLParser):
    """Notes everything on a page that could run, load, or lead elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("img", "iframe", "template", "object", "embed", "base", "style", "marquee") or MARK.lower() in tag:
            self.found.append(f"<{tag}>")
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.found.append("a script of its own")
        for name, value in given.items():
            own = name == "hx-morph-skip"
            if not own and name.startswith(("on", "hx-", "style", "srcdoc", "formaction", "xlink")):
                self.found.append(f"{tag} {name}")
            if name in ("href", "src", "action") and not re.match(r"/(?!/)|[?#]", value):
                self.found.append(f"{tag} {name}={value[:60]}")


def inert(page: str) -> list[str]:
    """What on a page is not just words and places of ours."""
    strict = Strict()
    strict.feed(page)
    return strict.found
