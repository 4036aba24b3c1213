"""A gate that checked nothing is told from one that passed, by what the tools themselves print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.gate_output import checked, idle, telling, written_for_a_shell
from surefoot.core.gate_spec import GATE_ORDER, Command, GateSpec, in_order

NOTHING = {
    "pytest": "collected 0 items\n\n============ no tests ran in 0.01s ============\n",
    "pytest -q": "\nno tests ran in 0.01s\n",
    "pytest, all deselected": "=== 3 deselected in 0.05s ===\n",
    "pytest, all skipped": "ss   [100%]\n2 skipped in 0.02s\n",
    "unittest": "\n-------------------------\nRan 0 tests in 0.000s\n\nOK\n",
    "unittest 3.12": "Ran 0 tests in 0.000s\n\nNO TESTS RAN\n",
    "unittest, all skipped": "Ran 2 tests in 0.000s\n\nOK (skipped=2)\n",
    "node": "TAP version 13\n1..0\n# tests 0\n# suites 0\n# pass 0\n# fail 0\n# cancelled 0\n# skipped 0\n",
    "node, spec": "\u2139 tests 0\n\u2139 suites 0\n\u2139 pass 0\n\u2139 fail 0\n",
    "node, all skipped": "# tests 2\n# pass 0\n# fail 0\n# skipped 2\n",
    "cargo": "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n",
    "cargo, filtered": "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 9 filtered out\n",
    "go": "?   \texample.com/a\t[no test files]\n",
    "go -run": "ok  \texample.com/a\t0.002s [no tests to run]\n",
    "go 1.22": "\texample.com/a\t\tcoverage: 0.0% of statements\n?   \texample.com/b\t[no test files]\n",
    "jest": "No tests found, exiting with code 0\n",
    "jest, all skipped": "Tests:       2 skipped, 2 total\n",
    "vitest": "No test files found, exiting with code 0\n",
    "vitest, all skipped": " Test Files  1 skipped (1)\n      Tests  1 skipped (1)\n",
    "mocha": "\n\n  0 passing (1ms)\n",
    "rspec": "No examples found.\n\n0 examples, 0 failures\n",
    "phpunit": "No tests executed!\n",
    "mypy": "There are no .py[i] files in directory 'src'\n",
    "mypy of nothing": "Success: no issues found in 0 source files\n",
    "pyright": "No source files found.\n0 errors\n",
    "ruff": "warning: No Python files found under the given path(s)\nAll checks passed!\n",
}
SOMETHING = {
    "pytest": ("=== 3 passed, 1 skipped in 0.05s ===\n", 3),
    "pytest -q": ("...\n3 passed in 0.01s\n", 3),
    "pytest, coloured": ("\x1b[32m\x1b[32m\x1b[1m3 passed\x1b[0m\x1b[32m in 0.01s\x1b[0m\n", 3),
    "pytest, long": ("=== 1 failed, 699 passed, 2 warnings, 1 error in 65.20s (0:01:05) ===", 701),
    "pytest, expected failure": ("1 xfailed in 0.02s\n", 1),
    "two runs": ("no tests ran in 0.01s\n\n2 passed in 0.1s\n", 2),
    "unittest": ("Ran 12 tests in 0.1s\n\nOK (skipped=2)\n", 10),
    "node": ("# tests 4\n# suites 0\n# pass 3\n# fail 0\n# cancelled 0\n# skipped 1\n", 3),
    "cargo with empty doc tests": (
        """running 3 tests
test result: ok. 3 passed; 0 failed; 0 ignored
   Doc-tests demo
running 0 tests
test result: ok. 0 passed; 0 failed; 0 ignored
""",
        3,
    ),
    "go": ("ok  \texample.com/a\t0.002s\n?   \texample.com/b\t[no test files]\n", 1),
    "go, cached": ("ok  \texample.com/a\t(cached)\n", 1),
    "jest": ("Test Suites: 1 passed, 1 total\nTests:       1 failed, 4 passed, 5 total\n", 5),
    "vitest": (" Test Files  1 passed (1)\n      Tests  2 passed | 1 skipped (3)\n", 2),
    "mocha": ("\n  2 passing (3ms)\n  1 failing\n", 3),
    "rspec": ("3 examples, 0 failures\n", 3),
}  # fmt: skip


@pytest.mark.parametrize("tool", NOTHING)
def test_nothing_checked_is_seen(tool: str):
    assert checked(NOTHING[tool]).count == 0
    assert checked(NOTHING[tool].replace("\n", "\r\n")).count == 0
    assert "nothing" in checked(NOTHING[tool]).sentence


@pytest.mark.parametrize("tool", SOMETHING)
def test_what_was_checked_is_counted(tool: str):
    text, count = SOMETHING[tool]
    assert checked(text).count == count
    assert str(count) in checked(text).sentence


@pytest.mark.parametrize(
    "text",
    ["", "hello", "ok 1 - it works", "everything is fine, 0 problems", "ok then 3s", "Compiled in 0.3s", "ran 5 tests"],
)
def test_an_unknown_tool_is_unknown_and_not_nothing(text: str):
    assert checked(text).count is None


@given(st.text(max_size=400))
def test_no_output_breaks_the_reading(text: str):
    found = checked(text)
    assert found.count is None or found.count >= 0


@given(st.integers(1, 10**6), st.integers(0, 50), st.sampled_from(["passed", "failed", "xfailed"]))
def test_any_number_of_pytest_tests_is_counted(many: int, skipped: int, word: str):
    assert checked(f"=== {many} {word}, {skipped} skipped in 1.00s ===\n").count == many


@pytest.mark.parametrize(
    "command",
    [
        Command(), Command(argv=("",)), Command(argv=("true",)), Command(argv=("/bin/true", "x")), Command(argv=(":",)),
        Command(argv=("echo", "all tests pass")), Command(shell="true"), Command(shell="  # nothing\n"),
        Command(shell="echo ok\nexit 0"),
    ],
)  # fmt: skip
def test_a_command_that_only_talks_is_idle(command: Command):
    assert idle(command)


@pytest.mark.parametrize(
    "command",
    [
        Command(argv=("pytest",)), Command(argv=("test", "-s", "file")), Command(shell="echo start\npytest"),
        Command(shell="echo $(pytest)"), Command(shell="echo x | grep y"), Command(shell="test -s out"),
    ],
)  # fmt: skip
def test_a_command_that_does_something_is_not(command: Command):
    assert not idle(command)


def test_words_for_a_shell_are_found_in_a_list():
    assert written_for_a_shell(("pytest", "|", "head")) == "|"
    assert written_for_a_shell(("make", "&&", "true")) == "&&"
    assert written_for_a_shell(("grep", "a|b", "f")) == ""


def test_gates_run_in_the_order_of_their_kinds():
    gates = tuple(GateSpec(name=f"{kind}{n}", kind=kind) for n in (1, 2) for kind in reversed(GATE_ORDER))
    assert [gate.name for gate in in_order(gates)] == [f"{kind}{n}" for kind in GATE_ORDER for n in (1, 2)]


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("AssertionError: '2' != '1.5'\n\nRan 11 tests in 0.02s\nFAILED (failures=1)", "AssertionError: '2' != '1.5'"),
        ("t.py:3: AssertionError\n== short summary ==\nFAILED t.py::test_a - assert 1 == 2\n== 1 failed in 0.1s ==",
         "FAILED t.py::test_a - assert 1 == 2"),
        ("src/a.ts(3,1): error TS2322: no number\nFound 1 error.", "src/a.ts(3,1): error TS2322: no number"),
        ("a.py:1: \x1b[31merror\x1b[0m: odd\nmake: *** [types] Error 1\n", "a.py:1: error: odd"),
        ("make: *** [types] Error 1\n", "make: *** [types] Error 1"),
        ("page.html is small\n", "page.html is small"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_line_that_says_most_about_a_failure_names_what_failed_and_not_how_often(output, line):
    assert telling(output) == line
