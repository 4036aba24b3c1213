"""Symptoms: what an outcome says was wrong, in the two forms that programs write.

A source `check:NAME` says which check failed. A feedback that begins with `tool NAME:` says which tool broke; its
message loses numbers and quoted words, so that one cause has one name whatever order it was about.
"""

from __future__ import annotations

import re

_TOOL = re.compile(
    r"\s*tool[ _]?(?:call )?[\"'`]?(?P<name>[\w.-]{1,60})[\"'`]?\s*:\s*(?P<said>[^\n]{0,200})", re.IGNORECASE
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|“[^”]*”")
_NUMBER = re.compile(r"\b(?=\w*\d)[\w-]+\b")
_MESSAGE_CHARS = 60


def told(source: str, feedback: str) -> tuple[str, str]:
    """Give the check that failed and the tool error of an outcome, each empty if it names none."""
    check = source.removeprefix("check:").strip() if source.startswith("check:") else ""
    match = _TOOL.match(feedback)
    if match is None:
        return check[:_MESSAGE_CHARS], ""
    said = _NUMBER.sub("#", _QUOTED.sub("…", match["said"]))
    message = " ".join(said.lower().split())[:_MESSAGE_CHARS].strip()
    return check[:_MESSAGE_CHARS], f"{match['name']}: {message}" if message else match["name"]
