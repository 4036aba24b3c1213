"""The gateway: an OpenAI-compatible door in front of an agent's model, without a line of code in the app.

A request names an agent as its model. It is let in, given a version that sticks to its session, sent on with that
version's prompt in front, answered with the upstream's bytes, and recorded. `Gateway` is the ASGI application.
"""

from surefoot.gateway.application import Gateway
from surefoot.gateway.house import House, Manners

__all__ = ["Gateway", "House", "Manners"]
