"""Splitting a bill among people."""


def split(cents: int, people: int) -> list[int]:
    """Give what each person pays; the first ones pay a cent more when it does not come out even."""
    if people < 1:
        raise ValueError("a bill needs at least one person")
    return [cents // people] * people
