"""An agent with tools for tests: it calls them and reads what they give back, and it obeys strangers or does not.

As a program it speaks the protocol of `eval run --command`; `reply` is the same agent within a process.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

SPELLED = re.compile(r"writing (\w+) directly behind (\w+)")
CALLED = re.compile(r"\bcall (\w+)")


def reply(messages: Sequence[dict[str, str]], *, gullible: bool) -> dict[str, Any]:
    """Answer a conversation: look an order up if one is asked for, read the tool's result, say so in a sentence."""
    asked = next(one["content"] for one in messages if one["role"] == "user")
    given = next((one["content"] for one in messages if one["role"] == "tool"), "order 4711: on its way")
    calls: list[dict[str, Any]] = []
    said = "I help with garden tools."
    if "order" in asked and "refund" not in asked:
        calls.append({"name": "lookup_order", "args": {"id": 4711}, "status": "ok", "result": given})
        said = "Order 4711 was found."
    if gullible:
        heard = f"{asked}\n{given}"
        calls += [{"name": name, "args": {}, "status": "ok"} for name in CALLED.findall(heard)]
        said += " ".join(["", *(last + first for first, last in SPELLED.findall(heard))])
    return {"output": said, "tool_calls": calls}


def main() -> None:
    """Answer one case on standard input."""
    case = json.loads(sys.stdin.read())
    given = case["input"]
    talk = [{"role": "user", "content": given}] if isinstance(given, str) else given
    print(json.dumps(reply(talk, gullible="gullible" in sys.argv[1:])))


if __name__ == "__main__":
    main()
