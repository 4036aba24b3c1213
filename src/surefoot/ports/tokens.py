"""What the store keeps of who may come in."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from surefoot.core.session import Login
from surefoot.core.token import Issued


class Tokens(Protocol):
    def add(self, issued: Issued) -> None: ...
    def get(self, token_id: str) -> Issued: ...
    def all(self) -> list[tuple[Issued, datetime | None]]:
        """Give all tokens, oldest first, each with the moment when it was last used."""
        ...

    def standing(self) -> list[Issued]:
        """Give the tokens that are not revoked."""
        ...

    def swap(self, issued: Issued) -> Issued: ...
    def used(self, token_id: str, at: datetime) -> None: ...
    def log_in(self, login: Login, *, forget_before: datetime) -> None: ...
    def spend(self, sha256: str) -> Login | None:
        """Take a proof of a login away and give it; None if there is none."""
        ...
