"""The directory form of a genome: nothing is lost on the way, and a slip of the hand is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid
from surefoot.core.folder import MANIFEST, from_files, to_files
from surefoot.core.genome import BLOCK_KINDS, Block, Genome

NASTY = st.sampled_from((
    "", "\n", "\r\n", "a\r\nb\rc\n\n", "\x7f", "\\\x7f", '"""', "'''", '"\\u0041"', "\x00", "\x85\u2028",
    "\ufffe\U0010ffff", "# not a comment", "[[block]]", "id = 1", " lead and trail ", "\ttab", "\\", "\\n",
    "é" * 40, "= true",
))  # fmt: skip
TEXT = st.text(max_size=12) | NASTY
BLOCKS = st.builds(
    Block,
    id=st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,9}", fullmatch=True), kind=st.sampled_from(BLOCK_KINDS), text=TEXT,
    answer=TEXT, locked=st.booleans(), pinned=st.booleans(), learned_at=TEXT,
    applies_to=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple), evidence=st.lists(TEXT, max_size=2).map(tuple),
    worth=st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5),
)  # fmt: skip
GENOMES = st.lists(BLOCKS, max_size=4, unique_by=lambda block: block.id).map(lambda blocks: Genome(tuple(blocks)))


@given(GENOMES)
@example(Genome())
@example(
    Genome((Block(id="a", kind="section", text="\r\n\x7f'\"\\"), Block(id="b", kind="rule", text="\r\n\x7f'\"\\")))
)
def test_no_genome_loses_anything_on_the_way_through_a_directory(genome: Genome) -> None:
    again = from_files(to_files(genome))
    assert again == genome
    assert again.digest == genome.digest
    assert to_files(again) == to_files(genome)


@given(GENOMES)
def test_every_file_has_a_safe_name_and_can_be_written_as_utf8(genome: Genome) -> None:
    files = to_files(genome)
    assert set(files) == {MANIFEST} | {f"sections/{block.id}.md" for block in genome.of_kind("section")}
    for text in files.values():
        assert text.encode("utf-8").decode("utf-8") == text


def test_it_survives_a_real_disk(tmp_path: Path) -> None:
    genome = Genome((
        Block(id="role", kind="section", text="\r\nGrüße\r\n\n", locked=True),
        Block(id="r1", kind="rule", text='Say "yes"\n\x7f', applies_to=(("tenant", "a=b"),), worth=-0.25),
    ))  # fmt: skip
    for name, text in to_files(genome).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8", newline="")
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    read = {path.relative_to(tmp_path).as_posix(): path.read_bytes().decode("utf-8") for path in found}
    assert from_files(read) == genome


def test_people_can_read_it() -> None:
    files = to_files(Genome((
        Block(id="role", kind="section", text="You sort mail.\n", locked=True),
        Block(id="r1", kind="rule", text="Be brief.", applies_to=(("tenant", "bank"),)),
    )))  # fmt: skip
    assert files["sections/role.md"] == "You sort mail.\n"
    assert files[MANIFEST].startswith("# The genome of an agent")
    assert '[[block]]\nid = "role"\nkind = "section"\nlocked = true\nfile = "sections/role.md"\n' in files[MANIFEST]
    assert 'text = "Be brief."\napplies_to = [["tenant", "bank"]]\n' in files[MANIFEST]


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        ("[[block]\n", "cannot be read.*line 1"),
        ("[block]\nid = 'a'\n", "not a list of tables"),
        ("block = [1, 2]\n", "not a list of tables"),
        ("[[blocks]]\nid = 'a'\nkind = 'rule'\ntext = 'x'\n", "unknown table 'blocks'"),
        ("[[block]]\nid = 'a'\nkind = 'section'\nfile = 'sections/b.md'\n", "'a' names the file sections/b.md"),
        ("[[block]]\nid = 'a'\nkind = 'section'\nfile = 'sections/a.md'\ntext = 'x'\n", "both a text and a file"),
        ("[[block]]\nid = 'a'\nkind = 'rule'\n", "lacks the field 'text'"),
        ("[[block]]\nid = 'a'\nkind = 'rule'\ntext = 'x'\nlock = true\n", "unknown field 'lock'"),
        ("[[block]]\nid = 'a'\nkind = 'rule'\ntext = 'x'\nlocked = 'yes'\n", "'locked'"),
        ("[[block]]\nid = 'a'\nkind = 'rule'\ntext = 'x'\nlearned_at = 2026-01-01\n", "'learned_at'"),
        ("[[block]]\nid = 'a'\nkind = 'rule'\ntext = 'x'\nworth = nan\n", "worth"),
        (
            "[[block]]\nid = 'a'\nkind = 'rule'\ntext = 'x'\n[[block]]\nid = 'a'\nkind = 'rule'\ntext = 'x'\n",
            "two blocks",
        ),
    ],
)
def test_a_slip_of_the_hand_is_named_with_what_to_do(manifest: str, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint) as caught:
        from_files({MANIFEST: manifest, "sections/a.md": "text"})
    assert caught.value.hint


def test_a_directory_without_a_manifest_is_no_genome() -> None:
    with pytest.raises(Invalid, match=r"no agent\.toml"):
        from_files({"sections/a.md": "x"})


@given(st.text(max_size=80))
def test_no_manifest_makes_reading_fail_in_an_unexpected_way(manifest: str) -> None:
    try:
        genome = from_files({MANIFEST: manifest})
    except Invalid:
        return
    assert from_files(to_files(genome)) == genome
