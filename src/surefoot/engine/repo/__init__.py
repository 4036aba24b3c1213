"""The loop on a repository, one verb a file: read, act, gate, ship, learn, and the tick that strings them together."""
