"""Schemas of strangers: what fits, what is refused, and that neither a schema nor a value holds anybody up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from surefoot.adapters.schemas import JsonSchemas
from surefoot.core.errors import Invalid

LABEL = {"type": "object", "properties": {"label": {"enum": ["billing", "refund"]}}, "required": ["label"]}


def misfit(schema: Any, value: Any) -> str:
    JsonSchemas().check("input_schema of x", schema)
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
        JsonSchemas().check("input_schema of x", schema)
    assert told.value.hint


DOUBLED = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}


@pytest.mark.parametrize(("schema", "value"), [
    ({"pattern": "(a|a|aa)+$"}, "a" * 60 + "!"),
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
