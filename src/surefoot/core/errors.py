"""The families of errors, by who can act on them.

A caller can mend `Invalid`, `NotFound`, `Conflict` and `Forbidden`; an operator can mend `Unavailable`. Anything
else is our own mistake and stays a plain exception that may crash the step. Every surface shows the same three
things: the code, the message (what happened, to which thing) and the hint (what to do next).
"""

from __future__ import annotations

from typing import ClassVar


class SurefootError(Exception):
    """An error that somebody outside can act on."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[SurefootError], message: str, hint: str) -> SurefootError:
    return kind(message, hint=hint)


class Invalid(SurefootError):
    """The input is wrong in itself: correct it and try again."""

    code = "invalid"


class NotFound(SurefootError):
    """The named thing does not exist."""

    code = "not_found"


class Conflict(SurefootError):
    """The thing changed meanwhile, or is in a state that does not allow this."""

    code = "conflict"


class Forbidden(SurefootError):
    """A promise or a policy forbids this to this actor."""

    code = "forbidden"


class BudgetExhausted(Forbidden):
    """The next step would spend more than its budget allows, so it was not started."""

    code = "budget_exhausted"


class Unavailable(SurefootError):
    """Something Surefoot needs (disk, database, model) does not work: an operator has to look."""

    code = "unavailable"
