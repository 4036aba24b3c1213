"""The last few things a customer looked at."""

from collections import OrderedDict


class Recent:
    """Remember values by name, at most `size`; the one that was not used for longest is forgotten first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[str, str] = OrderedDict()

    def put(self, name: str, value: str) -> None:
        """Remember a value."""
        self._kept[name] = value
        self._kept.move_to_end(name)
        if len(self._kept) > self.size:
            self._kept.popitem()

    def get(self, name: str) -> str | None:
        """Give a value and note that it was used; None if it was forgotten."""
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)
