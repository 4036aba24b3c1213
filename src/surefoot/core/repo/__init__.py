"""What the loop on a repository decides: its four files, what a change may touch, and when to stop."""
