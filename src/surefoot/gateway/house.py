"""What every route of the gateway has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from surefoot.core.agent import RenderMode
from surefoot.engine.admit import Admission
from surefoot.engine.forward import Forwarding
from surefoot.engine.route import Routing
from surefoot.engine.take import Taking
from surefoot.gateway.measures import Measures
from surefoot.gateway.panel import Panel
from surefoot.gateway.scale import Scale
from surefoot.gateway.tally import Tally
from surefoot.gateway.watch import Watchman
from surefoot.ports import Ports
from surefoot.ports.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How the gateway treats a request.

    `deadline_s` bounds the time to a whole answer, and in a stream the time to its beginning and between two pieces.
    `render` says what becomes of the app's own system messages, `renders` says it for single agents.
    """

    deadline_s: float = 120.0
    most_bytes: int = 8 * 1024 * 1024
    most_otlp_bytes: int = 32 * 1024 * 1024
    render: RenderMode = "replace"
    renders: Mapping[str, RenderMode] = field(default_factory=dict[str, RenderMode])

    def render_for(self, agent: str) -> RenderMode:
        """Give what becomes of the system messages of an agent's app."""
        return self.renders.get(agent, self.render)


@dataclass(slots=True, kw_only=True)
class Presence:
    """Whether this worker is still there for new requests, which number it has, and where workers lay their counts."""

    leaving: bool = False
    worker: int = 1
    panel: Panel = field(default_factory=Panel)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The ports, what decides and forwards and records, who may come in, and the counts.

    `redacted` counts what was taken out of what came in, by kind.
    """

    ports: Ports
    routing: Routing
    forwarding: Forwarding
    recorder: Recorder
    taking: Taking
    admission: Admission
    manners: Manners = field(default_factory=Manners)
    tally: Tally = field(default_factory=Tally)
    watchman: Watchman = field(default_factory=Watchman)
    scale: Scale = field(default_factory=Scale)
    measures: Measures = field(default_factory=Measures)
    presence: Presence = field(default_factory=Presence)
    redacted: Mapping[str, int] = field(default_factory=dict[str, int])
