"""What is taken out of texts before they are stored, under this store's own key.

The key comes from the environment, else from a file beside the store, which is made (readable by its owner alone) when
the first thing is found that needs it. Whoever has the key can test guesses against tags; losing it loses only that
old and new tags of one value are equal.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from surefoot.core.errors import Unavailable
from surefoot.core.redaction import RedactionMode, redact
from surefoot.core.trace import Trace

VARIABLE = "SUREFOOT_REDACTION_KEY"
FILE = "redaction.key"
_PROBE = b"only to see whether there is anything"


class Redactor:
    """Redaction in one mode; the key is looked up when it is first needed."""

    def __init__(self, mode: RedactionMode, folder: Path, environ: Mapping[str, str]) -> None:
        self._mode: RedactionMode = mode
        self._folder = folder
        self._key = environ.get(VARIABLE, "").encode()

    def text(self, text: str) -> str:
        """Give a text as it may be stored."""
        if self._mode == "off" or not redact(text, _PROBE, mode=self._mode).found:
            return text
        return redact(text, self._known_key(), mode=self._mode).text

    def trace(self, trace: Trace) -> Trace:
        """Give a trace as it may be stored."""
        asked, said = self.text(trace.input), self.text(trace.output)
        return trace if asked is trace.input and said is trace.output else replace(trace, input=asked, output=said)

    def _known_key(self) -> bytes:
        if not self._key:
            self._key = _key_in(self._folder / FILE)
        return self._key


def _key_in(path: Path) -> bytes:
    """Read the key, or make it; of two processes at once both get the same."""
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        made = None
    except OSError as error:
        raise Unavailable(f"the key {path} cannot be made: {error.strerror}", hint=f"set {VARIABLE} instead") from None
    if made is not None:
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_hex(32).encode())
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise Unavailable(f"the key {path} cannot be read: {error.strerror}", hint=f"set {VARIABLE} instead") from None
    if len(key) < 32:
        raise Unavailable(f"the key {path} is not whole", hint="delete it if it is empty, and try again")
    return key
