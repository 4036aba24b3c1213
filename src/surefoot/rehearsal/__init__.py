"""Rehearsals: the whole loop on simulated traffic with a story clock, for `surefoot demo`, `surefoot try` and tests.

Nothing is canned: labelled rows become requests, outcomes arrive late or never, and the same engine that works in
production decides what happens. Only the clock, the ids and the order of requests come from a seed.
"""
