"""Orders of the day, grouped."""


def grouped(orders: list[tuple[str, int]], into: dict[str, int] = {}) -> dict[str, int]:
    """Add up how many of each article were ordered, on top of `into` if it is given."""
    for article, number in orders:
        into[article] = into.get(article, 0) + number
    return into
