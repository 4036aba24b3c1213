"""Reading: a table of a TOML document, taken key by key, with the line of what is wrong.

The parser of the standard library forgets where things stood, so the line is looked up again in the text: the first
line that sets the key below the header of its table. What was not asked for is an unknown key, and an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any, NoReturn, cast

from surefoot.core.errors import Invalid

_LISTED = "docs/reference/configuration.md lists the keys"


class Reading:
    """One table; `path` is its dotted name, `at` which one of several tables of that name (from 0)."""

    def __init__(self, file: str, text: str, path: str, table: dict[str, Any], at: int = 0) -> None:
        self._file = file
        self._text = text
        self.path = path
        self._table = table
        self._at = at
        self._asked: set[str] = set()

    def wrong(self, key: str, problem: str) -> NoReturn:
        """Raise Invalid that names file, line and key."""
        line = self._line(key)
        place = f"{self._file}, line {line}" if line else self._file
        raise Invalid(f"{place}: {self.path}.{key} {problem}", hint=_LISTED)

    def has(self, key: str) -> bool:
        """Tell whether a key is set; it counts as asked for."""
        self._asked.add(key)
        return key in self._table

    def text(self, key: str, usual: str) -> str:
        """Give a text on one line."""
        value = self._table.get(key, usual) if self.has(key) else usual
        if not isinstance(value, str) or "\x00" in value:
            self.wrong(key, "must be a text")
        return value

    def choice(self, key: str, words: Sequence[str]) -> str:
        """Give one of some words; the first is the usual one."""
        value = self.text(key, words[0])
        if value not in words:
            self.wrong(key, f"is {value!r}; it must be one of {', '.join(words)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of texts that are not empty."""
        value: object = self._table.get(key, []) if self.has(key) else []
        listed = cast("list[object]", value) if isinstance(value, list) else None
        if listed is None or not all(isinstance(one, str) and one and "\x00" not in one for one in listed):
            self.wrong(key, "must be a list of texts")
        return tuple(str(one) for one in listed)

    def number(self, key: str, usual: float | None) -> float | None:
        """Give a number that is not negative, or the usual one."""
        if not self.has(key):
            return usual
        value = self._table[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
            self.wrong(key, "must be a number, 0 or more")
        return float(value)

    def whole(self, key: str, usual: int, *, least: int, most: int) -> int:
        """Give a whole number in a range."""
        if not self.has(key):
            return usual
        value = self._table[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(key, f"must be a whole number from {least} to {most}")
        return value

    def flag(self, key: str, *, usual: bool) -> bool:
        """Give true or false."""
        value = self._table.get(key, usual) if self.has(key) else usual
        if not isinstance(value, bool):
            self.wrong(key, "must be true or false")
        return value

    def table(self, key: str) -> Reading:
        """Give a table below this one; an empty one if it is not there."""
        value: object = self._table.get(key, {}) if self.has(key) else {}
        if not isinstance(value, dict):
            self.wrong(key, f"must be a table: [{self.path}.{key}]")
        return Reading(self._file, self._text, f"{self.path}.{key}", cast("dict[str, Any]", value), self._at)

    def tables(self, key: str) -> tuple[Reading, ...]:
        """Give a list of tables below this one."""
        value: object = self._table.get(key, []) if self.has(key) else []
        listed = cast("list[object]", value) if isinstance(value, list) else None
        if listed is None or not all(isinstance(one, dict) for one in listed):
            self.wrong(key, f"must be tables: [[{self.path}.{key}]]")
        path = f"{self.path}.{key}"
        return tuple(
            Reading(self._file, self._text, path, cast("dict[str, Any]", one), at) for at, one in enumerate(listed)
        )

    def finish(self) -> None:
        """Raise Invalid for the first key that nobody asked for."""
        for key in self._table:
            if key not in self._asked:
                self.wrong(key, "is unknown")

    def _line(self, key: str) -> int:
        """The line that sets a key, or the header of its table, counted from 1; 0 where neither is found."""
        header = re.compile(rf"\s*\[+\s*{re.escape(self.path)}\s*\]+")
        below = re.compile(rf"\s*\[+\s*{re.escape(self.path)}\.{re.escape(key)}\s*\]+")
        sets, seen, found = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*="), -1, 0
        for number, line in enumerate(self._text.splitlines(), start=1):
            if header.match(line):
                seen += 1
                found = number if seen == self._at else found
            elif line.lstrip().startswith("["):
                if below.match(line):
                    return number
            elif seen == self._at and found and sets.match(line) and self._own(found, number):
                return number
        return found

    def _own(self, header: int, number: int) -> bool:
        """Whether no other table begins between the header and a line."""
        between = self._text.splitlines()[header : number - 1]
        return not any(re.match(r"\s*\[+[A-Za-z]", line) for line in between)
