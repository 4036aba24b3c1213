"""Days of the year."""


def is_leap(year: int) -> bool:
    """Tell whether a year of the Gregorian calendar has 366 days."""
    return year % 4 == 0


def days(year: int) -> int:
    """Give the number of days of a year."""
    return 366 if is_leap(year) else 365
