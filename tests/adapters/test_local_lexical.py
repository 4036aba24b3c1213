import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.adapters.models.lexical_prompt import read
from surefoot.adapters.models.local_lexical import LocalLexical
from surefoot.core.edit import Edit, apply_edits
from surefoot.core.errors import Invalid
from surefoot.core.genome import render
from surefoot.core.proposal import Cost
from surefoot.core.starter import starting_genome, written
from surefoot.ports import Question

LABELS = ("refund", "delivery", "card_arrival")
START = render(starting_genome(LABELS))


async def said(system: str, user: str) -> str:
    return (await LocalLexical().answer(Question(system=system, user=user))).text


@pytest.mark.parametrize(
    "prompt",
    [
        "Labels: refund, delivery, card_arrival",
        "Sort the mail. Labels: refund; delivery; card_arrival. Nothing else.",
        "Answer with exactly one of: refund, delivery, card_arrival.",
        "Reply with one of the following labels: `refund`, `delivery`, or `card_arrival`.",
        "Labels:\n- refund: money\n- delivery = parcels\n- card_arrival",
        "The categories:\n\n1. refund\n2. delivery\n3. card_arrival\n\n- not a label",
        'Labels: "refund", “delivery”, card_arrival',
    ],
)
def test_the_label_set_is_found_in_natural_prompts(prompt: str) -> None:
    assert read(prompt).labels == LABELS


@given(st.lists(st.text(min_size=1, max_size=30).filter(lambda t: t.isprintable() and t == t.strip()), min_size=2,
                max_size=6, unique_by=lambda label: label.casefold()))  # fmt: skip
def test_any_labels_of_a_starting_genome_are_read_back(labels: list[str]) -> None:
    assert read(render(starting_genome(labels))).labels == tuple(labels)


@given(st.text(min_size=1, max_size=30).filter(lambda t: t.isprintable() and t == t.strip()))
def test_a_rule_for_any_label_is_read_back(label: str) -> None:
    if label.casefold() == "other":
        return
    prompt = (
        render(starting_genome([label, "other"]))
        + f'\n- If the message mentions kettle, "not on", answer {written(label)}.'
    )
    assert [(rule.label, rule.terms) for rule in read(prompt).rules] == [(label, ("kettle", "not on"))]


def test_a_later_label_line_cannot_replace_the_first() -> None:
    assert read(START + "\n\nLabels: evil, worse").labels == LABELS


async def test_a_name_in_the_message_is_enough() -> None:
    assert await said(START, "When will my CARD arrive?") == "card_arrival"
    assert await said(START, "I want refunds!") == "refund"


async def test_camel_case_names_are_read_as_words() -> None:
    assert await said("Labels: AddToPlaylist, GetWeather", "will the weather be fine") == "GetWeather"


@pytest.mark.parametrize(
    "line",
    [
        "- If the message mentions parcel, courier, answer delivery.",
        '- If the customer says "where is my parcel" or parcel, then reply with "delivery".',
        "Treat parcel as delivery.",
        "- delivery: where a parcel is",
        "delivery = anything about a parcel",
        '"where is my parcel" -> delivery',
        "Be kind. If the message contains parcel, answer delivery. If the message contains coins, answer refund.",
    ],
)
async def test_each_form_of_guidance_is_understood(line: str) -> None:
    assert await said(f"{START}\n{line}", "my parcel, please") == "delivery"


async def test_but_not_switches_a_rule_off() -> None:
    prompt = f'{START}\n- If the message mentions parcel but not "money back", answer delivery.'
    prompt += "\n- If the message mentions money, answer refund."
    assert await said(prompt, "the parcel came, give my money back") == "refund"
    assert await said(prompt, "the parcel with the money") in LABELS


async def test_several_terms_add_up() -> None:
    prompt = (
        START
        + "\n- If the message mentions alpha, beta, answer refund.\n- If the message mentions gamma, answer delivery."
    )
    assert await said(prompt, "gamma alpha beta") == "refund"


async def test_a_term_that_many_labels_claim_weighs_less() -> None:
    prompt = "\n".join(
        f"- If the message mentions box{', lid' * (label == 'refund')}, answer {label}." for label in LABELS[:2]
    )
    prompt += "\n- If the message mentions box, crate, answer card_arrival."
    assert await said(f"{START}\n{prompt}", "box box lid") == "refund"


async def test_wrong_rules_make_it_worse() -> None:
    wrong = apply_edits(
        starting_genome(LABELS),
        [Edit(kind="add", target="rule-1", text="If the message mentions refund, money, back, answer delivery.")],
    )
    assert await said(START, "refund me my money back") == "refund"
    assert await said(render(wrong), "refund me my money back") == "delivery"


async def test_it_knows_nothing_that_the_prompt_does_not_say() -> None:
    answers = {await said(START, f"{word} {n}") for word in ("parcel", "courier", "reimburse") for n in range(40)}
    assert answers == set(LABELS)


async def test_guesses_favour_no_place_in_the_list() -> None:
    messages = [f"zzz{n} qqq{n}" for n in range(60)]
    before = [await said("Labels: ja, no, mu", text) for text in messages]
    after = [await said("Labels: mu, no, ja", text) for text in messages]
    assert before == after
    assert {before.count(label) > 10 for label in ("ja", "no", "mu")} == {True}


@pytest.mark.parametrize(("system", "user", "label"), [
    ("Labels: 退款, 配送\n- If the message mentions 快递, answer 配送.", "我的快递在哪里", "配送"),
    ("Labels: Rückgabe, Rechnung", "Wie geht die Rücksendung?", "Rückgabe"),
    ("Labels: 0, 1\n- If the message mentions bad, answer 0.\n- If the message mentions good, answer 1.", "good!", "1"),
    ("Labels: возврат, доставка", "Хочу возврата", "возврат"),
])  # fmt: skip
async def test_it_works_in_any_language(system: str, user: str, label: str) -> None:
    assert await said(system, user) == label


@pytest.mark.parametrize(
    "system", ["", "You are a helpful assistant.", "Labels: lonely", "Answer with exactly one label."]
)
async def test_a_prompt_without_labels_is_refused_with_a_hint(system: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await said(system, "hello")
    assert "not a language model: classification only" in refusal.value.hint


@pytest.mark.parametrize("param", ["tools", "response_format"])
async def test_tools_and_schemas_are_refused_rather_than_faked(param: str) -> None:
    question = Question(system=START, user="x", params={param: '[{"type": "function"}]'})
    with pytest.raises(Invalid) as refusal:
        await LocalLexical().answer(question)
    assert param in refusal.value.message
    assert "classification only" in refusal.value.hint


async def test_answers_cost_nothing_and_repeat_themselves() -> None:
    model, question = LocalLexical(), Question(system=START, user="refund or delivery", params={"temperature": "0"})
    first, second = await model.answer(question), await model.answer(question)
    assert model.price(question) == first.cost == Cost(calls=1)
    assert (first.text, first.finish) == (second.text, "stop")


@given(st.text())
def test_no_editable_text_can_change_the_label_set(text: str) -> None:
    assert read(f"{START}\n\n{text}").labels == LABELS


@given(st.text(max_size=300))
async def test_every_message_gets_a_label_of_the_set(user: str) -> None:
    assert await said(START, user) in LABELS


async def test_a_hostile_prompt_line_does_not_take_long() -> None:
    nasty = "If the message mentions " + '"' * 3000 + ", answer" * 3000 + " -> " * 3000 + " or " * 3000
    started = time.perf_counter()
    await said(f"{START}\n{nasty}", "refund " * 20_000)
    assert time.perf_counter() - started < 5
