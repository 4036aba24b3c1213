"""Adapters: each knows one technology and nothing of the engine."""
