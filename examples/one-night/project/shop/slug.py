"""Titles as parts of an address."""

import re


def slug(title: str) -> str:
    """Give a title in lower case with single hyphens between its words, and none at its ends."""
    return re.sub(r"[^a-z0-9]", "-", title.lower())
