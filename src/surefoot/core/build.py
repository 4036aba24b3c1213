"""A build: a version of an agent that is a program of its own, known by a version string and the hash of its content.

What is improved, rolled out, approved and rolled back is always one of our versions. A build is made one by a genome of
a single block that names it: equal builds are equal genomes, another content is another one, and a person who approves
sees both hashes. So nothing that handles versions has to know about processes. Decided in ADR 16; S1-21, S1-24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from surefoot.core.digest import canonical, digest
from surefoot.core.errors import Conflict, Invalid
from surefoot.core.genome import Block, Genome

BLOCK = "process"
MOST_REASONERS = 200
MOST_SCHEMA_BYTES = 16_384
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_HASH = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"A process of its own\.\nversion: ([^\n]+)\ncontent: ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoner:
    """A function that a build offers; the schemas are JSON Schema as its author wrote them."""

    name: str
    input_schema: Mapping[str, object] = field(default_factory=dict[str, object])
    output_schema: Mapping[str, object] = field(default_factory=dict[str, object])

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Invalid(
                f"the name {self.name!r} is not usable for a reasoner",
                hint="use 1 to 63 letters, digits, '_' or '-', starting with a letter or '_'",
            )
        if len(canonical([self.input_schema, self.output_schema]).encode("utf-8", "replace")) > MOST_SCHEMA_BYTES:
            raise Invalid(f"the schemas of {self.name} are too long", hint=f"use at most {MOST_SCHEMA_BYTES} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A version as its process announces it; `number` is that of our version, 0 before it has one.

    `content_hash` is the SHA-256 of what makes it this version: its prompt, its code, whatever its author counts in.
    """

    agent: str
    version: str
    content_hash: str
    reasoners: tuple[Reasoner, ...] = ()
    skills: tuple[Reasoner, ...] = ()
    number: int = 0

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise Invalid(
                f"the version {self.version!r} is not usable",
                hint="use 1 to 64 letters, digits, '.', '_', '+' or '-', such as 2.1.0",
            )
        if not _HASH.fullmatch(self.content_hash):
            raise Invalid("content_hash is not a SHA-256", hint="send 64 hexadecimal digits, or the content itself")
        offered = [one.name for one in (*self.reasoners, *self.skills)]
        if len(offered) > MOST_REASONERS or len(set(offered)) != len(offered):
            raise Invalid(
                f"{self.version} offers a name twice, or more than {MOST_REASONERS}",
                hint="give each reasoner and skill a name of its own",
            )

    @property
    def seal(self) -> str:
        """The hash of all that may not differ under one version string: the content, and what is offered."""
        return digest([self.content_hash, *(
            [[one.name, one.input_schema, one.output_schema] for one in kind] for kind in (self.reasoners, self.skills)
        )])  # fmt: skip

    def offer(self, name: str) -> Reasoner | None:
        """Give a reasoner or skill by its name, None where it offers no such thing."""
        return next((one for one in (*self.reasoners, *self.skills) if one.name == name), None)

    def path_of(self, name: str) -> str | None:
        """Give the path at which the process answers for a reasoner or a skill, None where it offers no such thing."""
        for word, kind in (("reasoners", self.reasoners), ("skills", self.skills)):
            if any(one.name == name for one in kind):
                return f"/{word}/{name}"
        return None


def genome_of(build: Build) -> Genome:
    """Give the genome under which a build is one of our versions."""
    text = f"A process of its own.\nversion: {build.version}\ncontent: {build.seal}"
    return Genome((Block(id=BLOCK, kind="section", text=text, pinned=True),))


def named_in(system: str) -> tuple[str, str] | None:
    """Give the version string and the seal that a genome of a build names, also as a rendered prompt; else None."""
    found = _TEXT.search(system)
    return None if found is None else (found[1], found[2])


def is_build(genome: Genome) -> bool:
    """Whether a genome stands for a process."""
    return any(block.id == BLOCK and named_in(block.text) is not None for block in genome.blocks)


def must_be_same(known: Build, offered: Build) -> None:
    """Raise Conflict when a version string comes again with other content: versions are immutable (S1-24)."""
    if known.seal == offered.seal:
        return
    what = "other content" if known.content_hash != offered.content_hash else "other reasoners or skills"
    raise Conflict(
        f"{known.agent} {known.version} is registered already, with {what} (v{known.number})",
        hint="a version never changes: give the new one a version string of its own",
    )
