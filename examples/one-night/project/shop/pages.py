"""Pages of a catalogue."""


def count(items: int, per_page: int) -> int:
    """Give how many pages are needed; a catalogue without items needs none."""
    if items < 0 or per_page < 1:
        raise ValueError("items must not be negative, and a page holds at least one")
    return items // per_page
