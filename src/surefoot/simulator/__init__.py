"""Simulated and replayed rollouts: what a rule promotes, kills and leaves open, before traffic is trusted to it."""
