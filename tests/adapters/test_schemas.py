"""Schemas of strangers: what fits, what is refused, and that neither a schema nor a value holds anybody up."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from surefoot.adapters.exam.outside import World
from surefoot.adapters.schemas import JsonSchemas
from surefoot.app import misfit as held
from surefoot.core.errors import Invalid
from surefoot.core.exam.check import Check, Finding
from surefoot.core.exam.documents import suite_from
from surefoot.core.exam.observed import Observed
from surefoot.sdk.model import read

LABEL = {"type": "object", "properties": {"label": {"enum": ["billing", "refund"]}}, "required": ["label"]}


def check(*schemas: Any) -> None:
    names = ["input_schema of x", *(f"input_schema of x{n}" for n in range(1, len(schemas)))]
    asyncio.run(JsonSchemas().check(dict(zip(names, schemas, strict=True))))


def misfit(schema: Any, value: Any) -> str:
    check(schema)
    return asyncio.run(JsonSchemas().misfit(schema, value))


def test_what_fits_fits_and_what_does_not_is_told_where_and_why() -> None:
    assert misfit(LABEL, {"label": "billing", "more": 1}) == ""
    assert misfit(LABEL, {"label": "cats"}).startswith("$.label: 'cats' is not one of")
    assert misfit(LABEL, [1]).startswith("$: [1] is not of type 'object'")
    assert len(misfit({"const": 1}, "x" * 100_000)) <= 300
    local = {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}
    assert misfit(local, [1, 2]) == ""
    assert misfit(local, [1, "2"]).startswith("$[1]")
    assert misfit({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]}, [None, 1]) == ""


@pytest.mark.parametrize("schema", [
    {"properties": {"patternProperties": {"type": "string"}, "pattern": {"const": "("}, "$ref": {"default": "x"}}},
    {"properties": {"a": {"default": {"patternProperties": {}, "$ref": "nowhere", "pattern": "("}}}},
    {"properties": {"a": {"enum": [{"patternProperties": 1}, {"$ref": "https://example.com"}]}}},
    {"properties": {"default": {"type": "string"}, "a": {"$ref": "#/properties/default"}}},
    {"properties": {"a": {"$ref": "#/$defs/examples/properties/enum"}},
     "$defs": {"examples": {"properties": {"enum": {"type": "string"}}}}},
])  # fmt: skip
def test_names_and_data_that_look_like_words_of_a_schema_are_none(schema: Any) -> None:
    assert misfit(schema, {"other": 1}) == ""


@pytest.mark.parametrize("schema", [
    {"minimum": 1, "$ref": "#/minimum"}, {"minimum": 1, "$ref": "#/minimum/x"}, {"$ref": "#/default", "default": None},
    {"$id": "http://a.test/", "$ref": "http://a.test/#/default",
     "default": {"additionalProperties": False, "patternProperties": {"(a+)+$": {}}}},
])  # fmt: skip
def test_a_reference_to_no_schema_that_was_only_shown_is_told_and_holds_nobody_up(schema: Any) -> None:
    began = time.monotonic()
    assert asyncio.run(JsonSchemas().misfit(schema, {"a" * 60 + "!": 1})).startswith("$: ")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("schema", [
    {"type": "nothing"}, {"properties": []}, {"$ref": "https://example.com/schema"}, {"$ref": "file:///etc/passwd"},
    {"items": {"$ref": "#/$defs/none"}}, {"pattern": "("}, {"properties": {"a": {"minLength": -1}}},
    {"patternProperties": {"^a": {}}}, {"$dynamicRef": "other.json#x"}, {"required": "label"},
    {"minimum": 1, "$ref": "#/minimum"}, {"minimum": 1, "$ref": "#/minimum/x"},
    {"default": None, "$ref": "#/default/a"}, {"const": {"type": "null"}, "$ref": "#/const"},
    {"examples": [{"patternProperties": {"(a+)+$": {}}}], "$ref": "#/examples/0"}, {"type": "null", "$ref": "#/type"},
    {"$defs": {"a": {"default": {"pattern": "(?=a)"}}}, "$ref": "#/$defs/a/%64efault"},
    {"properties": {"patternProperties": {}}, "items": {"$ref": "#/properties"}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"default": {"patternProperties": {}}}},
])  # fmt: skip
def test_what_is_no_schema_or_leads_out_of_itself_is_refused_in_words(schema: Any) -> None:
    with pytest.raises(Invalid, match="input_schema of x is no JSON Schema") as told:
        check(schema)
    assert told.value.hint


CASE = suite_from([{"id": "a", "input": "q"}], name="s", origin="file").cases[0]


def finding(schema: Any, value: Any) -> Finding:
    """What the check `json_schema` of an eval says of an answer."""
    check_, answer = Check(kind="json_schema", value=schema), Observed(output=json.dumps(value))
    return asyncio.run(World().finding(check_, CASE, answer, ""))


def told_to_a_program(schema: Any, value: Any) -> str:
    """What a program is told, that asked a model for JSON."""
    with pytest.raises(Invalid) as problem:
        read(schema, json.dumps(value), held)
    return problem.value.message


DOUBLED = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}


LONG = [
    ({"pattern": "(?:[ab]*a[ab]{900}x|[ab]*b[ab]{900}y|[ab]*b[ab]{90}z)"}, "ab" * 500_000),
    ({"$ref": "#/$defs/d0", "$defs": {**DOUBLED, "d40": {"type": "string"}}}, "x"),
    ({"$ref": "#"}, 1),
    ({"items": {"allOf": [{"type": "integer"}] * 500}}, [1] * 50_000),
    ({"uniqueItems": True}, [[n, {"a": n}, None, "x"] for n in range(20_000)]),
    ({"items": True, "unevaluatedItems": False}, [1] * 40_000),
    ({"additionalProperties": True, "unevaluatedProperties": False}, {f"k{n}": 1 for n in range(20_000)}),
    ({"$schema": "https://json-schema.org/draft/2019-09/schema", "items": True, "unevaluatedItems": False},
     [1] * 40_000),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value"), LONG)
def test_neither_a_schema_nor_a_value_takes_long(schema: Any, value: Any) -> None:
    began = time.monotonic()
    assert "takes too long" in misfit(schema, value)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("schema", "value"), LONG)
def test_nor_do_they_in_an_eval_or_in_a_program(schema: Any, value: Any) -> None:
    began = time.monotonic()
    found = finding(schema, value)
    assert (found.state, "takes too long" in found.note) == ("errored", True)
    assert "takes too long" in told_to_a_program(schema, value)
    assert time.monotonic() - began < 8


def test_a_value_that_goes_too_deep_is_told_at_every_door() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert "takes too long" in misfit({"items": {"$ref": "#"}}, deep)
    text = "[" * 100_000 + "]" * 100_000
    found = asyncio.run(World().finding(Check(kind="json_schema", value={}), CASE, Observed(output=text), ""))
    assert (found.state, found.note) == ("failed", "the answer is no JSON")
    with pytest.raises(Invalid, match="no JSON"):
        read({}, text, held)


@pytest.mark.parametrize("text", ["1" + "0" * 400, "NaN", "Infinity"])
def test_a_number_beyond_numbers_is_told_and_breaks_nothing(text: str) -> None:
    value = json.loads(text)
    assert misfit({"multipleOf": 0.5}, value)
    assert finding({"multipleOf": 0.5}, value).state == "errored"
    assert "cannot be held" in told_to_a_program({"multipleOf": 0.5}, value)


@pytest.mark.parametrize("schema", [
    {"pattern": "(?=a)a"}, {"$ref": "https://example.com/schema"}, {"patternProperties": {"(a+)+$": {}}},
    {"type": "nothing"}, {"$schema": 1}, {"items": {"$ref": "#/$defs/none"}}, ["x"], "x", 1, None,
])  # fmt: skip
def test_an_eval_or_a_program_with_no_schema_is_told_so(schema: Any) -> None:
    found = finding(schema, "aaaa")
    assert found.state == "errored"
    assert "is no JSON Schema that can be held to" in found.note
    if isinstance(schema, dict):
        assert "is no JSON Schema that can be held to" in told_to_a_program(schema, ["aaaa"])


def test_what_fits_fits_and_what_does_not_fails_in_an_eval_and_in_a_program() -> None:
    assert finding(LABEL, {"label": "billing"}).state == "passed"
    assert finding(LABEL, {"label": "cats"}).note.startswith("$.label: 'cats' is not one of")
    assert (finding(schema=True, value=1).state, finding(schema=False, value=1).state) == ("passed", "failed")
    assert read(LABEL, 'It is {"label": "billing"}, I think', held) == {"label": "billing"}
    assert "does not fit the schema ($.label: 'cats' is" in told_to_a_program(LABEL, {"label": "cats"})


def test_names_by_pattern_hold_nobody_up_in_a_schema_that_was_only_shown_so_far() -> None:
    shown = {"unevaluatedProperties": False, "$ref": "#/$defs/a", "$defs": {"a": {"patternProperties": {"(a+)+$": {}}}}}
    began = time.monotonic()
    assert "patternProperties" in asyncio.run(JsonSchemas().misfit(shown, {"a" * 60 + "!": 1}))
    assert time.monotonic() - began < 1


def test_the_loop_goes_on_while_a_long_one_is_compared() -> None:
    async def story() -> int:
        turns = 0
        going = asyncio.create_task(
            JsonSchemas().misfit({"items": {"allOf": [{"type": "integer"}] * 500}}, [1] * 9_000)
        )
        while not going.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    assert asyncio.run(story()) > 3


BOMBS = ["(?:(?:(?:a?){200}){200}){200}", "(?:(?:(?:(?:a|b?){100}){100}){100}){100}", "[\\pL\\pN\\pM\\pS]" * 1_000,
         "\\pL{1000}", "(" * 900 + ")" * 900]  # fmt: skip


@pytest.mark.parametrize("pattern", [*BOMBS, "(?=a)", "(?<!a)b", r"(a)\1", "(", "a" * 1_001])
def test_a_pattern_that_re2_does_not_take_is_refused_at_once_with_a_hint_and_without_noise(
    pattern: str, capfd: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with pytest.raises(Invalid, match="pattern") as told:
        check({"properties": {"a": {"pattern": pattern}}})
    assert time.monotonic() - began < 4
    assert "RE2" in (told.value.hint or "")
    assert "".join(capfd.readouterr()) == ""


def test_a_pattern_that_was_stored_before_re2_came_holds_nobody_up_either() -> None:
    for pattern in BOMBS:
        began = time.monotonic()
        assert "pattern" in finding({"pattern": pattern}, "a" * 60).note
        assert "pattern" in told_to_a_program({"items": {"pattern": pattern}}, ["a" * 60])
        told = asyncio.run(JsonSchemas().misfit({"pattern": pattern}, "a" * 60))
        assert time.monotonic() - began < 4
        assert "pattern" in told


def test_patterns_find_what_json_schema_says_that_they_find() -> None:
    assert misfit({"pattern": "(a|a|aa)+$"}, "a" * 60 + "!").startswith("$: it does not match")
    assert misfit({"pattern": r"^\d{4}-\d{2}$"}, "2026-01") == ""
    assert misfit({"pattern": r"^\d+$"}, "1\n").startswith("$: it does not match")
    assert misfit({"pattern": r"^\p{L}é.$"}, "xé☃") == ""
    assert misfit({"pattern": "x"}, "\ud800x") == ""
    assert misfit({"pattern": "x"}, 5) == ""


def test_there_are_so_many_patterns_at_most_in_all_schemas_of_a_build() -> None:
    some = {"allOf": [{"pattern": f"a{n}"} for n in range(50)]}
    check(some, some)
    with pytest.raises(Invalid, match="more than 100 patterns"):
        check(some, some, {"pattern": "b"})


@pytest.mark.parametrize(
    "dialect", ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"]
)
def test_a_schema_within_a_schema_does_not_get_around_the_bounds_by_naming_its_dialect(dialect: str) -> None:
    began = time.monotonic()
    within = {"$schema": dialect, "pattern": "(a+)+$"}
    assert misfit({"properties": {"a": within}}, {"a": "a" * 60 + "!"}).startswith("$.a: it does not match")
    within = {"$schema": dialect, "items": {"$schema": dialect, "allOf": [{"type": "integer"}] * 500}}
    assert "takes too long" in misfit({"properties": {"a": within}}, {"a": [1] * 50_000})
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("wrong", [["x"], 1, None, {}])
def test_a_dialect_that_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(Invalid, match=r"\$schema is no text"):
        check({"$schema": wrong})


def test_unique_items_are_compared_fast_and_as_json_schema_means_it() -> None:
    began = time.monotonic()
    rows = [{f"key{k}": k for k in range(60)} | {"n": n} for n in range(1_000)]
    assert misfit({"uniqueItems": True}, rows) == ""
    assert "twice" in misfit({"uniqueItems": True}, [*rows[:-1], dict(reversed(rows[0].items()))])
    assert time.monotonic() - began < 2
    for same in ([1, 1.0], [[{"a": 0}], [{"a": -0.0}]], [1e16, 10**16], ["a", "a"], [None, None]):
        assert "twice" in misfit({"uniqueItems": True}, same), same
    for apart in ([1, True], [[0], [False]], [{"a": 1}, {"a": True}], ["1", 1], [1.5, 1], ["true", True], [None, ""]):
        assert misfit({"uniqueItems": True}, apart) == "", apart
    assert misfit({"uniqueItems": False}, [1, 1]) == ""


def test_a_schema_that_takes_long_to_look_through_is_refused_in_time() -> None:
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "enum": [{"a": n, "b": None} for n in range(900)]}
    began = time.monotonic()
    check(old)
    assert time.monotonic() - began < 2
