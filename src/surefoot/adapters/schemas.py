"""JSON Schemas by jsonschema, within bounds: a schema and a value come from strangers, and neither may hold us up.

Nothing is fetched: a reference leads to a place in the schema itself. Patterns are those of RE2, which neither grow
when they are compiled nor go back when they are searched. A comparison has a deadline, and its steps are counted too,
since a short schema can multiply them without end. Every schema is held to these bounds, whoever wrote it and whatever
it is for: those of processes (in a thread, so that everybody else goes on), of evals, and of answers in a program.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, cast
from urllib.parse import unquote

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from surefoot.core.errors import Invalid

MOST_STEPS = 50_000
MOST_S = 1.0
# What is compared with all that came before it, or looked for in a list, in one step that nobody can interrupt.
MOST_SIDE_BY_SIDE = 1_000
MOST_CHECK_S = 5.0
MOST_PATTERNS = 100
LONGEST_PATTERN = 1_000
PATTERN_BYTES = 1 << 20
# States of a pattern times bytes of a text: below a second, also where RE2 has no memory for its automaton.
MOST_SEARCHED = 100_000_000
LONGEST = 300
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Their values are data, and no schemas even where they look alike; the keys of the others are names of the data.
_DATA = ("const", "enum", "default", "examples")
_NAMES = ("properties", "$defs", "definitions", "dependentSchemas", "dependencies")
_UNEVALUATED = ("unevaluatedItems", "unevaluatedProperties")
_NO_PATTERNS_OF_NAMES = "patternProperties is not known here: name the properties, or describe additionalProperties"
_LEAVE_OUT = '; [processes] schemas = "show" holds nobody to any'
Rule = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class _TooMuch(Exception):
    """Comparing takes more than it may."""


class _Unknown(ValueError):
    """A pattern is none of RE2."""


class Unable(Exception):
    """Whether a value fits cannot be told; the words say why."""


class _Meter:
    """What comparing may still take."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.left, self.until = steps, time.monotonic() + seconds

    def tick(self) -> None:
        self.left -= 1
        if self.left < 0 or time.monotonic() > self.until:
            raise _TooMuch


class JsonSchemas:
    """Implements `ports.node.Schemas`."""

    async def check(self, schemas: Mapping[str, Mapping[str, object]]) -> None:
        """Raise Invalid for what is no schema, leads out of itself or takes too long; the keys say what they are."""
        await asyncio.to_thread(_check, schemas, _LEAVE_OUT)

    async def misfit(self, schema: Mapping[str, object], value: object) -> str:
        """Say where and why a value does not fit; empty where it does."""
        return await asyncio.to_thread(_misfit, schema, value)


def misfit(name: str, schema: object, value: object) -> str:
    """Say where and why a value does not fit a schema that nobody looked at yet; empty where it does.

    Invalid for what is no schema, under this name; Unable where a comparison takes too long or cannot be made.
    """
    if isinstance(schema, bool):
        return "" if schema else "$: nothing fits it"
    if not isinstance(schema, Mapping):
        raise _wrong(name, "it is no object")
    checked = cast("Mapping[str, object]", schema)
    _check({name: checked})
    return _compared(checked, value)


def _check(schemas: Mapping[str, Mapping[str, object]], more: str = "") -> None:
    meter, patterns = _Meter(MOST_STEPS * 100, MOST_CHECK_S), 0
    for name, schema in schemas.items():
        try:
            patterns += _must_be_schema(schema, meter)
            if patterns > MOST_PATTERNS:
                raise ValueError(f"with it there are more than {MOST_PATTERNS} patterns")
        except _TooMuch:
            raise _wrong(name, "it takes too long to look through it", more) from None
        except (Unresolvable, ValueError, ArithmeticError, RecursionError) as problem:
            raise _wrong(name, str(problem), more) from None


def _must_be_schema(schema: Mapping[str, object], meter: _Meter) -> int:
    """Raise ValueError or Unresolvable for what is none, else give how many patterns it has."""
    kind, patterns = _kind(schema), 0
    found = next(_bounded(kind, meter)(kind.META_SCHEMA, registry=Registry[Any]()).iter_errors(schema), None)
    if found is not None:
        raise ValueError(found.message)
    whole = Resource[Any].from_contents(schema, default_specification=DRAFT202012)
    inside = Registry[Any]().resolver_with_root(whole)
    for word, value in _words(schema):
        meter.tick()
        if word == "pattern" and isinstance(value, str):
            _automaton(value)
            patterns += 1
            if patterns > MOST_PATTERNS:
                break
        _must_be_able(inside, word, value)
    return patterns


def _misfit(schema: Mapping[str, object], value: object) -> str:
    """What cannot be compared in time does not fit either."""
    try:
        return _compared(schema, value)
    except Unable as problem:
        return f"$: {problem}"


def _compared(schema: Mapping[str, object], value: object) -> str:
    try:
        for word, said in _words(schema):
            _must_be_bounded(word, said)
        bounded = _bounded(_kind(schema), _Meter(MOST_STEPS, MOST_S))
        found = next(bounded(schema, registry=Registry[Any]()).iter_errors(value), None)
        return "" if found is None else f"{found.json_path}: {found.message}"[:LONGEST]
    except (_TooMuch, RecursionError):
        raise Unable("it takes too long to compare it with the schema") from None
    except Unresolvable:
        raise Unable("the schema points at what is not there") from None
    # A schema that was only shown so far, a number beyond floats.
    except (ValueError, ArithmeticError, TypeError, AttributeError) as problem:
        raise Unable(str(problem)[:LONGEST]) from None


def _kind(schema: Mapping[str, object]) -> Any:
    if not isinstance(schema.get("$schema", ""), str):
        raise ValueError("$schema is no text")  # noqa: TRY004  a schema of strangers, no mistake of ours
    return cast("Any", validators).validator_for(schema, default=Draft202012Validator)


def _bounded(kind: Any, meter: _Meter) -> Any:
    """Give the validator with each of its steps counted, down to the last schema within its schema."""

    def counted(rule: Rule) -> Rule:
        def step(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
            meter.tick()
            return rule(validator, value, instance, schema)

        return step

    def evolve(self: Any, **changes: Any) -> Any:
        """Keep these rules; the validator's own way takes the unbounded ones for a schema that has a `$schema`."""
        meter.tick()
        kept = {"schema": self.schema, "format_checker": self.format_checker, "registry": self._registry,
                "_resolver": self._resolver}  # fmt: skip
        return bounded(**(kept | changes))

    rules: dict[str, Rule] = {**kind.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique(meter)}
    rules |= {name: _short(rules[name]) for name in _UNEVALUATED if name in rules}
    bounded = cast("Any", validators).extend(kind, {name: counted(rule) for name, rule in rules.items()})
    bounded.evolve = evolve
    return bounded


def _short(rule: Rule) -> Rule:
    """A rule that looks for each of what it gets in a list."""

    def bounded(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        if isinstance(instance, list | dict) and len(cast("list[object]", instance)) > MOST_SIDE_BY_SIDE:
            raise _TooMuch
        return rule(validator, value, instance, schema)

    return bounded


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    automaton, text = _automaton(pattern), instance.encode("utf-8", "surrogatepass")
    if automaton.programsize * len(text) > MOST_SEARCHED:
        raise _TooMuch
    if automaton.search(text) is None:
        yield ValidationError(f"it does not match {pattern[:100]!r}")


def _automaton(pattern: str) -> Any:
    if len(pattern) > LONGEST_PATTERN:
        raise _Unknown(f"a pattern is longer than {LONGEST_PATTERN} characters")
    engine, options = _engine()
    try:
        return engine.compile(pattern.encode("utf-8", "surrogatepass"), options)
    except engine.error as problem:
        why = problem.args[0].decode("utf-8", "replace") if problem.args else "no reason is given"
        raise _Unknown(f"RE2 refuses the pattern {pattern[:100]!r} ({why})") from None


@cache
def _engine() -> tuple[Any, Any]:
    import re2  # pyright: ignore[reportMissingTypeStubs]  few schemas have patterns

    engine: Any = re2
    options = engine.Options()
    options.max_mem, options.log_errors = PATTERN_BYTES, False
    return engine, options


def _unique(meter: _Meter) -> Rule:
    def rule(_: Any, value: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
        if not value or not isinstance(instance, list):
            return
        items, seen = cast("list[object]", instance), set[str]()
        if len(items) > MOST_SIDE_BY_SIDE:
            raise _TooMuch
        for one in items:
            meter.tick()
            seen.add(json.dumps(_numbered(one), sort_keys=True))
        if len(seen) < len(items):
            yield ValidationError("it has an item twice")

    return rule


def _numbered(value: object) -> object:
    """Give a value in which equal numbers are written alike: 1.0 is 1, though True is not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _numbered(one) for name, one in cast("dict[str, object]", value).items()}
    return [_numbered(one) for one in cast("list[object]", value)] if isinstance(value, list) else value


def _words(schema: object) -> Iterator[tuple[str, object]]:
    """Give every word of a schema with its value, however deep; what is data, or the name of data, is none."""
    if isinstance(schema, Mapping):
        for word, value in cast("Mapping[str, object]", schema).items():
            yield word, value
            if word in _NAMES and isinstance(value, Mapping):
                yield from _words(list(cast("Mapping[str, object]", value).values()))
            elif word not in _DATA:
                yield from _words(value)
    elif isinstance(schema, list):
        for one in cast("list[object]", schema):
            yield from _words(one)


def _must_be_able(inside: Any, word: str, value: object) -> None:
    _must_be_bounded(word, value)
    if word in _REFERENCES and isinstance(value, str):
        if not value.startswith("#"):
            raise ValueError(f"{word} leads out of the schema ({value[:100]})")
        try:
            found = inside.lookup(value).contents
        except TypeError:  # a way through a number, or nothing
            found = None
        if not isinstance(found, Mapping | bool):
            raise ValueError(f"{word} leads to no schema ({value[:100]})")


def _must_be_bounded(word: str, value: object) -> None:
    """Raise ValueError for names by pattern, and for a reference to where nobody looked for them."""
    if word == "patternProperties":
        raise ValueError(_NO_PATTERNS_OF_NAMES)
    if word in _REFERENCES and isinstance(value, str) and _leads_to_data(value):
        raise ValueError(f"{word} leads to no schema ({value[:100]})")


def _leads_to_data(reference: str) -> bool:
    """Whether a reference goes through what is data, or ends at a list of names."""
    names = False
    for part in unquote(reference.partition("#")[2]).split("/")[1:]:
        if not names and part in _DATA:
            return True
        names = not names and part in _NAMES
    return names


def _wrong(name: str, why: str, more: str = "") -> Invalid:
    return Invalid(f"the {name} is no JSON Schema that can be held to: {why[:LONGEST]}",
                   hint="mend it (patterns are those of RE2: no look-around, no back-references), "
                        f"or leave it out{more}")  # fmt: skip
