"""JSON Schemas by jsonschema, within bounds: a schema and a value come from strangers, and neither may hold us up.

Nothing is fetched: a reference leads to a place in the schema itself. Patterns are searched with a deadline, and so is
the whole comparison, whose steps are counted too, since a short schema can multiply them without end. It happens in a
thread, so that everybody else goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import regex
from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.exceptions import SchemaError
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from surefoot.core.errors import Invalid

MOST_STEPS = 50_000
MOST_S = 1.0
MOST_UNIQUE = 1_000
PATTERN_S = 0.1
LONGEST = 300
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
Rule = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class _TooMuch(Exception):
    """Comparing takes more than it may."""


class JsonSchemas:
    """Implements `ports.node.Schemas`."""

    def check(self, name: str, schema: Mapping[str, object]) -> None:
        """Raise Invalid for what is no schema, or one that leads out of itself; `name` is what it is called."""
        try:
            _kind(schema).check_schema(schema)
            for word, value in _words(schema):
                _must_be_able(schema, word, value)
        except SchemaError as problem:
            raise _wrong(name, problem.message) from None
        except (Unresolvable, ValueError, regex.error, RecursionError) as problem:
            raise _wrong(name, str(problem)) from None

    async def misfit(self, schema: Mapping[str, object], value: object) -> str:
        """Say where and why a value does not fit; empty where it does."""
        return await asyncio.to_thread(_misfit, schema, value)


def _misfit(schema: Mapping[str, object], value: object) -> str:
    try:
        found = next(_bounded(_kind(schema))(schema, registry=Registry[Any]()).iter_errors(value), None)
    except (_TooMuch, TimeoutError, RecursionError):
        return "$: it takes too long to compare it with the schema"
    except Unresolvable:
        return "$: the schema points at what is not there"
    return "" if found is None else f"{found.json_path}: {found.message}"[:LONGEST]


def _kind(schema: Mapping[str, object]) -> Any:
    return cast("Any", validators).validator_for(schema, default=Draft202012Validator)


def _bounded(kind: Any) -> Any:
    """Give the validator with each of its steps counted, and patterns searched with a deadline."""
    steps, until = 0, time.monotonic() + MOST_S

    def counted(rule: Rule) -> Rule:
        def step(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
            nonlocal steps
            steps += 1
            if steps > MOST_STEPS or time.monotonic() > until:
                raise _TooMuch
            return rule(validator, value, instance, schema)

        return step

    rules: dict[str, Rule] = {**kind.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique(kind)}
    return cast("Any", validators).extend(kind, {name: counted(rule) for name, rule in rules.items()})


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not cast("Any", regex).search(pattern, instance, timeout=PATTERN_S):
        yield ValidationError(f"it does not match {pattern[:100]!r}")


def _unique(kind: Any) -> Rule:
    plain: Rule = kind.VALIDATORS["uniqueItems"]

    def rule(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        if value and isinstance(instance, list) and len(cast("list[object]", instance)) > MOST_UNIQUE:
            raise _TooMuch
        return plain(validator, value, instance, schema)

    return rule


def _words(schema: object) -> Iterator[tuple[str, object]]:
    """Give every word of a schema with its value, however deep."""
    if isinstance(schema, Mapping):
        for word, value in cast("Mapping[str, object]", schema).items():
            yield word, value
            yield from _words(value)
    elif isinstance(schema, list):
        for one in cast("list[object]", schema):
            yield from _words(one)


def _must_be_able(schema: Mapping[str, object], word: str, value: object) -> None:
    if word == "patternProperties":
        raise ValueError("patternProperties is not known here: name the properties, or describe additionalProperties")
    if word == "pattern" and isinstance(value, str):
        regex.compile(value)
    if word in _REFERENCES and isinstance(value, str):
        if not value.startswith("#"):
            raise ValueError(f"{word} leads out of the schema ({value[:100]})")
        whole = Resource[Any].from_contents(schema, default_specification=DRAFT202012)
        Registry[Any]().resolver_with_root(whole).lookup(value)


def _wrong(name: str, why: str) -> Invalid:
    return Invalid(f"the {name} is no JSON Schema that can be held to: {why[:LONGEST]}",
                   hint="mend it, or leave it out; [processes] schemas = \"show\" holds nobody to any")  # fmt: skip
