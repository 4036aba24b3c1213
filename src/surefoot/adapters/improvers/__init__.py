"""Improvers behind `ports.Improver`: a brief goes in, a proposal comes out, nothing else is in reach."""
