"""Evaluation as values and decisions: suites, checks, verdicts, runs, comparison, judges and their calibration."""
