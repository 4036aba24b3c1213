"""Gates that run for real: commands, servers, and what must be true on disk and over loopback afterwards."""

from surefoot.adapters.gates.run import GateRunner

__all__ = ["GateRunner"]
