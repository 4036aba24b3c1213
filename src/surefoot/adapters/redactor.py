"""What is taken out of texts before they are stored, under this store's own key.

The key comes from the environment, else from a file beside the store, which is made (readable by its owner alone) when
the first thing is found that needs it. Whoever has the key can test guesses against tags; losing it loses only that
old and new tags of one value are equal.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from surefoot.core.errors import Unavailable
from surefoot.core.redaction import Redacted, RedactionMode, redact
from surefoot.core.suspicion import SUSPICIOUS
from surefoot.core.trace import Trace

VARIABLE = "SUREFOOT_REDACTION_KEY"
FILE = "redaction.key"
_TEXTS = ("input", "output")
_NAMES = ("unit", "source", "session", "actor", "external_id")
# Most names are short and plain, and hold nothing.
_PLAIN = re.compile(r"(?:[a-z]{1,12}:)?[A-Za-z_]{0,15}-?[0-9]{0,6}")
# Tags, the gateway's own digests and UUIDs say nothing; to look for numbers in each of them would cost every request.
_OPAQUE = re.compile("h:[0-9a-f]{32}|opening:[0-9a-f]{32}|(?:[a-z]+:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROBE = b"only to see whether there is anything"


class Redactor:
    """Redaction in one mode; the key is looked up when it is first needed.

    `found` counts what was taken out since the start, by kind (a `name` that became a tag is one).
    `more` finds what patterns cannot, in texts that are not of one word; where it gives None the text is not kept.
    """

    def __init__(
        self, mode: RedactionMode, folder: Path, environ: Mapping[str, str], *,
        more: Callable[[str], str | None] | None = None,
    ) -> None:  # fmt: skip
        self._mode: RedactionMode = mode
        self._more = more
        self._folder = folder
        self._key = environ.get(VARIABLE, "").encode()
        self.found: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """Give a text as it may be stored."""
        kept = self._by_patterns(text)
        if self._more is None or self._mode != "typed" or not any(sign.isspace() for sign in kept):
            return kept
        said = self._more(kept)
        return self._kept(redact(kept, self._known_key(), mode="hash")) if said is None else self._by_patterns(said)

    def _by_patterns(self, text: str) -> str:
        if self._mode == "off" or (self._mode == "typed" and _is_spotless(text)):
            return text
        if not redact(text, _PROBE, mode=self._mode).found:
            return text
        return self._kept(redact(text, self._known_key(), mode=self._mode))

    def suspect(self, content: bytes, at: int) -> tuple[int, int] | None:
        """Give the first place from `at` on that may hold what is not kept: where it begins and ends; None: nowhere.

        What is not named neither `text`, `name` nor `label` changes. The bytes may be a text, or a message with texts.
        """
        if self._mode == "off" or at >= len(content):
            return None
        if self._mode == "hash" or self._more is not None:
            return at, len(content)
        found = _suspicious().search(content, at)
        return None if found is None else found.span()

    def note(self, text: str) -> str:
        """Give a text of an operator or an improver as it may be stored; in mode `hash` it stays readable."""
        if self._mode == "off" or not redact(text, _PROBE).found:
            return text
        return self._kept(redact(text, self._known_key()))

    def name(self, name: str) -> str:
        """Give a name (of a session, a person, a request) as it may be stored: as it is, or a tag of 128 bits.

        A name that holds something to redact becomes a tag as a whole, and in mode `hash` every name does: names must
        stay apart from each other, for which the short tags of texts would not do.
        """
        if not name or self._mode == "off" or _OPAQUE.fullmatch(name):
            return name
        return name if self._mode == "typed" and _is_harmless(name) else self._tag(name)

    def slices(self, slices: Mapping[str, str]) -> dict[str, str]:
        """Give the slices of a request as they may be stored; in mode `hash` too, harmless ones stay what they are.

        Counts are kept by them, and rules apply by them.
        """
        return {self._trait(name): self._trait(value) for name, value in slices.items()}

    def _trait(self, text: str) -> str:
        return text if self._mode == "off" or _OPAQUE.fullmatch(text) or _is_harmless(text) else self._tag(text)

    def _kept(self, redacted: Redacted) -> str:
        self.found.update(redacted.counts)
        return redacted.text

    def _tag(self, name: str) -> str:
        self.found["name"] += 1
        return f"h:{hmac.digest(self._known_key(), name.encode('utf-8', 'surrogatepass'), 'sha256').hex()[:32]}"

    def label(self, label: str) -> str:
        """Give the name of a field that somebody chose as it may be stored; in mode `hash` too it stays readable."""
        if self._mode == "off" or _is_harmless(label):
            return label
        return self._kept(redact(label, self._known_key()))

    def trace(self, trace: Trace) -> Trace:
        """Give a trace as it may be stored."""
        changed: dict[str, Any] = {
            field: new for field in _TEXTS if (new := self.text(old := getattr(trace, field))) is not old
        }
        changed |= {field: new for field in _NAMES if (new := self.name(old := getattr(trace, field))) is not old}
        if trace.slices and (slices := self.slices(trace.slices)) != trace.slices:
            changed["slices"] = slices
        return replace(trace, **changed) if changed else trace

    def _known_key(self) -> bytes:
        if not self._key:
            self._key = _key_in(self._folder / FILE)
        return self._key


@cache
def _suspicious() -> Any:
    """RE2's automaton reads each byte once, whatever the pattern; memory for more of its states makes it no faster."""
    import re2  # pyright: ignore[reportMissingTypeStubs]  few commands redact

    engine: Any = re2
    options = engine.Options()
    options.encoding, options.max_mem = engine.Options.Encoding.LATIN1, 16 << 20
    return engine.compile(SUSPICIOUS, options)


def _is_spotless(text: str) -> bool:
    """Whether a quick look says already that nothing is to be found."""
    return _suspicious().search(text.encode("utf-8", "surrogatepass")) is None


def _is_harmless(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None or _is_spotless(name) or not redact(name, _PROBE).found


def _key_in(path: Path) -> bytes:
    """Read the key, or make it; of two processes at once both get the same."""
    try:
        if not path.exists():
            _make_once(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise Unavailable(f"the key {path} cannot be had: {error.strerror}", hint=f"set {VARIABLE} instead") from None
    if len(key) < 32:
        raise Unavailable(f"the key {path} is not whole", hint="delete it if it is empty, and try again")
    return key


def _make_once(path: Path) -> None:
    """Make the key whole under another name, then give it its name unless somebody was faster."""
    made, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_hex(32).encode())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(name)
    finally:
        Path(name).unlink()
