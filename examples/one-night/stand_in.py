"""A stand-in for a coding agent: it knows the changes for the levers of this example by heart, and nothing else.

Surefoot starts it in a worktree with the prompt on standard input, as it would start a real one. It looks up the lever
in the prompt, edits the files, adds a test, and ends with a short summary. Its first try at one lever is careless, so
that there is a failed gate to see; the premise of another one is wrong, and it says so instead of acting. With
`--cheat` it does what no agent should.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is replaced in a module of the shop, and the test that is added for it."""

    module: str
    old: str
    new: str
    claim: str
    test: str
    say: str = ""


CHANGES = {
    "A split bill loses cents": Change(
        module="bill",
        old="    return [cents // people] * people\n",
        new="    share, left = divmod(cents, people)\n    return [share + 1] * left + [share] * (people - left)\n",
        claim="no_cent_is_lost",
        test="self.assertEqual(bill.split(1000, 3), [334, 333, 333])",
        say="LESSON: Amounts of money are split with divmod, never by division alone. [evidence: bill.split(1000, 3)]",
    ),
    "Orders of yesterday are counted again today": Change(
        module="stock",
        old="into: dict[str, int] = {}) -> dict[str, int]:\n",
        new="into: dict[str, int] | None = None) -> dict[str, int]:\n",
        claim="every_day_starts_empty",
        test='stock.grouped([("tea", 1)])\n        self.assertEqual(stock.grouped([]), {})',
    ),
    "The last page of the catalogue is missing": Change(
        module="pages",
        old="    return items // per_page\n",
        new="    return -(-items // per_page)\n",
        claim="a_started_page_counts",
        test="self.assertEqual((pages.count(41, 10), pages.count(0, 10)), (5, 0))",
    ),
    "A kilogram is shown in grams": Change(
        module="weight",
        old="    if grams > 1000:\n",
        new="    if grams >= 1000:\n",
        claim="a_kilogram_is_a_kilogram",
        test='self.assertEqual((weight.shown(1000), weight.shown(999)), ("1.0 kg", "999 g"))',
    ),
    "Years that end in 00 are leap years": Change(
        module="calendar",
        old="    return year % 4 == 0\n",
        new="    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)\n",
        claim="few_centuries_are_longer",
        test="self.assertEqual([calendar.days(year) for year in (1900, 2000, 2100)], [365, 366, 365])",
    ),
    "The newest thing is forgotten first": Change(
        module="recent",
        old="            self._kept.popitem()\n",
        new="            self._kept.popitem(last=False)\n",
        claim="the_longest_unused_goes_first",
        test='kept = recent.Recent(1)\n        kept.put("a", "1")\n        kept.put("b", "2")\n'
        '        self.assertEqual((kept.get("a"), kept.get("b")), (None, "2"))',
        say="FOCUS: What customers read comes first from now on.\nNEXT: Recent should refuse a size of 0.",
    ),
    "Recent takes a size of 0": Change(
        module="recent",
        old="        self.size = size\n",
        new='        if size < 1:\n            raise ValueError("a size of at least 1")\n        self.size = size\n',
        claim="a_size_of_0_is_refused",
        test="with self.assertRaises(ValueError):\n            recent.Recent(0)",
    ),
    "A value with an equals sign is cut off": Change(
        module="settings",
        old='line.split("=")[:2]\n',
        new='line.split("=", 1)\n',
        claim="a_value_may_hold_an_equals_sign",
        test='self.assertEqual(settings.read("link = page?id=7"), {"link": "page?id=7"})',
    ),
    "Addresses have double hyphens": Change(
        module="slug",
        old='    return re.sub(r"[^a-z0-9]", "-", title.lower())\n',
        new='    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")\n',
        claim="hyphens_are_single",
        test='self.assertEqual(slug.slug("Green & black tea!"), "green-black-tea")',
    ),
}
CARELESS = ("shop/weight.py", '    if grams > 1000:\n        return f"{grams / 1000:.1f} kg"\n',
            '    if grams >= 1000:\n        return f"{grams / 1000:.0f} kg"\n')  # fmt: skip


def work(prompt: str, worktree: Path) -> str:
    """Do what the prompt's lever asks in the worktree; gives the last message."""
    found = re.search(r"lever of this tick: (L-\d+) (.+)", prompt)
    lever, title = (found[1], found[2].strip()) if found else ("", "")
    if title.startswith("Remove calendar.days"):
        return "PREMISE MISMATCH: tests/test_calendar.py uses calendar.days"
    if title not in CHANGES:
        return f"I do not know what to do about {title or 'this prompt'}."
    if title == "A kilogram is shown in grams" and "Tried before" not in prompt:
        replace(worktree, *CARELESS)
        return f"{lever}: kilograms begin at 1000 g."
    return carry_out(CHANGES[title], worktree, lever)


def carry_out(change: Change, worktree: Path, lever: str) -> str:
    """Make one change of the table, with its test."""
    module, tests = f"shop/{change.module}.py", f"tests/test_{change.module}.py"
    replace(worktree, module, change.old, change.new)
    if change.module == "stock":  # the second half of the change
        replace(worktree, module, "    for article", "    into = {} if into is None else into\n    for article")
    method = f"\n    def test_{change.claim}(self):\n        {change.test}\n"
    rewrite(worktree / tests, lambda text: text.rstrip("\n") + "\n" + method)
    return f"{lever}: {module} changed, {tests} has a test for it.\n{change.say}".strip()


def replace(worktree: Path, path: str, old: str, new: str) -> None:
    """Replace a piece of a file; it must be there."""

    def changed(text: str) -> str:
        if old not in text:
            raise SystemExit(f"{path} is not as expected; nothing was changed")
        return text.replace(old, new, 1)

    rewrite(worktree / path, changed)


def rewrite(path: Path, change) -> None:
    """Write a changed text back with the line ends that the file had."""
    text = path.read_bytes().decode("utf-8")
    dos = "\r\n" in text
    done = change(text.replace("\r\n", "\n"))
    path.write_bytes((done.replace("\n", "\r\n") if dos else done).encode("utf-8"))


def cheat(worktree: Path) -> str:
    """Make the suite find no test, and claim success."""
    empty = "import unittest\n\n\ndef load_tests(*_):\n    return unittest.TestSuite()\n"
    (worktree / "tests/__init__.py").write_text(empty, encoding="utf-8")
    return "All done, every test passes!"


if __name__ == "__main__":
    print(cheat(Path.cwd()) if "--cheat" in sys.argv else work(sys.stdin.read(), Path.cwd()))
