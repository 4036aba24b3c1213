"""Plain text: what strangers wrote, so that it can be shown without steering whatever shows it.

A character that is not plainly printable (control codes, marks that turn the direction of writing, odd spaces) is
spelled out by its number. Terminals, logs and differences all show it so.
"""

from __future__ import annotations


def visible(text: str, *, keep: str = "") -> str:
    """Give a text with every character spelled out that is neither printable nor one of `keep`."""
    return "".join(char if char.isprintable() or char in keep else f"<U+{ord(char):04X}>" for char in text)
