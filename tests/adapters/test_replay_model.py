import gzip
import json
from pathlib import Path

import pytest

from surefoot.adapters.models.replay import Replay, load_recordings, recordings_of
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.proposal import Cost
from surefoot.ports import Question

ROWS = [
    {"case_id": "c1", "variant": "old", "output": "Sports", "success": False, "tokens_in": 90, "tokens_out": 10,
     "cost_usd": 0.02, "latency_s": 1.5},
    {"case_id": "c1", "variant": "new", "output": "World", "success": True},
    {"case_id": "c2", "variant": "new", "success": False},
]  # fmt: skip
LINES = [json.dumps(row) for row in ROWS]


def question(variant: str, case_id: str) -> Question:
    return Question(system="any", user="any", params={"variant": variant}, case_id=case_id)


async def test_each_variant_repeats_its_own_outcome() -> None:
    model = Replay(recordings_of(LINES))
    assert (await model.answer(question('"old"', "c1"))).text == "Sports"
    assert (await model.answer(question("new", "c1"))).text == "World"


async def test_a_bare_verdict_is_answered_as_a_word() -> None:
    assert (await Replay(recordings_of(LINES)).answer(question("new", "c2"))).text == "failure"


async def test_cost_and_latency_are_the_recorded_ones_and_known_before() -> None:
    model, asked = Replay(recordings_of(LINES)), question("old", "c1")
    answer = await model.answer(asked)
    assert answer.cost == model.price(asked) == Cost(calls=1, tokens=100, usd=0.02)
    assert (answer.latency_s, answer.finish) == (1.5, "stop")


@pytest.mark.parametrize(("variant", "case_id"), [("old", "c2"), ("other", "c1"), ("", "c1"), ("new", "")])
async def test_what_was_never_recorded_has_no_answer(variant: str, case_id: str) -> None:
    model = Replay(recordings_of(LINES))
    with pytest.raises(Unavailable) as refusal:
        await model.answer(question(variant, case_id))
    assert repr(case_id) in refusal.value.message
    assert "new, old" in refusal.value.hint
    assert model.price(question(variant, case_id)) == Cost()


def test_plain_and_compressed_files_hold_the_same_recordings(tmp_path: Path) -> None:
    text = "\n".join([*LINES, "", ""])
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    plain, packed = load_recordings(tmp_path / "rows.jsonl"), load_recordings(tmp_path / "rows.jsonl.gz")
    assert plain == packed == recordings_of(LINES)
    assert len(plain) == 3


@pytest.mark.parametrize("line", ["{", "[]", '{"case_id": "c"}', '{"case_id": "c", "variant": "v"}',
                                  '{"case_id": "c", "variant": "v", "success": "yes"}'])  # fmt: skip
def test_a_line_that_is_no_recording_is_named(line: str) -> None:
    with pytest.raises(Invalid, match="line 2"):
        recordings_of([LINES[0], line])


def test_a_second_outcome_of_the_same_pair_is_refused() -> None:
    with pytest.raises(Invalid, match="second outcome"):
        recordings_of([LINES[0], LINES[0]])
