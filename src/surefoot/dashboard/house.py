"""What every page has at hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from surefoot.dashboard.comparisons import Comparisons
from surefoot.engine.admit import Admission
from surefoot.engine.diagnose import Hearing
from surefoot.engine.follow import Following
from surefoot.engine.verify import Walking
from surefoot.ports import Ports
from surefoot.ports.jobs import Launcher, NoLauncher


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The ports, who may come in, what has moved, what was compared, and Surefoot's version.

    With `open_to_look` a browser on this machine may look without a token, as long as there are no tokens. `secure`
    says that people always come by TLS, also where a proxy does not say so.
    """

    ports: Ports
    admission: Admission
    following: Following
    walking: Walking
    hearing: Hearing
    launcher: Launcher = field(default_factory=NoLauncher)
    comparisons: Comparisons = field(default_factory=Comparisons)
    open_to_look: bool = False
    secure: bool = False
    version: str = ""
