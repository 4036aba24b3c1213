"""What the optimiser decides: which failures are real, which rewrite to believe, whether it cured, how to look."""
