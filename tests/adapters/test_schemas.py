"""Schemas of strangers: what fits, what is refused, and that neither a schema nor a value holds anybody up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from surefoot.adapters.schemas import JsonSchemas
from surefoot.core.errors import Invalid

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
    {"type": "nothing"}, {"properties": []}, {"$ref": "https://example.com/schema"}, {"$ref": "file:///etc/passwd"},
    {"items": {"$ref": "#/$defs/none"}}, {"pattern": "("}, {"properties": {"a": {"minLength": -1}}},
    {"patternProperties": {"^a": {}}}, {"$dynamicRef": "other.json#x"}, {"required": "label"},
])  # fmt: skip
def test_what_is_no_schema_or_leads_out_of_itself_is_refused_in_words(schema: Any) -> None:
    with pytest.raises(Invalid, match="input_schema of x is no JSON Schema") as told:
        check(schema)
    assert told.value.hint


DOUBLED = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}


@pytest.mark.parametrize(("schema", "value"), [
    ({"pattern": "(?:[ab]*a[ab]{900}x|[ab]*b[ab]{900}y|[ab]*b[ab]{90}z)"}, "ab" * 500_000),
    ({"$ref": "#/$defs/d0", "$defs": {**DOUBLED, "d40": {"type": "string"}}}, "x"),
    ({"$ref": "#"}, 1),
    ({"items": {"allOf": [{"type": "integer"}] * 500}}, [1] * 50_000),
    ({"uniqueItems": True}, [[n, {"a": n}, None, "x"] for n in range(20_000)]),
    ({"items": {"$ref": "#"}}, None),
])  # fmt: skip
def test_neither_a_schema_nor_a_value_takes_long(schema: Any, value: Any) -> None:
    if value is None:
        value = []
        for _ in range(5_000):
            value = [value]
    began = time.monotonic()
    assert "takes too long" in misfit(schema, value)
    assert time.monotonic() - began < 5


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
