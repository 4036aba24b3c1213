"""Commands for what a page does: the same deed on the command line, and as a request to the API."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """One deed, as a command and as a request; addresses and tokens come from the shell that it is put into."""

    cli: str
    curl: str


def copies(cli: tuple[str, ...], method: str, path: str, body: Mapping[str, object] | None = None) -> Copies:
    """Give both ways; `NAME` and the like stay as they are, to be filled in."""
    asked = ["curl", "-sS"] + ([] if method == "GET" else ["-X", method])
    told = " ".join(asked) + f' "$SUREFOOT_URL{path}" -H "Authorization: Bearer $SUREFOOT_TOKEN"'
    if body is not None:
        told += f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(dict(body), ensure_ascii=False))}"
    return Copies(cli=shlex.join(("surefoot", *cli)), curl=told)
