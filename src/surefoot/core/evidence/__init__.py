"""Arithmetic on counts: what the outcomes seen so far allow anyone to say. Pure `math`, no state, no clock."""
