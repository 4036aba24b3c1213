"""One file, one verb: each gathers facts, asks a pure decision of the core, and records what was decided."""
