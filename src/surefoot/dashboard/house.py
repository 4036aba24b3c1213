"""What every page has at hand."""

from __future__ import annotations

from dataclasses import dataclass

from surefoot.engine.admit import Admission
from surefoot.engine.follow import Following
from surefoot.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The ports, who may come in, what has moved, and Surefoot's version.

    With `open_to_look` a browser on this machine may look without a token, as long as there are no tokens. `secure`
    says that people always come by TLS, also where a proxy does not say so.
    """

    ports: Ports
    admission: Admission
    following: Following
    open_to_look: bool = False
    secure: bool = False
    version: str = ""
