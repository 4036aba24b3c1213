"""The four files: read strictly, changed line by line, every other byte kept."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Invalid, NotFound
from surefoot.core.repo import lessons as lesson_file
from surefoot.core.repo import levers as lever_file
from surefoot.core.repo import strategy as genome_file
from surefoot.core.repo import templates
from surefoot.core.repo.merge import Clash, merged
from surefoot.core.repo.outcome import OUTCOMES, Entry, entry, entry_line
from surefoot.core.repo.paper import blocks, decoded, paper

NOW = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
PIECES = [*"ab c#-:`~<>!\t\r\n", "é", "—", "\ufeff", "\u2028", "\x0c", "## ", "```\n", "- ", "<!--", "-->"]
prose = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
ends = st.sampled_from(["\n", "\r\n"])


def genome(text=""):
    return paper("genome.md", text or templates.genome_text("Make it good"))


def backlog(*rows, end="\n"):
    text = templates.levers_text()
    for name, value, cost, status in rows:
        text += f"\n## {name} Do {name}\n\n- value: {value}\n- cost: {cost}\n"
        text += f"- scope: src/**\n- status: {status}\n\nWords.\n"
    return paper("levers.md", text.replace("\n", end))


def note(outcome="shipped", tick=1, **given):
    return Entry(at=NOW + timedelta(minutes=tick), tick=tick, outcome=outcome, **given)


@given(prose)
def test_reading_and_writing_a_paper_gives_back_every_byte(text):
    assert paper("x.md", text).text == text


@given(prose, prose, ends, st.integers(0, 3))
def test_a_log_entry_adds_lines_and_changes_no_other_byte(before, between, end, which):
    names = [f"L-00{n}" for n in range(1, 5)]
    text = backlog(*((name, 3, 1, "open") for name in names), end=end).text.replace("Words.", f"Words{between} .")
    source = paper("levers.md", text)
    try:
        found = lever_file.levers(source)
    except Invalid:
        return
    if [lever.id for lever in found] != names:
        return
    after = lever_file.logged(source, names[which], note("gate_failed", what="test", detail="2 failed"))
    kept = list(after.lines)
    fresh = [line for line in kept if "gate_failed (test)" in line]
    assert len(fresh) == 1
    for line in [fresh[0], *(["### Log" + end, end, end] if len(kept) - len(source.lines) > 1 else [])]:
        kept.remove(line)
    assert sorted(kept) == sorted(source.lines)
    assert lever_file.levers(after)[which].log[-1].outcome == "gate_failed"
    assert [one for at, one in enumerate(lever_file.levers(after)) if at != which and one.log] == []


@given(ends)
def test_a_file_with_windows_line_ends_keeps_them_everywhere(end):
    source = backlog(("L-001", 3, 1, "open"), end=end)
    after = lever_file.logged(source, "L-001", note(), status="shipped")
    assert all(line.endswith(end) and (end == "\r\n" or "\r" not in line) for line in after.lines)
    assert lever_file.levers(after)[0].status == "shipped"


def test_a_last_line_without_an_end_is_not_glued_to_what_is_added():
    source = paper("levers.md", backlog(("L-001", 3, 1, "open")).text.rstrip("\n"))
    after = lever_file.logged(source, "L-001", note())
    assert after.text.startswith(source.text + "\n")
    assert not after.text.endswith("\n")


def test_the_same_entry_is_logged_once_however_often_a_killed_tick_repeats_it():
    once = lever_file.logged(
        backlog(("L-001", 3, 1, "open")), "L-001", note(what="a(b)c", detail="x"), status="shipped"
    )
    assert lever_file.logged(once, "L-001", note(what="a(b)c", detail="x"), status="shipped").text == once.text


states = st.sampled_from(["open", "shipped", "failed", "closed"])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5), states), min_size=1, max_size=6))
def test_ranking_puts_first_what_would_be_taken_first_and_loses_no_line(rows):
    source = backlog(*((f"L-{n:03d}", *row) for n, row in enumerate(rows, 1)))
    after = lever_file.ranked(source)
    before, now = lever_file.levers(source), lever_file.levers(after)
    assert sorted(one.id for one in now) == sorted(one.id for one in before)
    assert {one.id: (one.value, one.text, one.status) for one in now} == {
        one.id: (one.value, one.text, one.status) for one in before
    }
    top = lever_file.top_open(before)
    assert top is None or (now[0].id == top.id)
    assert lever_file.ranked(after).text == after.text


def test_the_top_lever_is_the_open_one_of_the_highest_value_then_the_cheaper_then_the_upper():
    rows = (("L-001", 5, 2, "open"), ("L-002", 9, 1, "closed"), ("L-003", 5, 1, "open"), ("L-004", 5, 1, "open"))
    found = lever_file.levers(backlog(*rows))
    assert lever_file.top_open(found).id == "L-003"
    assert lever_file.top_open(found, without=["L-003"]).id == "L-004"
    assert lever_file.top_open(found, without=["L-001", "L-003", "L-004"]) is None


def test_an_example_in_a_comment_or_a_code_block_is_no_lever():
    source = paper(
        "levers.md", templates.levers_text() + "\n```\n## L-009 not one\n```\n\n~~~\n## L-008 nor this\n~~~\n"
    )
    assert lever_file.levers(source) == ()
    assert lever_file.fresh_id(()) == "L-001"


def test_an_added_lever_is_read_back_and_the_rest_of_the_file_stays():
    source = backlog(("L-007", 3, 1, "closed"))
    after, name = lever_file.added(
        source, "A\ntitle # odd", value=2.5, cost=1, scope=["src/**", "t/*"], text="# Why\nso"
    )
    assert name == "L-008"
    assert after.text.startswith(source.text)
    read = lever_file.named(lever_file.levers(after), "l-008")
    assert (read.title, read.value, read.scope, read.text) == ("A title # odd", 2.5, ("src/**", "t/*"), "# Why\nso")


def test_a_value_and_a_status_are_changed_in_place():
    source = backlog(("L-001", 3, 1, "Open"))
    after = lever_file.moved(lever_file.valued(source, "L-001", value=7, cost=0.5), "L-001", "closed")
    read = lever_file.levers(after)[0]
    assert (read.value, read.cost, read.status) == (7, 0.5, "closed")
    assert len(after.lines) == len(source.lines)


@pytest.mark.parametrize(("broken", "line", "says"), [
    ("## L-1 x\n", 1, "no lever id"),
    ("## L-001\n- value: 1\n", 1, "no title"),
    ("## L-001 x\n- cost: 1\n- scope: a\n", 1, "no value"),
    ("## L-001 x\n- value: many\n- cost: 1\n- scope: a\n", 2, "no number"),
    ("## L-001 x\n- value: 1\n- cost: 0\n- scope: a\n", 3, "no number"),
    ("## L-001 x\n- value: 1\n- cost: 1\n", 1, "no scope"),
    ("## L-001 x\n- value: 1\n- cost: 1\n- scope: ../a\n", 4, "leaves the repository"),
    ("## L-001 x\n- value: 1\n- cost: 1\n- scope: /etc/**\n", 4, "leaves the repository"),
    ("## L-001 x\n- value: 1\n- cost: 1\n- scope: a\n- status: done\n", 5, "unknown"),
    ("## L-001 x\n- value: 1\n- cost: 1\n- scope: a\n- value: 2\n", 5, "twice"),
    ("## L-001 x\n- value: 1\n- cost: 1\n- scope: a\n\n## L-001 y\n- value: 1\n- cost: 1\n- scope: a\n", 6, "twice"),
])  # fmt: skip
def test_a_broken_lever_is_named_with_file_line_and_hint(broken, line, says):
    with pytest.raises(Invalid, match=says) as caught:
        lever_file.levers(paper("levers.md", broken))
    assert caught.value.message.startswith(f"levers.md, line {line}: ")
    assert caught.value.hint


@pytest.mark.parametrize(("broken", "line", "says"), [
    ("", 1, "front matter is missing"),
    ("# x\n", 1, "front matter is missing"),
    ("---\nversion: v001\n", 1, "not closed"),
    ("---\nversion: 1\n---\n", 2, "'1'"),
    ("---\nversion: v000\n---\n", 2, "'v000'"),
    ("---\nnonsense\n---\n", 2, "no key: value"),
    ("---\nversion: v001\nversion: v002\n---\n", 3, "twice"),
    ("---\nversion: v001\n---\n## Mission\n\n## Focus\n## Proven\n## Next\n", 4, "mission is empty"),
    ("---\nversion: v001\n---\n## Mission\nx\n## Focus\n## Next\n", 7, "no section ## Proven"),
    ("---\nversion: v001\n---\n## Mission\nx\n## Focus\n## Proven\n## Next\n## Focus\n", 9, "second section"),
])  # fmt: skip
def test_a_broken_genome_is_named_with_file_line_and_hint(broken, line, says):
    with pytest.raises(Invalid, match=says) as caught:
        genome_file.strategy(paper("genome.md", broken))
    assert caught.value.message.startswith(f"genome.md, line {line}: ")
    assert caught.value.hint


def test_bytes_that_are_no_text_are_named_with_their_line():
    with pytest.raises(Invalid, match=r"genome\.md, line 2: not UTF-8"):
        decoded("genome.md", b"---\n\xff\n")
    with pytest.raises(Invalid, match=r"line 2: it holds a NUL"):
        paper("genome.md", "a\n\x00")


def test_the_genome_goes_up_only_when_the_strategy_changed():
    first, bumped = genome_file.marked(genome())
    assert not bumped
    assert genome_file.strategy(first).name == "v001"
    worked = genome_file.proved(first, "L-001 works")
    assert genome_file.marked(worked) == (worked, False)
    spaced = paper("genome.md", worked.text.replace("Make it good", "Make  it\n good"))
    assert genome_file.marked(spaced) == (spaced, False)
    edited = paper("genome.md", worked.text.replace("Make it good", "Make it fast"))
    second, bumped = genome_file.marked(edited)
    assert bumped
    assert genome_file.strategy(second).name == "v002"
    assert genome_file.marked(second) == (second, False)


@given(prose, ends)
def test_marking_and_proving_keep_every_line_of_a_person(words, end):
    text = templates.genome_text("Make it good").replace("## Proven", f"## Proven\n\n{words}\n\n").replace("\n", end)
    source = paper("genome.md", text)
    try:
        genome_file.strategy(source)
    except Invalid:
        return
    after, _ = genome_file.marked(genome_file.proved(source, "It *works*"))
    rest = list(after.lines)
    for line in source.lines:
        rest.remove(line)
    assert [line.strip() for line in rest if line.strip()] in (
        ["- It *works*", f"strategy: {genome_file.strategy(after).digest}"],
        [f"strategy: {genome_file.strategy(after).digest}", "- It *works*"],
    )


def test_a_new_focus_replaces_the_old_one_and_bumps_once():
    first, _ = genome_file.marked(genome())
    second, bumped = genome_file.marked(genome_file.refocused(first, focus="Speed\n## Proven", following="Docs"))
    read = genome_file.strategy(second)
    assert bumped
    assert (read.version, read.focus, read.next) == (2, "Speed ## Proven", "- Docs")


def test_lessons_only_grow_and_a_lesson_is_learned_once():
    first = paper("loop-prompt.md", templates.prompt_text())
    assert [one.text for one in lesson_file.lessons(first)] == list(lesson_file.SEEDED)
    fresh = lesson_file.RepoLesson(text="Run make first\n## Gates", who="tick 3", evidence="L-001 [x]")
    second = lesson_file.learned(first, fresh)
    assert lesson_file.append_only(first, second)
    assert not lesson_file.append_only(second, first)
    assert lesson_file.learned(second, fresh) == second
    read = lesson_file.lessons(second)[-1]
    assert (read.text, read.tick, read.evidence) == ("Run make first ## Gates", 3, "L-001 (x)")
    assert [block.title for block in blocks(second, 2)] == ["Tick", "Gates", "Lessons"]


def test_the_prompt_gets_the_seeds_and_the_nearest_lessons_up_to_the_cap():
    taught = [lesson_file.RepoLesson(text=f"Topic {n} about parsers{n}", who=f"tick {n}") for n in range(1, 40)]
    seeds = [lesson_file.RepoLesson(text=one, who="seed") for one in lesson_file.SEEDED]
    picked = lesson_file.chosen([*seeds, *taught], "work on parsers17", cap=6)
    assert len(picked) == 6
    assert picked[:4] == tuple(seeds)
    assert taught[16] in picked


def test_lessons_that_say_the_opposite_are_flagged_and_both_kept():
    one = lesson_file.RepoLesson(text="Always run the database migration before the tests")
    other = lesson_file.RepoLesson(text="Never run the database migration before the tests", who="tick 4")
    third = lesson_file.RepoLesson(text="Never push images to the registry")
    assert lesson_file.conflicts([one, other, third]) == ((one, other),)


def test_a_missing_lessons_section_is_named():
    with pytest.raises(Invalid, match=r"loop-prompt\.md, line 1: there is no section ## Lessons"):
        lesson_file.lessons(paper("loop-prompt.md", "# x\n"))


@given(st.sampled_from([*OUTCOMES, "closed", "reopened", "rolled_back"]), st.integers(0, 999),
       st.text(max_size=20), st.text(max_size=40))  # fmt: skip
def test_an_entry_of_a_log_is_read_back(outcome, tick, what, detail):
    from surefoot.core.repo.paper import one_line

    one = Entry(at=NOW, tick=tick, outcome=outcome, what=one_line(what, 20).replace("(", "").replace(")", "").strip(),
                detail=one_line(detail, 40))  # fmt: skip
    assert entry(entry_line(one)) == one


def test_prose_in_a_log_is_no_entry():
    assert entry("- I looked at it, it is fine") is None
    assert entry("- 2026-13-45 99:00 tick 1 shipped") is None
    assert entry("- 2026-11-21 07:00 tick 1 sailed") is None


lines = st.lists(st.sampled_from("abcdef"), max_size=7)


@given(lines, lines, lines)
def test_a_merge_is_a_clash_or_keeps_what_each_side_added(before, loop, person):
    texts = ["".join(f"{line}\n" for line in side) for side in (before, loop, person)]
    done = merged(*texts)
    if isinstance(done, Clash):
        assert before not in (loop, person)
        assert 1 <= done.line <= len(person) + 1
        return
    for side in (loop, person):
        for line in "abcdef":
            if side.count(line) > before.count(line) and line not in before:
                assert line in done
    if loop == before:
        assert done == texts[2]
    if person == before:
        assert done == texts[1]


def test_a_person_s_new_value_and_the_loop_s_log_are_merged():
    before = backlog(("L-001", 3, 1, "open"), ("L-002", 2, 1, "open"))
    loop = lever_file.logged(before, "L-001", note(), status="shipped").text
    person = lever_file.added(lever_file.valued(before, "L-002", value=8), "New", value=1, cost=1, scope=["x"])[0].text
    done = lever_file.levers(paper("levers.md", merged(before.text, loop, person)))
    assert [(one.id, one.value, one.status) for one in done] == [
        ("L-001", 3, "shipped"), ("L-002", 8, "open"), ("L-003", 1, "open"),
    ]  # fmt: skip
    assert done[0].log[0].tick == 1


def test_the_same_line_changed_twice_is_a_clash_that_names_it():
    assert merged("a\nb\nc\n", "a\nx\nc\n", "a\ny\nc\n") == Clash(line=2)


def test_who_asks_for_a_lever_that_is_not_there_is_told_which_are():
    with pytest.raises(NotFound, match="L-404") as caught:
        lever_file.moved(backlog(("L-001", 3, 1, "open")), "L-404", "closed")
    assert "L-001" in caught.value.hint
