"""Whether a gate that succeeded checked anything: what its command is, and what the tools say they looked at.

An exit code of 0 is not enough. Test runners that find no test, and type checkers that find no file, mostly succeed; so
their own counts are read. Skipped tests checked nothing. Where no known tool speaks, the exit code stands alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from surefoot.core.gate_spec import Command

_IDLE = frozenset({"true", ":", "echo", "printf", "sleep", "exit", "test", "["})
_FOR_A_SHELL = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "2>&1", "|&", "2>", "&>"})
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PYTEST = re.compile(r"^=*\s*((?:\d+ [a-z]+(?:, )?)+|no tests (?:ran|collected)[^\n]*?) in [\d.]+s\b.*$", re.MULTILINE)
_PYTEST_DID = re.compile(r"(\d+) (?:passed|failed|errors?|xfailed|xpassed)\b")
_UNITTEST = re.compile(r"^Ran (\d+) tests? in [^\n]*(?:\n\s*\n[^\n]*?skipped=(\d+))?", re.MULTILINE)
_NODE = re.compile(r"^(?:#|\u2139) (tests|pass|fail) (\d+)\s*$", re.MULTILINE)
_CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed", re.MULTILINE)
_GO_LINE = re.compile(r"^(ok|FAIL|\?) *\t(\S+)[\t ]+(.*)$", re.MULTILINE)
_JEST = re.compile(r"^\s*Tests:?\s+(?:(.*?)[, ]*)?(?:(\d+) total|\((\d+)\))\s*$", re.MULTILINE)
_DID = re.compile(r"(\d+) (?:passed|failed)")
_MOCHA = re.compile(r"^\s+(\d+) (?:passing|failing)\b", re.MULTILINE)
_RSPEC = re.compile(r"^(\d+) examples?, \d+ failures?", re.MULTILINE)
_NOTHING = re.compile(
    r"^(?:no tests? (?:were )?(?:found|ran|executed)\b.*|no test files found.*|there are no \.py\[i\] files.*"
    r"|.*\bno issues found in 0 source files.*|no source files found.*|(?:warning: )?no python files found.*"
    r"|no files matching .*found.*|1\.\.0\b.*|no tests to run.*|no tests executed!?)$",
    re.IGNORECASE | re.MULTILINE,
)

_SAYS = re.compile(r"\b\w*(?:Error|Exception)\b|\berror\b|\bassert|\bFAILED\b|\bpanicked\b|not ok\b|\u2717|\u2715")
_ONLY_COUNTS = re.compile(r"FAILED \(.*\)|[=!-]{2,}.*|(?:Found )?\d+ (?:error|fail)\w*\b.*|make(?:\[\d+\])?: .*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What tools say they checked: `count` is None where none was recognised, 0 when they say that it was nothing."""

    count: int | None
    tools: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Say it for people."""
        if self.count is None:
            return "no known tool told how much it checked"
        if self.count == 0:
            return f"{' and '.join(self.tools)} ran and checked nothing"
        return f"{self.count} test{'s' if self.count != 1 else ''} ran ({', '.join(self.tools)})"


def checked(output: str) -> Checked:
    """Read what test runners and checkers print about how much they did."""
    plain = _COLOUR.sub("", output).replace("\r\n", "\n")
    counts = {tool: count for tool, read in _TOOLS.items() if (count := read(plain)) is not None}
    if not counts and _NOTHING.search(plain):
        counts = {"the tool": 0}
    return Checked(count=sum(counts.values()) if counts else None, tools=tuple(counts))


def idle(command: Command) -> bool:
    """Tell whether a command can check nothing: it is empty, or a word such as `true` or `echo`."""
    if command.shell:
        lines = [line.strip() for line in command.shell.splitlines()]
        said = [line for line in lines if line and not line.startswith("#")]
        return all(_only_talks(line) for line in said)
    return (
        not command.argv or not command.argv[0].strip() or command.argv[0].rpartition("/")[2] in _IDLE - {"test", "["}
    )


def written_for_a_shell(argv: tuple[str, ...]) -> str:
    """Give the word of a list that only a shell would understand, such as a pipe; empty if there is none."""
    return next((word for word in argv if word in _FOR_A_SHELL), "")


def _only_talks(line: str) -> bool:
    first = line.split()[0]
    return first in _IDLE - {"test", "["} and not re.search(r"[;&|`]|\$\(", line)


def _pytest(text: str) -> int | None:
    found = [match[1] for match in _PYTEST.finditer(text)]
    return sum(int(count) for said in found for count in _PYTEST_DID.findall(said)) if found else None


def _unittest(text: str) -> int | None:
    found = [int(match[1]) - int(match[2] or 0) for match in _UNITTEST.finditer(text)]
    return sum(found) if found else None


def _node(text: str) -> int | None:
    found = [(match[1], int(match[2])) for match in _NODE.finditer(text)]
    return sum(count for name, count in found if name != "tests") if found else None


def _cargo(text: str) -> int | None:
    found = [int(match[1]) + int(match[2]) for match in _CARGO.finditer(text)]
    return sum(found) if found else None


def _go(text: str) -> int | None:
    """Count packages, as go does not count tests."""
    found = [(match[1], match[3]) for match in _GO_LINE.finditer(text) if _of_go(match[1], match[3])]
    return sum(1 for mark, rest in found if mark != "?" and "[no test" not in rest) if found else None


def _of_go(mark: str, rest: str) -> bool:
    return "[no test" in rest or (
        mark in ("ok", "FAIL") and re.match(r"[\d.]+s\b|\(cached\)|\[build failed\]", rest) is not None
    )


def _jest(text: str) -> int | None:
    found = [match[1] or "" for match in _JEST.finditer(text)]
    return sum(int(count) for said in found for count in _DID.findall(said)) if found else None


def _mocha(text: str) -> int | None:
    found = [int(match[1]) for match in _MOCHA.finditer(text)]
    return sum(found) if found else None


def _rspec(text: str) -> int | None:
    found = [int(match[1]) for match in _RSPEC.finditer(text)]
    return sum(found) if found else None


_TOOLS = {
    "pytest": _pytest, "unittest": _unittest, "node --test": _node, "cargo test": _cargo, "go test": _go,
    "jest or vitest": _jest, "mocha": _mocha, "rspec": _rspec,
}  # fmt: skip


def telling(output: str) -> str:
    """Give the line that says most about a failure: the last one that names an error, else the last one; may be empty.

    Lines that only count failures come last: who tries next must know what failed, not how often.
    """
    lines = [line.strip() for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    named = [line for line in lines if _SAYS.search(line)]
    better = [line for line in named if not _ONLY_COUNTS.fullmatch(line)]
    return (better or named or lines or [""])[-1]
